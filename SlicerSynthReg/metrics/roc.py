"""Receiver operating characteristic: area under the curve, its mean over cases, and the curve of graded answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm, rankdata


@dataclass(frozen=True)
class MeanAUC:
    """mean: over cases. lower, upper: 95 % bootstrap interval. cases: number with both classes."""

    mean: float
    lower: float
    upper: float
    cases: int


def auc(score: np.ndarray, positive: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return the area under the ROC curve: the probability that a positive scores above a negative, ties counting half.

    score: float, positive: bool, mask: bool or None for all; of one shape. NaN unless both classes occur.
    """
    chosen = np.ones(score.shape, dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    values, truth = np.asarray(score, dtype=float)[chosen], np.asarray(positive, dtype=bool)[chosen]
    ones, zeros = int(truth.sum()), int((~truth).sum())
    if not ones or not zeros:
        return float("nan")
    return float((rankdata(values)[truth].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def mean_auc(areas: Sequence[float], draws: int = 2000, seed: int = 0) -> MeanAUC:
    """Return the mean AUC of cases with its bootstrap interval, cases resampled with replacement; NaN are skipped."""
    known = np.array([area for area in areas if np.isfinite(area)])
    if not len(known):
        return MeanAUC(float("nan"), float("nan"), float("nan"), 0)
    drawn = known[np.random.default_rng(seed).integers(0, len(known), (draws, len(known)))].mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return MeanAUC(float(known.mean()), float(low), float(high), len(known))


@dataclass(frozen=True)
class Roc:
    """auc: area under the curve. lower, upper: its confidence interval. standard_error: of DeLong. false_alarm_rates,
    hit_rates: the curve, from (0, 0) to (1, 1)."""

    auc: float
    lower: float
    upper: float
    standard_error: float
    signals: int
    noises: int
    false_alarm_rates: tuple[float, ...]
    hit_rates: tuple[float, ...]


def roc(grades: Sequence[float], is_signal: Sequence[bool], level: float = 0.95) -> Roc:
    """Return the empirical ROC curve of graded answers; higher grades express more confidence in a signal.

    Area by the Mann-Whitney statistic, variance by DeLong (1988), interval on the logit scale (Pepe 2003; recommended
    by Pohar Perme and Manevski 2018). For perfect separation that variance is 0; the bound is then the area at which it
    is just plausible with the variance of Hanley and McNeil (1982). Raises ValueError for fewer than two of each.
    """
    values, signal = np.asarray(grades, dtype=float), np.asarray(is_signal, dtype=bool)
    signals, noises = int(signal.sum()), int((~signal).sum())
    if len(values) != len(signal) or min(signals, noises) < 2 or not np.isfinite(values).all():
        raise ValueError(f"Found {signals} signals and {noises} noises, expected finite grades of two or more of each.")
    ranks = rankdata(values)
    placed_signals = (ranks[signal] - rankdata(values[signal])) / noises
    placed_noises = 1 - (ranks[~signal] - rankdata(values[~signal])) / signals
    area = auc(values, signal)
    error = math.sqrt(placed_signals.var(ddof=1) / signals + placed_noises.var(ddof=1) / noises)
    z = float(norm.ppf((1 + level) / 2))
    if 0 < area < 1 and error > 0:
        half = z * error / (area * (1 - area))
        lower, upper = float(expit(logit(area) - half)), float(expit(logit(area) + half))
    else:
        bound = _plausible_below_one(signals, noises, z)
        lower, upper = (bound, 1.0) if area == 1 else (0.0, 1 - bound) if area == 0 else (0.0, 1.0)
    cuts = np.unique(values)[::-1]
    alarms = (0.0, *(float((values[~signal] >= cut).mean()) for cut in cuts))
    hits = (0.0, *(float((values[signal] >= cut).mean()) for cut in cuts))
    return Roc(area, lower, upper, error, signals, noises, alarms, hits)


def _plausible_below_one(signals: int, noises: int, z: float) -> float:
    """Return the area a with 1 - a = z sqrt(V(a)), V of Hanley and McNeil (1982)."""

    def excess(area: float) -> float:
        q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
        spread = area * (1 - area) + (signals - 1) * (q1 - area**2) + (noises - 1) * (q2 - area**2)
        return 1 - area - z * math.sqrt(spread / (signals * noises))

    return float(brentq(excess, 1e-9, 1 - 1e-9))
