"""Regularity of a transform: folding, volume change, and inverse consistency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SlicerSynthReg.io.image import Image, mask_voxels
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Transform

CHUNK_POINTS = 4_000_000


@dataclass(frozen=True)
class Regularity:
    """folding_fraction: fraction of voxels with a Jacobian determinant <= 0. jacobian_min, jacobian_max: range of the
    determinant; 1 keeps the volume, 2 doubles it from the fixed to the moving image."""

    folding_fraction: float
    jacobian_min: float
    jacobian_max: float


@dataclass(frozen=True)
class InverseConsistency:
    """|T^-1(T(x)) - x| over the voxels x of a grid, in mm and in voxels of that grid."""

    mean_mm: float
    percentile_95_mm: float
    max_mm: float
    mean_vox: float
    percentile_95_vox: float
    max_vox: float


def regularity(jacobian: Image, mask: Image | None = None) -> Regularity:
    """Summarise a map of det dT/dx over `mask`, a label image on its grid (None: every voxel). Raises GeometryError,
    ImageError (mask-empty)."""
    values = jacobian.data[0].cpu()
    values = values.flatten() if mask is None else values[mask_voxels(jacobian.grid, mask)]
    folding = 1 - int((values > 0).sum()) / len(values)
    return Regularity(folding, float(values.min()), float(values.max()))


def inverse_consistency(
    forward: Transform, backward: Transform, grid: Grid, mask: Image | None = None
) -> InverseConsistency:
    """Return the distance of a point from its start after `forward` (fixed to moving) and `backward`, RAS mm.

    Points are the voxel centres of `grid` within `mask`, mapped in float64 by the transforms themselves, not by fields
    resampled on `grid`. Raises GeometryError, ImageError (mask-empty).
    """
    index = mask_voxels(grid, mask).nonzero().numpy().astype(np.float64)
    in_mm, in_vox = [], []
    for chunk in np.array_split(index, -(-len(index) // CHUNK_POINTS)):
        start = grid.index_to_world(chunk)
        end = backward.map_points(forward.map_points(start))
        in_mm.append(np.linalg.norm(end - start, axis=1))
        in_vox.append(np.linalg.norm(grid.world_to_index(end) - chunk, axis=1))
    return InverseConsistency(*_mean_95_max(np.concatenate(in_mm)), *_mean_95_max(np.concatenate(in_vox)))


def _mean_95_max(values: np.ndarray) -> tuple[float, float, float]:
    return float(values.mean()), float(np.percentile(values, 95)), float(values.max())
