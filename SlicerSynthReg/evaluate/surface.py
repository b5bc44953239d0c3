"""Distances between the surfaces of two structures, in millimetres."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt

from SlicerSynthReg.space.grid import GeometryError
from SlicerSynthReg.volume.volume import Volume, VolumeError


@dataclass(frozen=True)
class SurfaceDistance:
    """mean_mm: over the voxels of both surfaces (Heimann 2009). hausdorff_95_mm: the greater of the two directed 95th
    percentiles. hausdorff_mm: the greatest distance at all. All infinite where one structure is empty."""

    mean_mm: float
    hausdorff_95_mm: float
    hausdorff_mm: float


def surface_distance(fixed: Volume, moved: Volume, label: int) -> SurfaceDistance:
    """Distance of each surface voxel of structure `label` in one volume to the nearest in the other.

    fixed, moved: label volumes on one grid with perpendicular axes, spacing taken from it. A surface voxel belongs to
    the structure and has one of its six neighbours outside; beyond the image is outside.
    Errors: GeometryError for two grids or a sheared one; VolumeError where neither volume holds the label.
    """
    fixed.grid.require_same(moved.grid, "the moved labels")
    if not fixed.grid.is_orthonormal:
        raise GeometryError(
            "Found a grid with slanted axes, expected perpendicular ones: distances along slices would be wrong. "
            "Resample both label maps to fixed.grid.aligned_to_ras(spacing)."
        )
    a, b = ((volume.data[0] == label).cpu().numpy() for volume in (fixed, moved))
    if not (a.any() or b.any()):
        raise VolumeError(f"Found label {label} in neither volume, expected it in one at least. Choose a label in use.")
    if not (a.any() and b.any()):
        return SurfaceDistance(math.inf, math.inf, math.inf)
    box = _box(a | b)
    surface_a, surface_b = _surface(a[box]), _surface(b[box])
    from_a = _distance_to(surface_b, fixed.grid.spacing)[surface_a]
    from_b = _distance_to(surface_a, fixed.grid.spacing)[surface_b]
    return SurfaceDistance(
        float(np.concatenate([from_a, from_b]).mean()),
        float(max(np.percentile(from_a, 95), np.percentile(from_b, 95))),
        float(max(from_a.max(), from_b.max())),
    )


def _surface(mask: np.ndarray) -> np.ndarray:
    return mask & ~binary_erosion(mask)


def _distance_to(surface: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    return distance_transform_edt(~surface, sampling=spacing)


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    where = np.nonzero(mask)
    return tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in where)
