"""Unusual scans with the real brain network: a usable result or an error with its code, and no brain outside the field
of view. UNA is a network that does not extend the brain mask."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch

from SlicerSynthReg.errors import BrainNotFound, RequestError
from SlicerSynthReg.healthy.pipeline import HealthyModel, ReconstructionConfig, UNAResult, high_resolution_t1, run_una
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.registration.synthmorph import SynthMorph
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import run
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.weights.registry import available, read_card
from Testing.Backend.io.test_real_files import SHARED

HEADS = SHARED / "a_brain_T1_FLAIR_nichart"
BRAINS = "synthmorph-brains"
needs_heads = pytest.mark.skipif(
    not HEADS.is_dir() or BRAINS not in available(), reason="needs the shared heads and the brain network"
)


@pytest.fixture(scope="module")
def brain_network() -> SynthMorph:
    return SynthMorph.load(read_card(BRAINS))


@pytest.fixture(scope="module")
def head() -> Image:
    """Return a whole head at 2 mm, with neck and face."""
    scan = read_image(HEADS / "Subj01_T1.nii.gz")
    return scan.resampled(scan.grid.resampled(2.0))


@pytest.fixture(scope="module")
def brain(head) -> torch.Tensor:
    """Return (I, J, K) bool: the brain by its labels."""
    labels = read_image(HEADS / "Subj01_T1_dlmuse.nii.gz", "labels")
    return labels.resampled(head.grid).data[0] > 0


@pytest.fixture
def reconstruct(brain_network, dark_network):
    model = HealthyModel(dark_network, brain_network, 2.0)

    def build(scan: Image) -> UNAResult:
        return run_una(model, scan, ReconstructionConfig(mirror="none"))

    return build


def overlap(found: UNAResult, brain: torch.Tensor, grid: Grid) -> float:
    """Return the Dice coefficient of the reconstructed brain and the labels, within the field of view."""
    ours = found.maps.brain.resampled(grid).data[0] > 0.5
    return float(2 * (ours & brain).sum() / (ours.sum() + brain.sum()))


def positions_mm(grid: Grid) -> np.ndarray:
    return grid.index_to_world(np.argwhere(np.ones(grid.shape))).reshape(*grid.shape, 3)


def defaced(head: Image, brain: torch.Tensor) -> Image:
    """Return the head without the face."""
    at = positions_mm(head.grid)
    inside = at[brain.numpy()]
    front, level = np.percentile(inside[:, 1], 70), np.percentile(inside[:, 2], 35)
    gone = (at[..., 1] > front) & (at[..., 2] < level) & ~brain.numpy()
    return Image(head.data * ~torch.from_numpy(gone), head.grid)


def with_two_lesions(head: Image, brain: torch.Tensor) -> Image:
    """Return the head with dark lesions on both sides at the same height."""
    at = positions_mm(head.grid)
    middle = at[brain.numpy()].mean(0)
    hole = np.zeros(head.grid.shape, bool)
    for side in (-1, 1):
        hole |= np.linalg.norm(at - middle - [side * 32, -15, 20], axis=-1) < 12
    return Image(torch.where(torch.from_numpy(hole), head.data * 0.2, head.data), head.grid)


@needs_heads
@pytest.mark.parametrize(
    "change",
    [lambda head, brain: head, lambda head, brain: Image(head.data * brain, head.grid), defaced, with_two_lesions],
    ids=["whole head", "skull-stripped", "defaced", "lesions on both sides"],
)
def test_brain_is_found_in_altered_heads(reconstruct, head, brain, change):
    found = reconstruct(change(head, brain))
    assert overlap(found, brain, head.grid) > 0.85


@needs_heads
@pytest.mark.parametrize("axis", [1, 2], ids=["one half", "lower half"])
def test_nothing_is_reconstructed_outside_half_a_head(reconstruct, head, brain, axis):
    """The brain network segments the lower half well and oversegments the other."""
    at = np.argwhere(brain.numpy())[:, axis]
    end = [n if a != axis else int(at.mean()) for a, n in enumerate(head.grid.shape)]
    part = tuple(slice(0, n) for n in end)
    half = Image(head.data[(slice(None), *part)].contiguous(), head.grid.cropped((0, 0, 0), tuple(end)))
    found = reconstruct(half)
    assert any("reaches the edge of the scan" in text for text in found.warnings)
    assert overlap(found, brain[part], half.grid) > (0.8 if axis == 2 else 0.4)
    fine = high_resolution_t1(found, half, head.grid)
    outside = torch.ones(head.grid.shape, dtype=torch.bool)
    outside[part] = False
    assert not fine.data[0][outside].any() and fine.data[0][part].any()


@needs_heads
def test_thick_slices_are_accepted_with_a_warning(reconstruct, head, brain):
    grid = head.grid
    thick = Grid((*grid.shape[:2], grid.shape[2] // 4), grid.affine @ np.diag([1.0, 1.0, 4.0, 1.0]))
    found = reconstruct(head.resampled(thick))
    assert any("slices are 8.0 mm apart" in text for text in found.warnings)
    assert overlap(found, brain, head.grid) > 0.6
    assert any("larger than a brain" in text for text in found.warnings), "the brain network oversegments thick slices"


@needs_heads
def test_abdomen_is_refused(reconstruct):
    with pytest.raises(BrainNotFound):
        reconstruct(read_image(SHARED / "e_abdomenCT" / "native_TSexample_3mm.nii.gz"))


@needs_heads
def test_metal_in_a_head_ct_gives_a_warning(reconstruct):
    ct = read_image(SHARED / "b_MR_CT" / "scct_unsmooth_96.nii.gz")
    at = positions_mm(ct.grid)
    clip = np.linalg.norm(at - positions_mm(ct.grid).reshape(-1, 3).mean(0) - [20, 10, 0], axis=-1) < 6
    metal = Image(torch.where(torch.from_numpy(clip), torch.tensor(4000.0), ct.data), ct.grid)
    found = reconstruct(metal)
    assert 800 < float(found.maps.brain.data.sum()) * 8 / 1000 < 2400
    assert found.scan.scale.modality == "ct" and any("Metal was found" in text for text in found.warnings)


def test_4d_image_needs_a_frame(installed_model, head_on, ras_grid, tmp_path):
    head = head_on(ras_grid).data[0].numpy()
    nibabel.save(nibabel.Nifti1Image(np.stack([head * 0, head], -1), ras_grid.affine), tmp_path / "two.nii.gz")

    def result(**more: int):
        inputs = {"image": str(tmp_path / "two.nii.gz")}
        return run(Request("healthy", inputs, str(tmp_path / "out"), {"model": "una-test", "mirror": "none", **more}))

    with pytest.raises(RequestError) as refused:
        result()
    assert refused.value.suggestion.parameter == "frame"
    assert result(frame=1).report["brain_ml"] > 100
