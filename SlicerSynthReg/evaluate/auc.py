"""How well a map tells voxels that have changed from those that have not: area under the ROC curve, over cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata


@dataclass(frozen=True)
class Area:
    """mean over cases; lower, upper: 95 % interval by drawing cases anew; cases: those with both kinds of voxels."""

    mean: float
    lower: float
    upper: float
    cases: int


def auc(score: np.ndarray, changed: np.ndarray, within: np.ndarray | None = None) -> float:
    """Chance that a changed voxel scores above an unchanged one, ties counting half; NaN without both kinds.

    score: float and changed: bool, of one shape; within: bool, the voxels that count.
    """
    chosen = np.ones(score.shape, dtype=bool) if within is None else np.asarray(within, dtype=bool)
    values, truth = np.asarray(score, dtype=float)[chosen], np.asarray(changed, dtype=bool)[chosen]
    ones, zeros = int(truth.sum()), int((~truth).sum())
    if not ones or not zeros:
        return float("nan")
    return float((rankdata(values)[truth].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def area_over_cases(areas: Sequence[float], draws: int = 2000, seed: int = 0) -> Area:
    """Mean of the cases' areas and its bootstrap interval, cases drawn with replacement; NaN cases are left out."""
    known = np.array([area for area in areas if np.isfinite(area)])
    if not len(known):
        return Area(float("nan"), float("nan"), float("nan"), 0)
    drawn = known[np.random.default_rng(seed).integers(0, len(known), (draws, len(known)))].mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Area(float(known.mean()), float(low), float(high), len(known))
