"""The affine stage for any anatomy: several starts race, the headers' own first, and what is doubtful is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from SlicerSynthReg.losses.mind import mind_ssc
from SlicerSynthReg.methods.instance.affine import AffineConfig, fit_affine
from SlicerSynthReg.methods.instance.channels import Channels
from SlicerSynthReg.methods.instance.search import SearchConfig, search
from SlicerSynthReg.methods.instance.shifts import best_shifts
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Transform
from SlicerSynthReg.tasks.placing import best_affine, roomy, stretching
from SlicerSynthReg.tasks.prepare import Scan, counting, describe, middle_channels

LEAST_SHARED = 0.2
"""Of what counts in the smaller image; starts that let the images share less are given up."""


@dataclass(frozen=True)
class AnywherePlacing:
    """search: over rotations and translations. heat: the fit in which the starts race. fit: the last one. trusted: how
    much better than the headers' start and the images' centres, in shares of the mismatch, one of the search's must be.
    mirrored: how much better the mirror image must fit to be doubtful. seen: share of what counts of the fixed image
    that is to be seen in the moving one. closely: up to so many voxels the last fit is repeated at full resolution."""

    search: SearchConfig = field(default_factory=lambda: SearchConfig(cone=32.0, candidates=2))
    heat: AffineConfig = field(default_factory=lambda: AffineConfig(15, 0, 2000))
    fit: AffineConfig = field(default_factory=AffineConfig)
    trusted: float = 0.03
    mirrored: float = 0.15
    seen: float = 0.25
    closely: int = 1_000_000


def place_anywhere(
    fixed: Scan,
    moving: Scan,
    kinds: tuple[Channels, Channels] | None,
    config: AnywherePlacing,
    initial: Transform | None = None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """4x4 fixed RAS -> moving RAS, and warnings. kinds: of tissue, where both scans are CT.

    Raced are the headers as they are, the images' centres upon each other, and the search's best; `initial` (fixed RAS
    -> moving RAS) takes the place of them all.
    """
    seen = middle_channels(fixed)
    frame = roomy(Channels(fixed.image[None], counting(fixed), fixed.grid).bounding_box(0.2), 5 * fixed.grid.spacing[0])
    if initial is None:
        starts = _starts(fixed, moving, kinds, config)
        heats = [_fitted(seen, moving, frame, start, config.heat) for start in starts]
        costs = [cost * (1 - config.trusted if n < 2 else 1) for n, (_, cost) in enumerate(heats)]
        matrix = heats[int(np.argmin(costs))][0] if np.isfinite(costs).any() else starts[2]
    else:
        matrix = best_affine(initial, seen)
    fit = config.fit
    matrix, cost = _fitted(seen, moving, frame, matrix, fit)
    look = _close if fixed.image.numel() <= config.closely else middle_channels
    if look is _close:
        seen = _close(fixed)
        matrix, cost = _fitted(seen, moving, frame, matrix, fit, look)
    doubts = [*stretching(matrix), *_little_seen(fixed, moving, matrix, config.seen)]
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    mirror[0, 3] = 2 * seen.centroid_mm()[0]
    other, _ = _fitted(middle_channels(fixed), moving, frame, matrix @ mirror, config.heat)
    _, mirrored = _fitted(seen, moving, frame, other, fit, look)
    if mirrored < (1 - config.mirrored) * cost:
        doubts.append(
            "The moving image fits better with left and right exchanged. One of the headers may be wrong: check which "
            "side is which before you use the result. Nothing was exchanged here."
        )
    return matrix, tuple(doubts)


def _starts(
    fixed: Scan, moving: Scan, kinds: tuple[Channels, Channels] | None, config: AnywherePlacing
) -> list[np.ndarray]:
    """The headers' start first, where it lets the images overlap at all."""
    centred = np.eye(4)
    centred[:3, 3] = moving.grid.center_mm - fixed.grid.center_mm
    if kinds is not None:
        return [np.eye(4), centred, *best_shifts(kinds[0], kinds[1])]
    found = search(describe(fixed).coarse, describe(moving).coarse, config.search)
    return [np.eye(4), centred, *(matrix for _, matrix in found)]


def _close(scan: Scan) -> Channels:
    """MIND at the scan's own voxels, where `middle_channels` looks at half the resolution."""
    return Channels(mind_ssc(scan.image[None, None])[0], counting(scan), scan.grid)


def _fitted(
    seen: Channels,
    moving: Scan,
    frame: Grid,
    start: np.ndarray,
    config: AffineConfig,
    looked_at: Callable[[Scan], Channels] = middle_channels,
) -> tuple[np.ndarray, float]:
    """`start` refined on MIND, the moving scan brought upright by it, and the mismatch that remains; infinite where the
    fields of view share too little. What lies beyond the moving scan's field of view does not count: it would be
    stretched to cover that too."""
    upright = looked_at(moving.on(frame, start))
    view = Channels(moving.image[None], torch.ones_like(moving.image), moving.grid).on(seen.grid, start).weight
    shared = Channels(seen.values, seen.weight * view, seen.grid)
    if float(shared.weight.sum()) < max(50.0, LEAST_SHARED * float(min(seen.weight.sum(), upright.weight.sum()))):
        return start, np.inf
    fit = fit_affine(shared, upright, np.eye(4), config)
    return start @ fit.matrix, fit.residual


def _little_seen(fixed: Scan, moving: Scan, matrix: np.ndarray, enough: float) -> list[str]:
    weight = counting(fixed)
    there = counting(moving.on(fixed.grid, matrix))
    shared = float((weight * there).sum() / weight.sum().clamp_min(1e-6))
    if shared >= enough:
        return []
    return [
        f"Only {100 * shared:.0f} % of what counts of the fixed image is seen in the moving one: nothing says where "
        "the rest belongs. Choose scans that show the same part of the body, or crop the fixed image to it."
    ]
