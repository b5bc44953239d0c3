"""What is made slab by slab is what would be made at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.evaluate.regularity import jacobian_map
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Affine, Composite, Velocity
from SlicerSynthReg.tasks.moving import moved_by, moved_labels, slabs
from SlicerSynthReg.volume.volume import Volume


@pytest.fixture
def an_oblique_grid() -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [5, -8, 10], degrees=True).as_matrix() @ np.diag([-1.5, 2.0, 1.7])
    return Grid((18, 14, 23), affine)


@pytest.fixture
def a_bend_behind_a_turn(an_oblique_grid) -> Composite:
    torch.manual_seed(0)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", 6, degrees=True).as_matrix()
    coarse = an_oblique_grid.resampled(6.0)
    return Composite((Affine(matrix), Velocity(torch.randn(3, *coarse.shape) * 0.3, coarse)))


@pytest.mark.parametrize("voxels", [18 * 14 * 23, 18 * 14 * 5, 18 * 14, 1])
def test_slabs_are_the_whole(an_oblique_grid, a_bend_behind_a_turn, voxels):
    grid, forward = an_oblique_grid, a_bend_behind_a_turn
    source = grid.cropped((2, 1, -2), (20, 13, 21))
    generator = torch.Generator().manual_seed(1)
    moving = Volume(torch.rand((2, *source.shape), generator=generator), source, name="scan")
    labels = Volume((moving.data[:1] * 4).int(), source, "labels")
    made = moved_by(forward, grid, moving, labels, voxels)
    dense = forward.on(grid)
    assert torch.allclose(made.image.data, moving.resampled(grid, dense).data, atol=1e-4)
    assert torch.allclose(made.before.data, moving.resampled(grid).data, atol=1e-4)
    assert torch.allclose(made.jacobian.data, jacobian_map(dense, grid).data, atol=1e-4)
    assert made.labels is not None and made.labels.data.dtype == labels.data.dtype
    assert (made.labels.data != moved_labels(labels, grid, dense).data).float().mean() < 1e-3
    assert made.image.name == "scan" and made.labels.kind == "labels"


def test_slabs_cover_every_slice_once_and_keep_to_their_size(an_oblique_grid):
    bounds = list(slabs(an_oblique_grid, 18 * 14 * 5 + 3))
    assert [low for low, _ in bounds] == [0, 5, 10, 15, 20] and bounds[-1] == (20, 23)
    assert list(slabs(an_oblique_grid, 1))[-1] == (22, 23)
