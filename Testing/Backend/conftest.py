from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.spatial.grid import Grid, index_lattice


@pytest.fixture
def an_oblique_anisotropic_left_handed_grid() -> Grid:
    """Turned about all axes, no two counts and no two spacings alike."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [17, -23, 41], degrees=True).as_matrix() @ np.diag([1.1, -2.3, 3.7])
    affine[:3, 3] = [12.5, -41.0, 88.0]
    grid = Grid((17, 14, 11), affine)
    assert grid.is_left_handed
    return grid


@pytest.fixture
def a_grid_of() -> Callable[..., Grid]:
    """Axis-aligned, centred on the world's origin unless told otherwise."""

    def build(
        shape: tuple[int, int, int],
        spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
        center: tuple[float, float, float] | np.ndarray = (0.0, 0.0, 0.0),
    ) -> Grid:
        affine = np.diag([*spacing, 1.0])
        affine[:3, 3] = np.asarray(center) - np.array(spacing) * (np.array(shape) - 1) / 2
        return Grid(shape, affine)

    return build


@pytest.fixture
def a_smooth_velocity_on() -> Callable[..., torch.Tensor]:
    """(3, I, J, K) one wave long, no symmetry, falling to 0 at the faces; the same flow of space on any grid of n^3."""

    def build(grid: Grid, largest_vox: float = 1.5) -> torch.Tensor:
        t = (index_lattice(grid.shape) + 0.5) / torch.tensor(grid.shape).view(3, 1, 1, 1)
        bump = torch.sin(math.pi * t).prod(0)
        waves = [torch.cos(2 * math.pi * (t[(c + 1) % 3] + 0.13 * c)) + 0.4 * t[c] for c in range(3)]
        return torch.stack(waves) * bump * largest_vox

    return build


@pytest.fixture
def a_ramp_on() -> Callable[[Grid], torch.Tensor]:
    """(1, I, J, K) 0.7 R - 1.3 A + 0.4 S + 5 at each voxel's place."""

    def build(grid: Grid) -> torch.Tensor:
        index = index_lattice(grid.shape).flatten(1).T.numpy()
        values = grid.index_to_world(index) @ [0.7, -1.3, 0.4] + 5
        return torch.from_numpy(values).float().view(1, *grid.shape)

    return build


@pytest.fixture
def the_voxels_of() -> Callable[[Grid], np.ndarray]:
    """(N, 3) RAS mm of every voxel centre."""

    def build(grid: Grid) -> np.ndarray:
        return grid.index_to_world(index_lattice(grid.shape).flatten(1).T.numpy())

    return build


@pytest.fixture
def seeded() -> Callable[[int], torch.Generator]:
    return lambda seed: torch.Generator().manual_seed(seed)
