"""Signal voids: detection, and seamless filling from the contralateral side."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.healthy.inpainting import background_mask, fill_void, signal_void_mask
from SlicerSynthReg.healthy.lesion_filled_inputs import fill_lesions
from SlicerSynthReg.healthy.pipeline import HealthyModel, ReconstructionConfig, run_una
from SlicerSynthReg.io.image import Image

VOXEL_ML = 0.008
CUT = (slice(8, 20), slice(8, 20), slice(8, 20))


@pytest.fixture
def brain() -> torch.Tensor:
    inside = torch.zeros(32, 32, 32, dtype=torch.bool)
    inside[3:29, 3:29, 3:29] = True
    return inside


@pytest.fixture
def t1(brain) -> torch.Tensor:
    """Return stripes of two tissues."""
    stripes = torch.where(torch.arange(32) // 3 % 2 == 0, 0.45, 0.8)
    return stripes[None, :, None].expand(32, 32, 32) * brain


def test_void_includes_its_rim_and_adjacent_dim_voxels(brain, t1):
    image = t1.clone()
    image[CUT] = 0
    image[8:12, 8:20, 8:20] = 0.05
    found = signal_void_mask(image, brain, VOXEL_ML)
    assert found[CUT].all() and found[7, 12, 12] and found[20, 12, 12]
    assert not found[24:].any() and not found[:5].any()


@pytest.mark.parametrize("dark", [0.05, 0.15], ids=["almost no signal", "fluid"])
def test_dark_tissue_and_small_regions_are_no_void(brain, t1, dark):
    image = t1.clone()
    image[CUT] = dark
    image[24:27, 24:27, 24:27] = 0
    assert not signal_void_mask(image, brain, VOXEL_ML).any()


def test_background_inside_the_brain_mask_is_no_void(brain, t1):
    image = t1.clone()
    image[CUT] = 0
    image[20:, 20:, 20:] = 0
    anomaly = torch.zeros_like(image)
    anomaly[CUT] = 0.9
    found = signal_void_mask(image, brain, VOXEL_ML, anomaly)
    assert found[CUT].all() and not found[23:, 23:, 23:].any()


def test_background_is_dark_and_connected_to_the_faces(brain, t1):
    image = t1.clone()
    image[CUT] = 0
    image[14, 14, 24:] = 0
    found = background_mask(image)
    assert found[~brain].all() and found[14, 14, 26]
    assert not found[CUT].any() and not found[brain & (image > 0)].any()


def test_noise_in_the_background_is_background(brain, t1):
    noise = 0.02 * torch.randn(t1.shape, generator=torch.Generator().manual_seed(0)).abs()
    image = torch.where(brain, t1, noise)
    assert float((image[~brain] > 0.03).float().mean()) > 0.1
    away = F.max_pool3d(brain[None, None].float(), 5, 1, 2)[0, 0] == 0
    assert float(background_mask(image)[away].float().mean()) > 0.999
    assert not background_mask(image)[brain].any()


def test_void_is_filled_in_t1_contrast_without_a_seam(brain, t1):
    """The scan is a T1 in other units; the network's T1 is constant in the void and 0.1 too bright around it."""
    image = t1 * 0.5 + 0.1 * brain
    image[CUT] = 0
    void = signal_void_mask(image, brain, VOXEL_ML)
    drawn = torch.where(void, 0.6, t1 + 0.1 * brain)
    result = fill_void(drawn, image, t1 * 0.5 + 0.1 * brain, brain, void, torch.zeros_like(void))
    assert torch.equal(result[~void], drawn[~void])
    inside = result[11:17, :, 11:17].mean((0, 2))[11:17]
    truth = t1[12, :, 12][11:17]
    assert float(torch.corrcoef(torch.stack([inside, truth]))[0, 1]) > 0.95 and float(inside.std()) > 0.5 * truth.std()
    assert abs(float(inside.mean() - truth.mean()) - 0.1) < 0.06, "as bright as what surrounds it"


def test_t1_is_unchanged_where_the_contralateral_side_has_no_signal_either(brain, t1):
    image = t1.clone()
    image[CUT] = 0
    void = signal_void_mask(image, brain, VOXEL_ML)
    assert torch.allclose(fill_void(t1, image, image, brain, void, void), t1, atol=1e-5)


def test_cut_region_is_marked_and_inpainted_with_the_mean_intensity_of_its_surroundings(
    ras_grid, head_on, dark_network
):
    """The network's anomaly probability is 1 everywhere, so that the difference alone determines the map."""
    dark_network.maps[2].bias.data[3] = 6.0
    dark_network.config = replace(dark_network.config, anomaly_threshold=1.0)
    whole = head_on(ras_grid)
    scan = whole.data.clone()
    cut = (slice(None), slice(16, 26), slice(20, 30), slice(18, 28))
    scan[cut] = 0
    voided = Image(scan, ras_grid)
    result = run_una(HealthyModel(dark_network, None, 3.0), voided, ReconstructionConfig(mirror="none"))
    marked = result.maps.anomaly.resampled(ras_grid).data[cut] > 0.5
    assert float(marked.float().mean()) > 0.9
    inpainted = fill_lesions(result, voided, dark_network)
    assert 0.75 < float(inpainted.data[cut].mean() / whole.data[cut].mean()) < 1.25
