"""A grid: how many voxels along each array axis, and where each lies in the patient (RAS, mm)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch


class GeometryError(ValueError):
    """A grid, transform or point set that cannot be used as asked; the message says found, expected, remedy."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Voxel lattice of an image.

    shape: (I, J, K) voxel counts in array order. affine: 4x4, voxel index (i, j, k) -> RAS mm; columns may be
    oblique, left-handed, anisotropic or sheared, but must be linearly independent.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray

    def __post_init__(self) -> None:
        shape = tuple(int(n) for n in self.shape)
        affine = np.array(self.affine, dtype=np.float64)
        if len(shape) != 3 or min(shape) < 1:
            raise GeometryError(f"Found grid shape {shape}, expected three positive voxel counts.")
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryError(f"Found an affine of shape {affine.shape}, expected a finite 4x4 matrix.")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            raise GeometryError(
                "Found an affine whose axes are linearly dependent (or zero), expected three independent "
                "voxel axes. Repair the image header."
            )
        affine.setflags(write=False)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "affine", affine)

    @property
    def spacing(self) -> np.ndarray:
        """(3,) distance in mm between neighbours along each array axis."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def directions(self) -> np.ndarray:
        """3x3, column c = unit vector (RAS) along array axis c."""
        return self.affine[:3, :3] / self.spacing

    @property
    def is_left_handed(self) -> bool:
        return bool(np.linalg.det(self.affine[:3, :3]) < 0)

    @property
    def is_orthonormal(self) -> bool:
        """Whether the axes are perpendicular, as ITK's image type demands."""
        gram = self.directions.T @ self.directions
        return bool(np.abs(gram - np.eye(3)).max() < 1e-4)

    @property
    def center_mm(self) -> np.ndarray:
        return self.index_to_world(((np.array(self.shape) - 1) / 2)[None])[0]

    @property
    def voxel_count(self) -> int:
        return int(np.prod(self.shape))

    def index_to_world(self, index: np.ndarray) -> np.ndarray:
        """(N, 3) voxel indices (fractions allowed) -> (N, 3) RAS mm."""
        return np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def world_to_index(self, points_mm: np.ndarray) -> np.ndarray:
        """(N, 3) RAS mm -> (N, 3) voxel indices, fractional."""
        centred = np.asarray(points_mm, dtype=np.float64) - self.affine[:3, 3]
        return np.linalg.solve(self.affine[:3, :3], centred.T).T

    def index_to_index(self, other: Grid, world: np.ndarray | None = None) -> np.ndarray:
        """4x4 from this grid's index to `other`'s, through the world map `world` (4x4 RAS mm, default identity)."""
        through = np.eye(4) if world is None else world
        return np.linalg.solve(other.affine, through @ self.affine)

    def resampled(self, spacing: float | tuple[float, float, float]) -> Grid:
        """The same field of view (voxel edges, not centres) at another spacing in mm; the centre stays in place."""
        wanted = np.broadcast_to(np.asarray(spacing, dtype=np.float64), 3)
        if (wanted <= 0).any():
            raise GeometryError(f"Found spacing {tuple(wanted)}, expected three positive lengths in mm.")
        extent = np.array(self.shape) * self.spacing
        shape = np.maximum(np.ceil(extent / wanted - 1e-3), 1).astype(int)
        return self._recentred(shape, self.directions * wanted, self.center_mm)

    def scaled_down(self, factor: int | tuple[int, int, int]) -> Grid:
        """Grid of blocks of `factor`^3 voxels, or of so many along each axis; block centres are the new voxel centres
        (average pooling's geometry)."""
        factors = np.broadcast_to(factor, 3)
        affine = self.affine.copy()
        affine[:3, 3] = self.index_to_world((factors[None] - 1) / 2)[0]
        affine[:3, :3] *= factors
        return Grid(as_shape(np.maximum(np.array(self.shape) // factors, 1)), affine)

    def refined(self, factor: int) -> Grid:
        """Each voxel split into `factor`^3: the inverse of `scaled_down`."""
        affine = self.affine.copy()
        affine[:3, :3] /= factor
        affine[:3, 3] = self.index_to_world(np.full((1, 3), (1 / factor - 1) / 2))[0]
        return Grid(as_shape(n * factor for n in self.shape), affine)

    def cropped(self, low: Sequence[int], high: Sequence[int]) -> Grid:
        """Voxels low <= index < high; negative `low` or large `high` pads."""
        lower, upper = np.asarray(low), np.asarray(high)
        affine = self.affine.copy()
        affine[:3, 3] = self.index_to_world(lower[None])[0]
        return Grid(as_shape(upper - lower), affine)

    def padded_to_multiple(self, factor: int) -> Grid:
        """Grown at the far end of each axis so that every count divides by `factor`."""
        return self.cropped((0, 0, 0), tuple(-(-n // factor) * factor for n in self.shape))

    def aligned_to_ras(self, spacing: float) -> Grid:
        """Axis-aligned RAS+ grid of isotropic `spacing` mm that encloses this one."""
        corners = self.index_to_world(self.corner_indices())
        low, high = corners.min(0), corners.max(0)
        shape = np.maximum(np.ceil((high - low) / spacing - 1e-3), 1).astype(int)
        return self._recentred(shape, np.eye(3) * spacing, (low + high) / 2)

    def corner_indices(self) -> np.ndarray:
        """(8, 3) indices of the outer corners of the corner voxels."""
        edges = [(-0.5, n - 0.5) for n in self.shape]
        return np.array(np.meshgrid(*edges, indexing="ij")).reshape(3, 8).T

    def same_as(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Whether every voxel of both lies at the same place within `tolerance_mm`."""
        if self.shape != other.shape:
            return False
        corners = self.corner_indices()
        return bool(np.abs(self.index_to_world(corners) - other.index_to_world(corners)).max() <= tolerance_mm)

    def require_same(self, other: Grid, what: str) -> None:
        """Raise GeometryError unless `other` is this grid; `what` names the offender."""
        if not self.same_as(other):
            raise GeometryError(
                f"Found {what} on a grid of {other.shape} voxels of {np.round(other.spacing, 3)} mm centred at "
                f"{np.round(other.center_mm, 1)}, expected {self.shape} voxels of {np.round(self.spacing, 3)} mm "
                f"centred at {np.round(self.center_mm, 1)}. Resample it to the image's grid first."
            )

    @staticmethod
    def _recentred(shape: np.ndarray, axes_mm: np.ndarray, center_mm: np.ndarray) -> Grid:
        affine = np.eye(4)
        affine[:3, :3] = axes_mm
        affine[:3, 3] = center_mm - axes_mm @ ((shape - 1) / 2)
        return Grid(as_shape(shape), affine)


def as_shape(counts: Iterable[int]) -> tuple[int, int, int]:
    """Three voxel counts as plain integers."""
    i, j, k = (int(n) for n in counts)
    return i, j, k


def index_lattice(shape: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """(3, I, J, K) float32: each voxel's own index."""
    axes = [torch.arange(n, dtype=torch.float32, device=device) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def affine_lattice(matrix: np.ndarray, shape: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """(3, I, J, K) float32: `matrix` (4x4, index -> index) applied to each voxel index of a grid of `shape`."""
    parts = []
    for row in matrix[:3]:
        i, j, k = (torch.arange(n, dtype=torch.float64, device=device) * float(c) for n, c in zip(shape, row[:3]))
        parts.append((i[:, None, None] + j[:, None] + (k + float(row[3]))).float())
    return torch.stack(parts)
