"""Spatial transforms. Each maps a point of the fixed image (RAS mm) to the moving image (RAS mm).

Resampling pulls: moved(x) = moving(T(x)). Slicer calls this "transform from parent", ITK the resampling transform. A
composite applies its first part first: Composite((a, b))(x) = b(a(x)).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import torch

from SlicerSynthReg.errors import GeometryError
from SlicerSynthReg.spatial.grid import Grid, affine_lattice, index_lattice
from SlicerSynthReg.spatial.sampling import resample_affine, sample, sample_displaced


class Transform(Protocol):
    """Interface of all transforms."""

    def map_points(self, points_mm: np.ndarray) -> np.ndarray:
        """Map points (N, 3) of the fixed image, RAS mm, to (N, 3) of the moving image, RAS mm."""

    def inverse(self) -> Transform:
        """Return the transform from the moving to the fixed image."""

    def on(self, grid: Grid) -> Displacement:
        """Return this transform sampled at the voxels of `grid`."""


@dataclass(frozen=True, eq=False)
class Affine:
    """x -> matrix x; matrix: 4x4, RAS mm. Raises GeometryError (singular-matrix)."""

    matrix: np.ndarray = field(default_factory=lambda: np.eye(4))

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        affine = matrix.shape == (4, 4) and np.allclose(matrix[3], [0, 0, 0, 1], rtol=0, atol=1e-6)
        if not affine or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-12:
            raise GeometryError(
                f"Found the transform matrix {matrix.tolist()}, expected an invertible 4x4 matrix with the last row "
                "0, 0, 0, 1. Transpose it if its last column is 0, 0, 0, 1.",
                code="singular-matrix",
            )
        object.__setattr__(self, "matrix", matrix)

    def map_points(self, points_mm: np.ndarray) -> np.ndarray:
        return np.asarray(points_mm, dtype=np.float64) @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def inverse(self) -> Affine:
        return Affine(np.linalg.inv(self.matrix))

    def on(self, grid: Grid) -> Displacement:
        move = grid.index_to_index(grid, self.matrix) - np.eye(4)
        return Displacement(affine_lattice(move, grid.shape), grid)


@dataclass(frozen=True, eq=False)
class Displacement:
    """x -> x + u(x), with u linearly interpolated between the voxels of `grid` and zero outside it, as in ITK.

    u_vox: (3, I, J, K) float32, in voxels along the array axes of `grid`. Raises GeometryError (displacement-shape).
    """

    u_vox: torch.Tensor
    grid: Grid

    def __post_init__(self) -> None:
        if tuple(self.u_vox.shape) != (3, *self.grid.shape):
            raise GeometryError(
                f"Found displacements of shape {tuple(self.u_vox.shape)}, expected (3, *{self.grid.shape}).",
                code="displacement-shape",
            )

    def map_points(self, points_mm: np.ndarray) -> np.ndarray:
        index = self.grid.world_to_index(points_mm)
        edge = np.array(self.grid.shape) - 0.5
        inside = np.all((index >= -0.5) & (index < edge), axis=1)
        u = sample(self.u_vox[None].double(), torch.from_numpy(index.T.copy())[None], padding="border")[0]
        moved = np.asarray(points_mm, dtype=np.float64) + (u.numpy().T @ self.grid.affine[:3, :3].T)
        return np.where(inside[:, None], moved, points_mm)

    def inverse(self, iterations: int = 30) -> Displacement:
        """Return the inverse on the same grid by the damped fixed-point iteration w(y) = -u(y + w(y))."""
        lattice = index_lattice(self.grid.shape, self.u_vox.device)
        u = self.u_vox[None]
        w = -u
        for _ in range(iterations):
            residual = w + sample_displaced(u, w, lattice)
            w = w - 0.8 * residual
            if float(residual.abs().max()) < 1e-3:
                break
        return Displacement(w[0], self.grid)

    def on(self, grid: Grid) -> Displacement:
        if grid.same_as(self.grid, 1e-6):
            return self
        index = affine_lattice(grid.index_to_index(self.grid), grid.shape, self.u_vox.device)
        return Displacement(reorient_vectors(self.sample_at(index), self.grid, grid), grid)

    def sample_at(self, index: torch.Tensor) -> torch.Tensor:
        """Return u (3, I, J, K), voxels of its grid, at voxel indices `index` (3, I, J, K) of that grid; 0 outside."""
        edges = torch.tensor(self.grid.shape, device=index.device).view(3, 1, 1, 1)
        inside = ((index >= -0.5) & (index < edges - 0.5)).all(dim=0)
        return sample(self.u_vox[None], index[None], padding="border")[0] * inside


@dataclass(frozen=True, eq=False)
class Velocity:
    """The flow at time 1 of dx/dt = v(x), v a stationary velocity field on `grid` (SynthMorph section II-A).

    v_vox: (3, I, J, K) float32, voxels of `grid` per unit time. steps: number of squarings.
    """

    v_vox: torch.Tensor
    grid: Grid
    steps: int = 7

    def map_points(self, points_mm: np.ndarray) -> np.ndarray:
        return self.integrated.map_points(points_mm)

    def inverse(self) -> Velocity:
        return Velocity(-self.v_vox, self.grid, self.steps)

    @cached_property
    def integrated(self) -> Displacement:
        """exp(v); computed once."""
        return Displacement(exponential(self.v_vox[None], self.steps)[0], self.grid)

    def on(self, grid: Grid) -> Displacement:
        return self.integrated.on(grid)


@dataclass(frozen=True, eq=False)
class Composite:
    """Apply `parts` to a point from first to last. Nested composites are flattened."""

    parts: tuple[Transform, ...]

    def __post_init__(self) -> None:
        flat = [part.parts if isinstance(part, Composite) else (part,) for part in self.parts]
        object.__setattr__(self, "parts", tuple(inner for parts in flat for inner in parts))

    def map_points(self, points_mm: np.ndarray) -> np.ndarray:
        points = np.asarray(points_mm, dtype=np.float64)
        for part in self.parts:
            points = part.map_points(points)
        return points

    def inverse(self) -> Composite:
        return Composite(tuple(part.inverse() for part in reversed(self.parts)))

    def on(self, grid: Grid) -> Displacement:
        """Return this transform sampled at the voxels of `grid`; each part is sampled where the previous one leads."""
        start = index_lattice(grid.shape)
        index = start
        for part in self.parts:
            if isinstance(part, Affine):
                index = apply_matrix(grid.index_to_index(grid, part.matrix), index)
                continue
            dense = part.integrated if isinstance(part, Velocity) else part
            if not isinstance(dense, Displacement):
                dense = dense.on(grid)
            there = apply_matrix(grid.index_to_index(dense.grid), index)
            index = index + reorient_vectors(dense.sample_at(there), dense.grid, grid)
        return Displacement(index - start, grid)


def reorient_vectors(u_vox: torch.Tensor, source: Grid, target: Grid) -> torch.Tensor:
    """Return vectors (3, ...), given in voxels of `source`, in voxels of `target`."""
    matrix = np.linalg.solve(target.affine[:3, :3], source.affine[:3, :3])
    return torch.einsum("ab,b...->a...", torch.from_numpy(matrix).to(u_vox), u_vox)


def apply_matrix(matrix: np.ndarray, index: torch.Tensor) -> torch.Tensor:
    """Apply `matrix` (4x4) to points (3, ...)."""
    linear = torch.from_numpy(matrix[:3, :3]).to(index)
    shift = torch.from_numpy(matrix[:3, 3]).to(index).view(3, *([1] * (index.dim() - 1)))
    return torch.einsum("ab,b...->a...", linear, index) + shift


def exponential(v_vox: torch.Tensor, steps: int = 7, lattice: torch.Tensor | None = None) -> torch.Tensor:
    """Return exp(v) by scaling and squaring: v_vox (B, 3, I, J, K) -> displacement (B, 3, I, J, K) in voxels.

    u_0 = v / 2^steps, u_{n+1}(x) = u_n(x) + u_n(x + u_n(x)) (Arsigny 2006; SynthMorph section II-A).
    """
    lattice = index_lattice(tuple(v_vox.shape[2:]), v_vox.device) if lattice is None else lattice
    u = v_vox / 2**steps
    for _ in range(steps):
        u = u + sample_displaced(u, u, lattice)
    return u


def resample(
    data: torch.Tensor,
    source: Grid,
    target: Grid,
    transform: Transform | None = None,
    mode: str = "linear",
    padding: str = "zeros",
) -> torch.Tensor:
    """Return `data` (C, I, J, K) on `source` resampled to `target`: (C, *target.shape), of the type of `data`.

    transform: RAS mm of `target` -> RAS mm of `source`; None for the identity. mode: "linear" or "nearest". padding:
    "zeros" or "border".
    """
    if transform is None or isinstance(transform, Affine):
        matrix = None if transform is None else transform.matrix
        return resample_affine(data, source, target, matrix, mode, padding)
    dense = transform.on(target)
    index = apply_matrix(target.index_to_index(source), index_lattice(target.shape) + dense.u_vox)
    floating = data if data.is_floating_point() else data.float()
    return sample(floating[None], index[None].to(data.device), mode=mode, padding=padding)[0].to(data.dtype)
