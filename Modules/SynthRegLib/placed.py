"""An image in its node's own space and what lies between that and the world, for the worker: no Slicer here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from SlicerSynthReg.space.grid import Grid, index_lattice
from SlicerSynthReg.space.sampling import sample
from SlicerSynthReg.space.transform import Affine, Composite, Transform, apply_matrix
from SlicerSynthReg.volume.volume import Volume


class Placed(Protocol):
    """grid: where the image is seen in the world."""

    @property
    def grid(self) -> Grid:
        """A grid in the world that encloses the image."""

    def seen(self, grid: Grid, transform: Transform | None = None) -> Volume:
        """On `grid` through `transform` (world of `grid` -> world of the image), in one interpolation, zero outside."""

    def to_own(self, points_mm: np.ndarray) -> np.ndarray:
        """(N, 3) RAS mm of the world -> of the node's own space."""


@dataclass(frozen=True, eq=False)
class Straight:
    """parent: 4x4, the node's own RAS mm -> world."""

    image: Volume
    parent: np.ndarray

    @property
    def grid(self) -> Grid:
        return Grid(self.image.grid.shape, self.parent @ self.image.grid.affine)

    def seen(self, grid: Grid, transform: Transform | None = None) -> Volume:
        if transform is None and grid.same_as(self.grid, 1e-6):
            return Volume(self.image.data, grid, self.image.kind, self.image.name)
        back = Affine(np.linalg.inv(self.parent))
        return self.image.resampled(grid, back if transform is None else Composite((transform, back)))

    def to_own(self, points_mm: np.ndarray) -> np.ndarray:
        return Affine(np.linalg.inv(self.parent)).map_points(points_mm)

    def to_world(self, points_mm: np.ndarray) -> np.ndarray:
        return Affine(self.parent).map_points(points_mm)


@dataclass(frozen=True, eq=False)
class Bent:
    """moves_mm: (3, I, J, K) float32, for each voxel of `grid` in the world its place in the node's own RAS mm less
    its place in the world; between voxels linear, beyond the outermost ones kept, as VTK does."""

    image: Volume
    grid: Grid
    moves_mm: torch.Tensor

    def seen(self, grid: Grid, transform: Transform | None = None) -> Volume:
        index = index_lattice(grid.shape)
        if transform is not None:
            index = index + transform.on(grid).u_vox
        there = apply_matrix(grid.index_to_index(self.grid), index)
        index = apply_matrix(self.grid.index_to_index(self.image.grid), there)
        turn = torch.from_numpy(np.linalg.inv(self.image.grid.affine[:3, :3])).float()
        moves = sample(self.moves_mm[None], there[None], padding="border")[0]
        index = index + torch.einsum("ab,b...->a...", turn, moves)
        mode = "linear" if self.image.kind == "scalar" else "nearest"
        data = sample(self.image.data.float()[None], index[None], mode=mode)[0].to(self.image.data.dtype)
        return Volume(data, grid, self.image.kind, self.image.name)

    def to_own(self, points_mm: np.ndarray) -> np.ndarray:
        index = torch.from_numpy(self.grid.world_to_index(points_mm).T.copy())[None]
        moves = sample(self.moves_mm[None].double(), index, padding="border")[0]
        return points_mm + moves.numpy().T
