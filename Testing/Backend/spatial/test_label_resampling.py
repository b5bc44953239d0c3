from __future__ import annotations

import numpy as np
import pytest
import torch

from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.label_resampling import resample_labels
from SlicerSynthReg.spatial.transform import Velocity, resample


@pytest.fixture
def a_label_map(an_oblique_anisotropic_left_handed_grid, seeded) -> torch.Tensor:
    """(17, 14, 11) of four labels, none of them small."""
    return torch.tensor([0, 5, 90, 1000])[torch.randint(0, 4, (17, 14, 11), generator=seeded(0))].int()


@pytest.mark.parametrize("bent", [False, True])
def test_it_is_the_largest_of_the_linearly_interpolated_indicators(
    bent, a_label_map, an_oblique_anisotropic_left_handed_grid, a_grid_of, a_smooth_velocity_on
):
    source = an_oblique_anisotropic_left_handed_grid
    target = a_grid_of((15, 16, 17), (1.9, 2.1, 2.3), source.center_mm)
    transform = Velocity(a_smooth_velocity_on(source), source) if bent else None
    values = a_label_map.unique()
    indicators = torch.stack([(a_label_map == value).float() for value in values])
    shares = resample(indicators, source, target, transform)
    shares[0] += 1 - shares.sum(0)  # what lies outside is background
    found = resample_labels(a_label_map, source, target, transform)
    best = shares.topk(2, 0)
    clear = best.values[0] - best.values[1] > 1e-3
    assert found.dtype == torch.int32 and found.shape == target.shape
    assert torch.equal(found[clear], values[best.indices[0]][clear]) and clear.float().mean() > 0.9
    nearest = resample(a_label_map[None], source, target, transform, mode="nearest")[0]
    assert (found != nearest)[clear].any()  # the nearest voxel is outvoted somewhere


def test_the_own_grid_gives_the_labels_back(a_label_map, an_oblique_anisotropic_left_handed_grid):
    grid = an_oblique_anisotropic_left_handed_grid
    assert torch.equal(resample_labels(a_label_map, grid, grid), a_label_map)


def test_labels_are_never_averaged_and_end_half_a_voxel_outside():
    line = torch.tensor([2, 2, 8]).view(3, 1, 1)
    source = Grid((3, 1, 1), np.eye(4))
    target = Grid((8, 1, 1), np.array([[0.4, 0, 0, -0.6], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    # at -0.6, -0.2, 0.2, 0.6, 1.0, 1.4, 1.8, 2.2
    assert resample_labels(line, source, target).flatten().tolist() == [0, 2, 2, 2, 2, 2, 8, 8]
