"""Transforms between patients' spaces. Each maps a point of the fixed world (RAS mm) to the moving world (RAS mm).

Resampling pulls: moved(x) = moving(T(x)). In Slicer's words this is "transform from parent", in ITK's the resampling
transform. A composite applies its first part first: Composite((a, b))(x) = b(a(x)).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import torch

from SlicerSynthReg.space.grid import GeometryError, Grid, affine_lattice, index_lattice
from SlicerSynthReg.space.sampling import resample_affine, sample, sample_displaced


class Transform(Protocol):
    """What every transform can do."""

    def map_points(self, points_mm: np.ndarray) -> np.ndarray:
        """(N, 3) fixed-world RAS mm -> (N, 3) moving-world RAS mm."""

    def inverse(self) -> Transform:
        """The transform from the moving world back to the fixed world."""

    def on(self, grid: Grid) -> Displacement:
        """Sampled at every voxel of `grid`, dense."""


@dataclass(frozen=True, eq=False)
class Affine:
    """x -> matrix x, 4x4 in RAS mm."""

    matrix: np.ndarray = field(default_factory=lambda: np.eye(4))

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-12:
            raise GeometryError(f"Found the transform matrix {matrix.tolist()}, expected an invertible 4x4 matrix.")
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
    """x -> x + u(x), u linearly interpolated between the voxels of `grid` and zero outside it (as in ITK).

    u_vox: (3, I, J, K) float32, in voxels along the array axes of `grid`.
    """

    u_vox: torch.Tensor
    grid: Grid

    def __post_init__(self) -> None:
        if tuple(self.u_vox.shape) != (3, *self.grid.shape):
            raise GeometryError(
                f"Found displacements of shape {tuple(self.u_vox.shape)}, expected (3, *{self.grid.shape})."
            )

    def map_points(self, points_mm: np.ndarray) -> np.ndarray:
        index = self.grid.world_to_index(points_mm)
        edge = np.array(self.grid.shape) - 0.5
        inside = np.all((index >= -0.5) & (index < edge), axis=1)
        u = sample(self.u_vox[None].double(), torch.from_numpy(index.T.copy())[None], padding="border")[0]
        moved = np.asarray(points_mm, dtype=np.float64) + (u.numpy().T @ self.grid.affine[:3, :3].T)
        return np.where(inside[:, None], moved, points_mm)

    def inverse(self, iterations: int = 30) -> Displacement:
        """Fixed point of w(y) = -u(y + w(y)) on the same grid, damped where it would not contract."""
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
        return Displacement(turned(self.read(index), self.grid, grid), grid)

    def read(self, index: torch.Tensor) -> torch.Tensor:
        """u at voxel indices (3, I, J, K) of its own grid, zero outside: (3, I, J, K), voxels of its own grid."""
        edges = torch.tensor(self.grid.shape, device=index.device).view(3, 1, 1, 1)
        inside = ((index >= -0.5) & (index < edges - 0.5)).all(dim=0)
        return sample(self.u_vox[None], index[None], padding="border")[0] * inside


@dataclass(frozen=True, eq=False)
class Velocity:
    """The flow at time 1 of dx/dt = v(x), v stationary on `grid` (SynthMorph section II-A).

    v_vox: (3, I, J, K) float32, voxels of `grid` per unit time. steps: number of squarings; the field is halved that
    often, then composed with itself that often.
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
        """exp(v), kept once it was asked for."""
        return Displacement(exponential(self.v_vox[None], self.steps)[0], self.grid)

    def on(self, grid: Grid) -> Displacement:
        return self.integrated.on(grid)


@dataclass(frozen=True, eq=False)
class Composite:
    """parts applied to a point from first to last; a composite among them is taken apart into its own parts."""

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
        """Positions are carried as voxel indices of `grid` in float32; each part is sampled where the last one led."""
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
            index = index + turned(dense.read(there), dense.grid, grid)
        return Displacement(index - start, grid)


def turned(u_vox: torch.Tensor, source: Grid, target: Grid) -> torch.Tensor:
    """Vectors (3, ...) in voxels of `source` -> the same vectors in voxels of `target`."""
    turn = np.linalg.solve(target.affine[:3, :3], source.affine[:3, :3])
    return torch.einsum("ab,b...->a...", torch.from_numpy(turn).to(u_vox), u_vox)


def apply_matrix(matrix: np.ndarray, index: torch.Tensor) -> torch.Tensor:
    """4x4 applied to points (3, ...)."""
    linear = torch.from_numpy(matrix[:3, :3]).to(index)
    shift = torch.from_numpy(matrix[:3, 3]).to(index).view(3, *([1] * (index.dim() - 1)))
    return torch.einsum("ab,b...->a...", linear, index) + shift


def exponential(v_vox: torch.Tensor, steps: int = 7, lattice: torch.Tensor | None = None) -> torch.Tensor:
    """exp(v) by scaling and squaring: v_vox (B, 3, I, J, K) -> displacement (B, 3, I, J, K).

    u_0 = v / 2^steps, u_{n+1}(x) = u_n(x) + u_n(x + u_n(x)) (Arsigny 2006; SynthMorph section II-A).
    """
    lattice = index_lattice(tuple(v_vox.shape[2:]), v_vox.device) if lattice is None else lattice
    u = v_vox / 2**steps
    for _ in range(steps):
        u = u + sample_displaced(u, u, lattice)
    return u


def compose(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Displacement of x -> second(first(x)), both (B, 3, I, J, K) in voxels of one grid."""
    return first + sample_displaced(second, first, index_lattice(tuple(first.shape[2:]), first.device))


def resample(
    data: torch.Tensor,
    source: Grid,
    target: Grid,
    transform: Transform | None = None,
    mode: str = "linear",
    padding: str = "zeros",
) -> torch.Tensor:
    """`data` (C, I, J, K) on `source` seen on `target` through `transform` (target world -> source world).

    mode "linear" or "nearest"; integer data keep their type. Returns (C, *target.shape).
    """
    if transform is None or isinstance(transform, Affine):
        matrix = None if transform is None else transform.matrix
        return resample_affine(data, source, target, matrix, mode, padding)
    dense = transform.on(target)
    index = apply_matrix(target.index_to_index(source), index_lattice(target.shape) + dense.u_vox)
    floating = data if data.is_floating_point() else data.float()
    return sample(floating[None], index[None].to(data.device), mode=mode, padding=padding)[0].to(data.dtype)
