"""Proportions of correct answers: exact intervals and tests, for one reader and for several on the same cases."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta, binomtest, t

CHANCE = 0.5


@dataclass(frozen=True)
class Proportion:
    """lower, upper: confidence interval of `estimate`. p_value: two-sided, against `chance`."""

    successes: int
    count: int
    estimate: float
    lower: float
    upper: float
    p_value: float
    chance: float = CHANCE


def proportion(successes: int, count: int, chance: float = CHANCE, level: float = 0.95) -> Proportion:
    """Return the exact interval (Clopper and Pearson 1934) and the exact two-sided binomial test against `chance`.

    The p-value sums all outcomes no likelier than the observed one; for chance 1/2 it is twice the smaller tail.
    Raises ValueError unless 0 <= successes <= count and count > 0.
    """
    if not 0 <= successes <= count or count < 1:
        raise ValueError(f"Found {successes} of {count}, expected 0 <= successes <= count with at least one answer.")
    test = binomtest(successes, count, chance)
    interval = test.proportion_ci(level, method="exact")
    return Proportion(successes, count, successes / count, interval.low, interval.high, float(test.pvalue), chance)


def clopper_pearson(successes: float, count: float, level: float = 0.95) -> tuple[float, float]:
    """Return (lower, upper) by beta quantiles; successes and count may be fractional, as effective sizes are."""
    tail = (1 - level) / 2
    lower = 0.0 if successes <= 0 else float(beta.ppf(tail, successes, count - successes + 1))
    upper = 1.0 if successes >= count else float(beta.ppf(1 - tail, successes + 1, count - successes))
    return lower, upper


@dataclass(frozen=True)
class ClusteredProportion:
    """Proportion of several readers on the same cases. effective_count: equivalent number of independent answers."""

    successes: int
    count: int
    cases: int
    effective_count: float
    estimate: float
    lower: float
    upper: float


def clustered_proportion(
    correct: Sequence[bool], cases: Sequence[Hashable], level: float = 0.95
) -> ClusteredProportion:
    """Return the proportion of correct answers of all readers, whose answers to one case are correlated.

    correct, cases: one entry per answer. Korn and Graubard (1998): Clopper-Pearson interval at the effective sample
    size p (1 - p) / Var(p), corrected for degrees of freedom, with the linearised variance between cases. The effective
    size lies between the number of cases (used if all answers are equal, or for one case) and of answers.
    Raises ValueError.
    """
    right = np.asarray(correct, dtype=float)
    if not len(right) or len(right) != len(cases):
        raise ValueError(f"Found {len(right)} answers for {len(cases)} cases, expected a case for each of one or more.")
    codes = {case: number for number, case in enumerate(dict.fromkeys(cases))}
    which = np.array([codes[case] for case in cases])
    count, clusters, estimate = len(right), len(codes), float(right.mean())
    effective = float(clusters)
    if 0 < estimate < 1 and clusters > 1:
        residual = np.bincount(which, weights=right - estimate) / count
        variance = clusters / (clusters - 1) * float((residual**2).sum())
        size = count if variance == 0 else estimate * (1 - estimate) / variance
        tail = (1 + level) / 2
        adjusted = size * float(t.ppf(tail, count - 1) / t.ppf(tail, clusters - 1)) ** 2
        effective = min(max(adjusted, clusters), count)
    lower, upper = clopper_pearson(estimate * effective, effective, level)
    return ClusteredProportion(int(right.sum()), count, clusters, effective, estimate, lower, upper)
