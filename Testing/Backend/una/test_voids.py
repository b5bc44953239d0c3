"""Where the scan has no signal: that it is found, and that the other side is drawn there without a seam."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.methods.una.voids import air_about, filled_void, void_of
from SlicerSynthReg.tasks.filling import filled
from SlicerSynthReg.tasks.healing import HealingConfig, heal
from SlicerSynthReg.volume.volume import Volume

VOXEL_ML = 0.008
CUT = (slice(8, 20), slice(8, 20), slice(8, 20))


@pytest.fixture
def brain() -> torch.Tensor:
    inside = torch.zeros(32, 32, 32, dtype=torch.bool)
    inside[3:29, 3:29, 3:29] = True
    return inside


@pytest.fixture
def a_t1(brain) -> torch.Tensor:
    """Two tissues in stripes."""
    stripes = torch.where(torch.arange(32) // 3 % 2 == 0, 0.45, 0.8)
    return stripes[None, :, None].expand(32, 32, 32) * brain


def test_a_region_without_signal_is_found_with_its_rim_and_what_rings_into_it(brain, a_t1):
    image = a_t1.clone()
    image[CUT] = 0
    image[8:12, 8:20, 8:20] = 0.05
    found = void_of(image, brain, VOXEL_ML)
    assert found[CUT].all() and found[7, 12, 12] and found[20, 12, 12]
    assert not found[24:].any() and not found[:5].any()


@pytest.mark.parametrize("dark", [0.05, 0.15], ids=["almost no signal", "fluid"])
def test_what_is_merely_dark_is_no_void_nor_is_what_is_small(brain, a_t1, dark):
    image = a_t1.clone()
    image[CUT] = dark
    image[24:27, 24:27, 24:27] = 0
    assert not void_of(image, brain, VOXEL_ML).any()


def test_air_that_was_taken_for_brain_is_no_void(brain, a_t1):
    image = a_t1.clone()
    image[CUT] = 0
    image[20:, 20:, 20:] = 0
    anomaly = torch.zeros_like(image)
    anomaly[CUT] = 0.9
    found = void_of(image, brain, VOXEL_ML, anomaly)
    assert found[CUT].all() and not found[23:, 23:, 23:].any()


def test_air_is_what_reaches_the_faces_through_the_dark(brain, a_t1):
    image = a_t1.clone()
    image[CUT] = 0
    image[14, 14, 24:] = 0
    found = air_about(image)
    assert found[~brain].all() and found[14, 14, 26]
    assert not found[CUT].any() and not found[brain & (image > 0)].any()


def test_noise_in_the_air_is_air(brain, a_t1):
    noise = 0.02 * torch.randn(a_t1.shape, generator=torch.Generator().manual_seed(0)).abs()
    image = torch.where(brain, a_t1, noise)
    assert float((image[~brain] > 0.03).float().mean()) > 0.1
    away = F.max_pool3d(brain[None, None].float(), 5, 1, 2)[0, 0] == 0
    assert float(air_about(image)[away].float().mean()) > 0.999
    assert not air_about(image)[brain].any()


def test_the_other_side_is_drawn_there_in_the_t1_s_contrast_without_a_seam(brain, a_t1):
    """The scan is a T1 of other units; the network drew mud, a tenth too bright about it."""
    image = a_t1 * 0.5 + 0.1 * brain
    image[CUT] = 0
    void = void_of(image, brain, VOXEL_ML)
    drawn = torch.where(void, 0.6, a_t1 + 0.1 * brain)
    result = filled_void(drawn, image, a_t1 * 0.5 + 0.1 * brain, brain, void, torch.zeros_like(void))
    assert torch.equal(result[~void], drawn[~void])
    inside = result[11:17, :, 11:17].mean((0, 2))[11:17]
    truth = a_t1[12, :, 12][11:17]
    assert float(torch.corrcoef(torch.stack([inside, truth]))[0, 1]) > 0.95 and float(inside.std()) > 0.5 * truth.std()
    assert abs(float(inside.mean() - truth.mean()) - 0.1) < 0.06, "as bright as what surrounds it"


def test_where_the_other_side_has_no_signal_either_the_reconstruction_stays(brain, a_t1):
    image = a_t1.clone()
    image[CUT] = 0
    void = void_of(image, brain, VOXEL_ML)
    assert torch.allclose(filled_void(a_t1, image, image, brain, void, void), a_t1, atol=1e-5)


def test_a_cut_head_is_marked_there_and_filled_as_bright_as_its_surroundings(
    upright, a_head_on, a_network_that_sees_next_to_nothing
):
    """By a network that takes everything for abnormal, so that the difference alone tells."""
    a_network_that_sees_next_to_nothing.maps[2].bias.data[3] = 6.0
    a_network_that_sees_next_to_nothing.config = replace(a_network_that_sees_next_to_nothing.config, marked=1.0)
    whole = a_head_on(upright)
    scan = whole.data.clone()
    cut = (slice(None), slice(16, 26), slice(20, 30), slice(18, 28))
    scan[cut] = 0
    voided = Volume(scan, upright)
    healed = heal(a_network_that_sees_next_to_nothing, None, 3.0, voided, HealingConfig(mirror="none"))
    marked = healed.anomaly.resampled(upright).data[cut] > 0.5
    assert float(marked.float().mean()) > 0.9
    made = filled(healed, voided, a_network_that_sees_next_to_nothing)
    assert 0.75 < float(made.data[cut].mean() / whole.data[cut].mean()) < 1.25
