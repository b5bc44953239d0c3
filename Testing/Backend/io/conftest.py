from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.spatial.grid import Grid


def _grid(shape, axes_mm, origin) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = axes_mm
    affine[:3, 3] = origin
    return Grid(shape, affine)


@pytest.fixture
def nasty() -> Grid:
    """Oblique about all axes, anisotropic, left-handed, no two counts alike."""
    turn = Rotation.from_euler("xyz", [17, -23, 41], degrees=True).as_matrix()
    grid = _grid((17, 14, 11), turn @ np.diag([1.1, -2.3, 3.7]), [12.5, -41.0, 88.0])
    assert grid.is_left_handed and grid.is_orthonormal
    return grid


@pytest.fixture
def other(nasty) -> Grid:
    """Another oblique grid over much the same place, for the moving image."""
    turn = Rotation.from_euler("xyz", [-8, 12, 30], degrees=True).as_matrix()
    axes = turn @ np.diag([1.7, 1.9, 2.1])
    shape = np.array([19, 21, 23])
    return _grid(tuple(shape.tolist()), axes, nasty.center_mm - axes @ ((shape - 1) / 2))


@pytest.fixture
def sheared(nasty) -> Grid:
    axes = nasty.affine[:3, :3] @ np.array([[1, 0, 0.3], [0, 1, 0.2], [0, 0, 1]])
    return _grid((17, 14, 11), axes, nasty.affine[:3, 3])


def _waves(grid: Grid) -> np.ndarray:
    """Smooth, no symmetry: a mirrored or transposed copy differs everywhere."""
    i, j, k = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    return (100 * np.sin(0.31 * i + 0.2) + 40 * np.cos(0.4 * j) * (k + 2) + 3 * i * k).astype(np.float32)


@pytest.fixture
def scalar(nasty) -> Image:
    return Image(torch.from_numpy(_waves(nasty))[None], nasty, name="waves")


@pytest.fixture
def moving(other) -> Image:
    return Image(torch.from_numpy(_waves(other))[None], other, name="moving")


@pytest.fixture
def labels(nasty) -> Image:
    return Image(torch.from_numpy(_waves(nasty) // 40).int().abs()[None], nasty, kind="labels")
