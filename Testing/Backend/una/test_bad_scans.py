"""Scans that are not as one would wish, with the network that recognises brains: a sensible answer, or a refusal with
its reason; and never a brain where nothing was scanned. The reconstructing network
adds nothing to the brain that was recognised."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch

from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.request import Request, RequestError
from SlicerSynthReg.run import run
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.tasks.healing import Healed, HealingConfig, detailed, heal
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume, VolumeError
from SlicerSynthReg.weights.registry import available, read_card
from Testing.Backend.volume.test_real_files import SHARED

HEADS = SHARED / "a_brain_T1_FLAIR_nichart"
BRAINS = "synthmorph-brains"
needs_heads = pytest.mark.skipif(
    not HEADS.is_dir() or BRAINS not in available(), reason="needs the shared heads and the network that knows brains"
)


@pytest.fixture(scope="module")
def brains() -> SynthMorph:
    return SynthMorph.load(read_card(BRAINS))


@pytest.fixture(scope="module")
def head() -> Volume:
    """A whole head at 2 mm, with neck and face."""
    scan = read_volume(HEADS / "Subj01_T1.nii.gz")
    return scan.resampled(scan.grid.resampled(2.0))


@pytest.fixture(scope="module")
def brain(head) -> torch.Tensor:
    """(I, J, K) bool: where its labels are."""
    labels = read_volume(HEADS / "Subj01_T1_dlmuse.nii.gz", "labels")
    return labels.resampled(head.grid).data[0] > 0


@pytest.fixture
def healed(brains, a_network_that_sees_next_to_nothing):
    def build(scan: Volume) -> Healed:
        return heal(a_network_that_sees_next_to_nothing, brains, 2.0, scan, HealingConfig(mirror="none"))

    return build


def overlap(found: Healed, brain: torch.Tensor, grid: Grid) -> float:
    """Dice of the reconstructed brain and the labels, within what was scanned."""
    ours = found.brain.resampled(grid).data[0] > 0.5
    return float(2 * (ours & brain).sum() / (ours.sum() + brain.sum()))


def places(grid: Grid) -> np.ndarray:
    return grid.index_to_world(np.argwhere(np.ones(grid.shape))).reshape(*grid.shape, 3)


def defaced(head: Volume, brain: torch.Tensor) -> Volume:
    """Without what lies in front of the brain's lower half."""
    at = places(head.grid)
    inside = at[brain.numpy()]
    front, level = np.percentile(inside[:, 1], 70), np.percentile(inside[:, 2], 35)
    gone = (at[..., 1] > front) & (at[..., 2] < level) & ~brain.numpy()
    return Volume(head.data * ~torch.from_numpy(gone), head.grid)


def with_two_lesions(head: Volume, brain: torch.Tensor) -> Volume:
    """Dark holes on both sides at the same height."""
    at = places(head.grid)
    middle = at[brain.numpy()].mean(0)
    hole = np.zeros(head.grid.shape, bool)
    for side in (-1, 1):
        hole |= np.linalg.norm(at - middle - [side * 32, -15, 20], axis=-1) < 12
    return Volume(torch.where(torch.from_numpy(hole), head.data * 0.2, head.data), head.grid)


@needs_heads
@pytest.mark.parametrize(
    "change",
    [lambda head, brain: head, lambda head, brain: Volume(head.data * brain, head.grid), defaced, with_two_lesions],
    ids=["whole head", "skull-stripped", "defaced", "lesions on both sides"],
)
def test_the_brain_is_found_whatever_was_taken_away(healed, head, brain, change):
    found = healed(change(head, brain))
    assert overlap(found, brain, head.grid) > 0.85


@needs_heads
@pytest.mark.parametrize("axis", [1, 2], ids=["one half", "lower half"])
def test_of_half_a_head_only_what_was_scanned_is_reconstructed(healed, head, brain, axis):
    """Of the halves, the network of today recognises the lower one well, and takes too much of the other."""
    at = np.argwhere(brain.numpy())[:, axis]
    end = [n if a != axis else int(at.mean()) for a, n in enumerate(head.grid.shape)]
    part = tuple(slice(0, n) for n in end)
    half = Volume(head.data[(slice(None), *part)].contiguous(), head.grid.cropped((0, 0, 0), tuple(end)))
    found = healed(half)
    assert any("reaches the edge of the scan" in text for text in found.warnings)
    assert overlap(found, brain[part], half.grid) > (0.8 if axis == 2 else 0.4)
    fine = detailed(found, half, head.grid)
    outside = torch.ones(head.grid.shape, dtype=torch.bool)
    outside[part] = False
    assert not fine.data[0][outside].any() and fine.data[0][part].any()


@needs_heads
def test_thick_slices_are_taken_and_told(healed, head, brain):
    grid = head.grid
    thick = Grid((*grid.shape[:2], grid.shape[2] // 4), grid.affine @ np.diag([1.0, 1.0, 4.0, 1.0]))
    found = healed(head.resampled(thick))
    assert any("slices are 8.0 mm apart" in text for text in found.warnings)
    assert overlap(found, brain, head.grid) > 0.6
    assert any("larger than a brain" in text for text in found.warnings), "as the network of today finds too much"


@needs_heads
def test_a_belly_is_refused(healed):
    with pytest.raises(VolumeError, match="Found no brain in the scan, expected a head"):
        healed(read_volume(SHARED / "e_abdomenCT" / "native_TSexample_3mm.nii.gz"))


@needs_heads
def test_metal_in_a_head_s_ct_is_told(healed):
    ct = read_volume(SHARED / "b_MR_CT" / "scct_unsmooth_96.nii.gz")
    at = places(ct.grid)
    clip = np.linalg.norm(at - places(ct.grid).reshape(-1, 3).mean(0) - [20, 10, 0], axis=-1) < 6
    metal = Volume(torch.where(torch.from_numpy(clip), torch.tensor(4000.0), ct.data), ct.grid)
    found = healed(metal)
    assert 800 < float(found.brain.data.sum()) * 8 / 1000 < 2400
    assert found.modality == "ct" and any("Metal was found" in text for text in found.warnings)


def test_of_a_4_d_image_one_frame_is_asked_for_and_taken(installed, a_head_on, upright, tmp_path):
    head = a_head_on(upright).data[0].numpy()
    nibabel.save(nibabel.Nifti1Image(np.stack([head * 0, head], -1), upright.affine), tmp_path / "two.nii.gz")

    def result(**more: int):
        inputs = {"image": str(tmp_path / "two.nii.gz")}
        return run(Request("healthy", inputs, str(tmp_path / "out"), {"model": "una-test", "mirror": "none", **more}))

    with pytest.raises(RequestError, match="expected") as refused:
        result()
    assert "2" in refused.value.text and refused.value.suggestion.parameter == "frame"
    assert result(frame=1).report["brain_ml"] > 100
