"""How well-behaved a transform is: folding, change of volume, and agreement with its inverse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SlicerSynthReg.evaluate.mask import mask_on
from SlicerSynthReg.space.differential import jacobian_determinant
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Transform
from SlicerSynthReg.volume.volume import Volume

POINTS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Regularity:
    """folding_share: voxels whose Jacobian determinant is not positive, 0 to 1. log_jacobian_sd: over the others.

    jacobian_min, jacobian_max: 1 keeps volume, 2 doubles it going from the fixed to the moving image.
    """

    folding_share: float
    log_jacobian_sd: float
    jacobian_min: float
    jacobian_max: float


@dataclass(frozen=True)
class InverseConsistency:
    """|T^-1(T(x)) - x| over the voxels x of a grid, in mm and in voxels along that grid's axes."""

    mean_mm: float
    percentile_95_mm: float
    max_mm: float
    mean_vox: float
    percentile_95_vox: float
    max_vox: float


def jacobian_map(transform: Transform, grid: Grid) -> Volume:
    """det dT/dx at each voxel of `grid`, by central differences of T sampled there; a scalar volume, no unit.

    The voxel axes cancel out of the determinant, so oblique and anisotropic grids give the value in world space.
    """
    return Volume(jacobian_determinant(transform.on(grid).u_vox[None]), grid, name="Jacobian determinant")


def regularity(jacobian: Volume, mask: Volume | None = None) -> Regularity:
    """Summary of a `jacobian_map` over `mask` (a label volume on the same grid; None for every voxel)."""
    values = jacobian.data[0].cpu()
    values = values.flatten() if mask is None else values[mask_on(jacobian.grid, mask)]
    upright = values[values > 0]
    deviation = float(upright.log().std(correction=0)) if len(upright) else float("nan")
    folded = 1 - len(upright) / len(values)
    return Regularity(folded, deviation, float(values.min()), float(values.max()))


def inverse_consistency(
    forward: Transform, backward: Transform, grid: Grid, mask: Volume | None = None
) -> InverseConsistency:
    """How far a point lands from its start after `forward` (fixed to moving) and then `backward`, both in RAS mm.

    The points are the voxel centres of `grid` inside `mask`; they are mapped by the transforms themselves in float64,
    not by fields resampled on `grid`.
    """
    index = mask_on(grid, mask).nonzero().numpy().astype(np.float64)
    in_mm, in_vox = [], []
    for chunk in np.array_split(index, -(-len(index) // POINTS_AT_ONCE)):
        start = grid.index_to_world(chunk)
        end = backward.map_points(forward.map_points(start))
        in_mm.append(np.linalg.norm(end - start, axis=1))
        in_vox.append(np.linalg.norm(grid.world_to_index(end) - chunk, axis=1))
    return InverseConsistency(*_mean_95_max(np.concatenate(in_mm)), *_mean_95_max(np.concatenate(in_vox)))


def _mean_95_max(values: np.ndarray) -> tuple[float, float, float]:
    return float(values.mean()), float(np.percentile(values, 95)), float(values.max())
