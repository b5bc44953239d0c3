"""The affine stage: two heads from raw headers, whatever way they lie, brought upon each other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn import functional as F

from SlicerSynthReg.losses.mind import mind_ssc
from SlicerSynthReg.methods.instance.affine import AffineConfig, fit_affine
from SlicerSynthReg.methods.instance.channels import Channels
from SlicerSynthReg.methods.instance.search import SearchConfig, search
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Transform
from SlicerSynthReg.tasks.prepare import Scan, Side, counting, describe, middle_channels


@dataclass(frozen=True)
class PlacingConfig:
    """search: over rotations and translations. heat: the fit in which the candidates race. affine: the next fits, of
    which there are `rounds`. touch_up: the last, where a network's structures are known; one round then suffices."""

    search: SearchConfig = field(default_factory=SearchConfig)
    heat: AffineConfig = field(default_factory=lambda: AffineConfig(12, 6, 1500))
    affine: AffineConfig = field(default_factory=AffineConfig)
    rounds: int = 2
    touch_up: AffineConfig = field(default_factory=lambda: AffineConfig(0, 10, 4000))


def place(
    fixed: Scan,
    moving: Scan,
    config: PlacingConfig,
    initial: Transform | None = None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """4x4 fixed RAS -> moving RAS, and warnings.

    The search's candidates race on few voxels; the best is fitted on many, looking at the moving scan again, turned
    upright, in each round. `initial` (fixed RAS -> moving RAS) takes the place of the search.
    """
    seen = describe(fixed)
    if initial is not None:
        matrix = best_affine(initial, seen.middle)
    else:
        other = describe(moving)
        starts = [matrix for _, matrix in search(seen.coarse, other.coarse, config.search)]
        heats = [fit_affine(seen.steady, other.steady, start, config.heat) for start in starts]
        matrix = min(heats, key=lambda heat: heat.residual).matrix
    frame = roomy(Channels(fixed.image[None], counting(fixed), fixed.grid).bounding_box(0.2))
    for _ in range(config.rounds):
        upright = middle_channels(moving.on(frame, matrix))
        matrix = matrix @ fit_affine(seen.middle, upright, np.eye(4), config.affine).matrix
    return matrix, stretching(matrix)


def stretching(matrix: np.ndarray) -> tuple[str, ...]:
    """A warning where the linear part of a 4x4 stretches more than heads and bodies differ."""
    scale = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    if scale.max() <= 1.5 and scale.min() >= 0.6:
        return ()
    return (
        f"The affine part stretches by {scale.min():.2f} to {scale.max():.2f}, expected about 1. The scans may "
        "show different anatomy, or overlap too little: look at the picture before you use the result.",
    )


def touch_up(fixed: Side, moving: Side, box: Grid, config: PlacingConfig) -> np.ndarray:
    """4x4 fixed RAS -> what `moving` shows upright on `box`: a last fit, on structures and MIND at half resolution."""
    sides = []
    for side in (fixed, moving):
        half = F.avg_pool3d(side.image[None, None], 2)
        weight = F.avg_pool3d(side.weight[None, None], 2)
        structures = () if side.structures is None else (F.avg_pool3d(side.structures[None].cpu(), 2)[0] * weight[0],)
        values = torch.cat([mind_ssc(half)[0], weight[0], *structures])
        sides.append(Channels(values, (weight[0, 0] > 0.1).float(), box.scaled_down(2)))
    return fit_affine(sides[0], sides[1], np.eye(4), config.touch_up).matrix


def roomy(grid: Grid, margin_mm: float = 20.0) -> Grid:
    """The grid with room around it, so that what lies near its faces is seen whole."""
    low = tuple(-int(np.ceil(margin_mm / s)) for s in grid.spacing)
    return grid.cropped(low, tuple(n - a for n, a in zip(grid.shape, low)))


def best_affine(transform: Transform, fixed: Channels) -> np.ndarray:
    """The 4x4 that fits `transform` best where the fixed scan counts (least squares)."""
    inside = (fixed.weight > 0.3).nonzero().numpy()
    points = fixed.grid.index_to_world(
        inside[:: max(1, len(inside) // 2000)] if len(inside) > 10 else fixed.grid.corner_indices()
    )
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], 1)
    solution = np.linalg.lstsq(homogeneous, transform.map_points(points), rcond=None)[0]
    return np.vstack([solution.T, [0, 0, 0, 1]])
