"""Warping in slabs equals warping at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.registration.warping import slice_ranges, warp_by_header, warp_images, warp_labels
from SlicerSynthReg.spatial.differential import jacobian_determinant
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Affine, Composite, Velocity


@pytest.fixture
def oblique_grid() -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [5, -8, 10], degrees=True).as_matrix() @ np.diag([-1.5, 2.0, 1.7])
    return Grid((18, 14, 23), affine)


@pytest.fixture
def rotation_and_deformation(oblique_grid) -> Composite:
    torch.manual_seed(0)
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", 6, degrees=True).as_matrix()
    coarse = oblique_grid.resampled(6.0)
    return Composite((Affine(matrix), Velocity(torch.randn(3, *coarse.shape) * 0.3, coarse)))


@pytest.mark.parametrize("voxels", [18 * 14 * 23, 18 * 14 * 5, 18 * 14, 1])
def test_slabs_equal_the_whole(oblique_grid, rotation_and_deformation, voxels):
    grid, forward = oblique_grid, rotation_and_deformation
    source = grid.cropped((2, 1, -2), (20, 13, 21))
    generator = torch.Generator().manual_seed(1)
    moving = Image(torch.rand((2, *source.shape), generator=generator), source, name="image")
    labels = Image((moving.data[:1] * 4).int(), source, "labels")
    warped = warp_images(forward, grid, moving, labels, voxels)
    dense = forward.on(grid)
    assert torch.allclose(warped.image.data, moving.resampled(grid, dense).data, atol=1e-4)
    assert torch.allclose(warp_by_header(moving, grid, voxels).data, moving.resampled(grid).data, atol=1e-4)
    assert torch.allclose(warped.jacobian.data, jacobian_determinant(dense.u_vox[None]), atol=1e-4)
    assert warped.labels is not None and warped.labels.data.dtype == labels.data.dtype
    assert (warped.labels.data != warp_labels(labels, grid, dense).data).float().mean() < 1e-3
    assert warped.image.name == "image" and warped.labels.kind == "labels"


def test_slice_ranges_cover_every_slice_once_within_the_limit(oblique_grid):
    bounds = list(slice_ranges(oblique_grid, 18 * 14 * 5 + 3))
    assert [low for low, _ in bounds] == [0, 5, 10, 15, 20] and bounds[-1] == (20, 23)
    assert list(slice_ranges(oblique_grid, 1))[-1] == (22, 23)
