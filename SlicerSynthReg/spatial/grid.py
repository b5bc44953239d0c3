"""Voxel grids in patient space (RAS, mm)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.errors import GeometryError


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxel grid of an image.

    shape: (I, J, K) voxel counts in array order. affine: 4x4, voxel index (i, j, k) -> RAS mm; its axes may be oblique,
    left-handed, anisotropic or sheared, but must be linearly independent.
    Raises GeometryError (grid-shape, affine-shape, singular-affine).
    """

    shape: tuple[int, int, int]
    affine: np.ndarray

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        affine = np.array(self.affine, dtype=np.float64)
        if len(shape) != 3 or min(shape) < 1:
            raise GeometryError(f"Found grid shape {shape}, expected three positive voxel counts.", code="grid-shape")
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryError(
                f"Found an affine of shape {affine.shape}, expected a finite 4x4 matrix.", code="affine-shape"
            )
        if abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            raise GeometryError(
                "Found an affine whose axes are linearly dependent (or zero), expected three independent "
                "voxel axes. Repair the image header.",
                code="singular-affine",
            )
        affine.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)

    @property
    def spacing(self) -> np.ndarray:
        """(3,) distance in mm between neighbouring voxel centres along each array axis."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def directions(self) -> np.ndarray:
        """(3, 3); column c is the unit vector (RAS) along array axis c."""
        return self.affine[:3, :3] / self.spacing

    @property
    def is_left_handed(self) -> bool:
        """Whether the array axes form a left-handed system in RAS."""
        return bool(np.linalg.det(self.affine[:3, :3]) < 0)

    @property
    def is_orthonormal(self) -> bool:
        """Whether the axes are perpendicular, as ITK images require."""
        gram = self.directions.T @ self.directions
        return bool(np.abs(gram - np.eye(3)).max() < 1e-4)

    @property
    def center_mm(self) -> np.ndarray:
        """(3,) centre of the field of view, RAS mm."""
        return self.index_to_world(((np.array(self.shape) - 1) / 2)[None])[0]

    @property
    def voxel_count(self) -> int:
        return int(np.prod(self.shape))

    def index_to_world(self, index: np.ndarray) -> np.ndarray:
        """Map voxel indices (N, 3), possibly fractional, to RAS mm (N, 3)."""
        return np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def world_to_index(self, points_mm: np.ndarray) -> np.ndarray:
        """Map RAS mm (N, 3) to fractional voxel indices (N, 3)."""
        centred = np.asarray(points_mm, dtype=np.float64) - self.affine[:3, 3]
        return np.linalg.solve(self.affine[:3, :3], centred.T).T

    def index_to_index(self, other: Grid, world: np.ndarray | None = None) -> np.ndarray:
        """Return the 4x4 map from voxel indices of this grid to those of `other`.

        world: 4x4, RAS mm of this grid -> RAS mm of `other`; None for the identity.
        """
        return np.linalg.solve(other.affine, self.affine if world is None else world @ self.affine)

    def resampled(self, spacing: float | tuple[float, float, float]) -> Grid:
        """Return the grid of the same field of view (voxel edges) at `spacing` mm. Raises GeometryError (spacing)."""
        wanted = np.broadcast_to(np.asarray(spacing, dtype=np.float64), 3)
        if (wanted <= 0).any():
            raise GeometryError(
                f"Found spacing {tuple(wanted)}, expected three positive lengths in mm.", code="spacing"
            )
        extent = np.array(self.shape) * self.spacing
        shape = np.maximum(np.ceil(extent / wanted - 1e-3), 1).astype(int)
        return self._recentred(shape, self.directions * wanted, self.center_mm)

    def downsampled(self, factor: int | tuple[int, int, int]) -> Grid:
        """Return the grid of blocks of `factor` voxels along each axis, as average pooling yields; an incomplete last
        block is dropped."""
        factors = np.broadcast_to(factor, 3)
        affine = self.affine.copy()
        affine[:3, 3] = self.index_to_world((factors[None] - 1) / 2)[0]
        affine[:3, :3] *= factors
        return Grid(as_shape(np.maximum(np.array(self.shape) // factors, 1)), affine)

    def upsampled(self, factor: int) -> Grid:
        """Return the grid with each voxel split into `factor`^3: the inverse of `downsampled`."""
        affine = self.affine.copy()
        affine[:3, :3] /= factor
        affine[:3, 3] = self.index_to_world(np.full((1, 3), (1 / factor - 1) / 2))[0]
        return Grid(as_shape(n * factor for n in self.shape), affine)

    def cropped(self, low: Sequence[int], high: Sequence[int]) -> Grid:
        """Return the grid of the voxels low <= index < high; indices outside this grid pad it."""
        lower, upper = np.asarray(low), np.asarray(high)
        affine = self.affine.copy()
        affine[:3, 3] = self.index_to_world(lower[None])[0]
        return Grid(as_shape(upper - lower), affine)

    def padded_to_multiple(self, factor: int) -> Grid:
        """Return this grid extended at the end of each axis to a multiple of `factor` voxels."""
        return self.cropped((0, 0, 0), tuple(-(-n // factor) * factor for n in self.shape))

    def aligned_to_ras(self, spacing: float) -> Grid:
        """Return the enclosing grid with axes along R, A, S and isotropic `spacing` in mm."""
        corners = self.index_to_world(self.corner_indices())
        low, high = corners.min(0), corners.max(0)
        shape = np.maximum(np.ceil((high - low) / spacing - 1e-3), 1).astype(int)
        return self._recentred(shape, np.eye(3) * spacing, (low + high) / 2)

    def corner_indices(self) -> np.ndarray:
        """Return (8, 3) voxel indices of the corners of the field of view (voxel edges)."""
        edges = [(-0.5, n - 0.5) for n in self.shape]
        return np.array(np.meshgrid(*edges, indexing="ij")).reshape(3, 8).T

    def same_as(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Return whether shape and all voxel positions agree within `tolerance_mm`."""
        if self.shape != other.shape:
            return False
        corners = self.corner_indices()
        return bool(np.abs(self.index_to_world(corners) - other.index_to_world(corners)).max() <= tolerance_mm)

    def require_same(self, other: Grid, what: str) -> None:
        """Raise GeometryError (grid-mismatch) unless `other` equals this grid. what: name of the image on `other`."""
        if not self.same_as(other):
            raise GeometryError(
                f"Found {what} on a grid of {other.shape} voxels of {np.round(other.spacing, 3)} mm centred at "
                f"{np.round(other.center_mm, 1)}, expected {self.shape} voxels of {np.round(self.spacing, 3)} mm "
                f"centred at {np.round(self.center_mm, 1)}. Resample it to the image's grid first.",
                code="grid-mismatch",
            )

    @staticmethod
    def _recentred(shape: np.ndarray, axes_mm: np.ndarray, center_mm: np.ndarray) -> Grid:
        affine = np.eye(4)
        affine[:3, :3] = axes_mm
        affine[:3, 3] = center_mm - axes_mm @ ((shape - 1) / 2)
        return Grid(as_shape(shape), affine)


def as_shape(counts: Iterable[int]) -> tuple[int, int, int]:
    """Return three voxel counts as Python integers."""
    i, j, k = (int(n) for n in counts)
    return i, j, k


def index_lattice(shape: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """Return the voxel indices of a grid of `shape`: (3, I, J, K) float32."""
    axes = [torch.arange(n, dtype=torch.float32, device=device) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def affine_lattice(matrix: np.ndarray, shape: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """Return `matrix` (4x4, index -> index) applied to the voxel indices of a grid of `shape`: (3, I, J, K) float32."""
    parts = []
    for row in matrix[:3]:
        i, j, k = (torch.arange(n, dtype=torch.float64, device=device) * float(c) for n, c in zip(shape, row[:3]))
        parts.append((i[:, None, None] + j[:, None] + (k + float(row[3]))).float())
    return torch.stack(parts)
