"""Inter-reader and intra-reader agreement beyond chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t

NOMINAL, LINEAR, QUADRATIC = "nominal", "linear", "quadratic"
MISSING = -1


@dataclass(frozen=True)
class Agreement:
    """A coefficient of agreement: 1 for perfect agreement, 0 for chance.

    observed, expected: proportions of agreement, weighted if the coefficient is; expected: by chance. lower, upper:
    confidence interval, NaN if the standard error is 0 (all agree, or one rater used one category). estimate: NaN if
    all raters used one category.
    """

    name: str
    estimate: float
    lower: float
    upper: float
    standard_error: float
    observed: float
    expected: float
    cases: int


def cohen_kappa(
    first: Sequence[int], second: Sequence[int], categories: int, weights: str = NOMINAL, level: float = 0.95
) -> Agreement:
    """Return kappa of two raters (Cohen 1960), weighted for ordered categories (Cohen 1968; linear or quadratic).

    first, second: category of each case, 0 to categories - 1, or MISSING (the case is excluded). Standard error of
    Fleiss, Cohen and Everitt (1969), normal interval. Raises ValueError.
    """
    pairs = [(a, b) for a, b in zip(_checked(first, categories), _checked(second, categories)) if MISSING not in (a, b)]
    if len(first) != len(second) or not pairs:
        raise ValueError(f"Found {len(first)} and {len(second)} ratings, expected the same cases, one rated by both.")
    table = np.zeros((categories, categories))
    for a, b in pairs:
        table[a, b] += 1
    count = len(pairs)
    shares, weight = table / count, agreement_weights(categories, weights)
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    observed, chance = float((weight * shares).sum()), float((weight * np.outer(rows, columns)).sum())
    if math.isclose(chance, 1):
        return _undefined("Cohen's kappa", observed, chance, count)
    kappa = (observed - chance) / (1 - chance)
    expected = (weight @ columns)[:, None] + (rows @ weight)[None, :]
    spread = float((shares * (weight - expected * (1 - kappa)) ** 2).sum()) - (kappa - chance * (1 - kappa)) ** 2
    error = math.sqrt(max(0.0, spread) / count) / (1 - chance)
    name = "Cohen's kappa" if weights == NOMINAL else f"Cohen's kappa, {weights} weights"
    return _with_interval(_undefined(name, observed, chance, count), kappa, error, _normal(level))


def fleiss_kappa(ratings: Sequence[Sequence[int]], categories: int, level: float = 0.95) -> Agreement:
    """Return kappa of any number of raters (Fleiss 1971; Scott's pi for two), with the variance of Gwet (2008).

    ratings: one row per case with the category (0 to categories - 1) of each rater, or MISSING. A case rated once
    counts towards chance agreement only. Interval: t with cases - 1 degrees of freedom. Raises ValueError.
    """
    votes, share, count = _votes(ratings, categories)
    by_case = votes @ share / votes.sum(axis=1)
    return _linearised("Fleiss' kappa", votes, by_case, float((share**2).sum()), count, level)


def gwet_ac1(ratings: Sequence[Sequence[int]], categories: int, level: float = 0.95) -> Agreement:
    """Return AC1 (Gwet 2008), which is robust if nearly all cases are of one category. Arguments as `fleiss_kappa`.

    categories: all categories offered, since chance agreement depends on their number.
    """
    votes, share, count = _votes(ratings, categories)
    by_case = votes @ (1 - share) / votes.sum(axis=1) / (categories - 1)
    chance = float((share * (1 - share)).sum()) / (categories - 1)
    return _linearised("Gwet's AC1", votes, by_case, chance, count, level)


def agreement_weights(categories: int, weights: str) -> np.ndarray:
    """Return weights (categories, categories): 1 on the diagonal, decreasing with the distance of two categories."""
    apart = np.abs(np.subtract.outer(np.arange(categories), np.arange(categories))) / max(1, categories - 1)
    kinds = {NOMINAL: (apart == 0).astype(float), LINEAR: 1 - apart, QUADRATIC: 1 - apart**2}
    if weights not in kinds:
        raise ValueError(f"Found the weights {weights!r}, expected one of {', '.join(kinds)}.")
    return kinds[weights]


def _votes(ratings: Sequence[Sequence[int]], categories: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return votes (cases, categories) of rated cases, mean share of each category, and number of cases rated twice or
    more."""
    if categories < 2:
        raise ValueError(f"Found {categories} categories, expected two or more.")
    votes = np.array([np.bincount(_given(row, categories), minlength=categories) for row in ratings], dtype=float)
    votes = votes[votes.sum(axis=1) > 0] if len(votes) else votes
    both = int((votes.sum(axis=1) > 1).sum()) if len(votes) else 0
    if both < 2:
        raise ValueError(f"Found {both} cases rated by two or more, expected two such cases at least.")
    return votes, (votes / votes.sum(axis=1, keepdims=True)).mean(axis=0), both


def _linearised(
    name: str, votes: np.ndarray, chance_by_case: np.ndarray, chance: float, rated: int, level: float
) -> Agreement:
    """Return the coefficient and its linearised standard error (Gwet 2008, eq. 35)."""
    cases, raters = len(votes), votes.sum(axis=1)
    agreeing = (votes * (votes - 1)).sum(axis=1) / np.maximum(raters * (raters - 1), 1)
    observed = float(agreeing.sum()) / rated
    if math.isclose(chance, 1):
        return _undefined(name, observed, chance, rated)
    value = (observed - chance) / (1 - chance)
    parts = cases / rated * (agreeing - chance * (raters > 1)) / (1 - chance)
    parts = parts - 2 * (1 - value) * (chance_by_case - chance) / (1 - chance)
    error = math.sqrt(float(((parts - value) ** 2).sum()) / (cases * (cases - 1)))
    width = float(t.ppf((1 + level) / 2, cases - 1))
    return _with_interval(_undefined(name, observed, chance, rated), value, error, width)


def _with_interval(agreement: Agreement, value: float, error: float, width: float) -> Agreement:
    """Return `agreement` with its estimate, standard error and, if that is not 0, the interval of `width` errors."""
    if error < 1e-12:
        return replace(agreement, estimate=value, standard_error=0.0)
    lower, upper = max(-1.0, value - width * error), min(1.0, value + width * error)
    return replace(agreement, estimate=value, standard_error=error, lower=lower, upper=upper)


def _undefined(name: str, observed: float, chance: float, cases: int) -> Agreement:
    return Agreement(name, math.nan, math.nan, math.nan, math.nan, observed, chance, cases)


def _normal(level: float) -> float:
    return float(t.ppf((1 + level) / 2, np.inf))


def _checked(ratings: Sequence[int], categories: int) -> list[int]:
    given = [int(rating) for rating in ratings]
    wrong = [response for response in given if response != MISSING and not 0 <= response < categories]
    if wrong:
        raise ValueError(f"Found the category {wrong[0]}, expected 0 to {categories - 1}, or {MISSING} for none.")
    return given


def _given(row: Sequence[int], categories: int) -> list[int]:
    return [item for item in _checked(row, categories) if item != MISSING]
