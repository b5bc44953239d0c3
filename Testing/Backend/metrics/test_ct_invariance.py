"""Known shifts, known blur, known offsets; iodine counts as none of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.metrics.ct_invariance import measure_invariance
from SlicerSynthReg.spatial.grid import Grid, index_lattice
from SlicerSynthReg.spatial.smoothing import gaussian
from Testing.Backend.refusals import refused

GRID = Grid((48, 40, 24), np.array([[-1.5, 0, 0, 30], [0, -1.5, 0, 20], [0, 0, 3.0, -9], [0, 0, 0, 1]]))


def body(shift_vox=(0.0, 0.0, 0.0), vessel: float = 40.0) -> torch.Tensor:
    """A soft ball in air with a bone and a vessel, its borders a voxel and a half wide; moved by shift_vox."""
    at = index_lattice(GRID.shape) - torch.tensor([23.5, 19.5, 11.5]).add(torch.tensor(shift_vox)).view(3, 1, 1, 1)
    at = at * torch.tensor([1.5, 1.5, 3.0]).view(3, 1, 1, 1)
    radius = at.norm(dim=0)
    hu = -1000 + 1040 * torch.sigmoid((25 - radius) / 1.2)
    hu = torch.where((at - torch.tensor([0.0, 12, 0]).view(3, 1, 1, 1)).norm(dim=0) < 7, 700.0, hu)
    return torch.where((at + torch.tensor([0.0, 8, 0]).view(3, 1, 1, 1)).norm(dim=0) < 6, vessel, hu)


def volume(hu: torch.Tensor) -> Image:
    return Image(hu[None], GRID)


def test_iodine_changes_nothing_here():
    found = measure_invariance(volume(body(vessel=350.0)), volume(body(vessel=42.0)))
    assert (found.bone_hu, found.air_hu) == (0, 0)
    assert found.shift_mm == pytest.approx((0, 0, 0), abs=1e-9) and found.sharpness == 1


@pytest.mark.parametrize("shift_vox", [(0.3, 0.0, 0.0), (0.0, -0.25, 0.0), (0.1, 0.15, 0.2)])
def test_a_known_shift_is_found_in_world_directions(shift_vox):
    """i runs left and j backwards on this grid: a flipped axis or a voxel taken for a millimetre would show."""
    found = measure_invariance(volume(body()), volume(body(shift_vox)))
    assert found.shift_mm == pytest.approx(tuple(GRID.affine[:3, :3] @ shift_vox), abs=0.08)


def test_blur_is_found_and_not_taken_for_a_shift():
    blurred = gaussian(body()[None, None], torch.tensor([[1.2, 1.2, 0.0]]))[0, 0]
    found = measure_invariance(volume(body()), volume(blurred))
    assert found.sharpness < 0.95 and np.abs(found.shift_mm).max() < 0.05
    assert measure_invariance(volume(blurred), volume(body())).sharpness > 1.05


def test_offsets_in_bone_and_air_are_told_apart():
    after = body()
    after[after > 600] += 9.0
    after[after < -950] -= 4.0
    found = measure_invariance(volume(body()), volume(after))
    assert found.bone_hu == 9 and found.air_hu == 4


def test_enhanced_vessels_are_not_taken_for_bone():
    """As bright as bone before, gone after: where both are dense counts."""
    assert measure_invariance(volume(body(vessel=420.0)), volume(body(vessel=40.0))).bone_hu == 0


def test_without_bone_it_says_nan_and_without_air_it_refuses():
    hu = torch.where(body() > 600, 40.0, body())
    assert math.isnan(measure_invariance(volume(hu), volume(hu)).bone_hu)
    with refused("boundary-missing"):
        measure_invariance(volume(body().clamp_min(20)), volume(body().clamp_min(20)))
