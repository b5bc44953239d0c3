"""Coefficients against published worked values, and their errors against the jackknife and repeated studies."""

from __future__ import annotations

import math

import numpy as np
import pytest

from SlicerSynthReg.metrics.readers.agreement import (
    LINEAR,
    MISSING,
    QUADRATIC,
    agreement_weights,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
)


def raters(table: list[list[int]]) -> tuple[list[int], list[int]]:
    """Two raters' categories from their table of counts."""
    cells = [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    return [a for a, _ in cells], [b for _, b in cells]


ABSTRACTORS = [[13, 0, 0], [0, 20, 7], [0, 4, 56]]
"""Two abstractors of 100 charts (Gwet, Handbook of Inter-Rater Reliability; data cont3x3abstractors of irrCAC)."""
FOUR_RATERS = [
    [1, 1, 0, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4],
    [4, 4, 4, 4], [1, 1, 2, 1], [2, 2, 2, 2], [0, 5, 5, 5], [0, 0, 1, 1], [0, 0, 0, 3],
]  # fmt: skip
"""Krippendorff's example of four raters and twelve units, 0 for missing (data cac.raw4raters of irrCAC)."""


def test_two_raters_as_published():
    """irrCAC prints kappa 0.7964094 (SE 0.05891072), Scott's pi 0.7962397 (0.05905473), AC1 0.8493305 (0.04321747); its
    table functions divide the variance by n where Gwet's general formula, as here, divides by n - 1."""
    a, b = raters(ABSTRACTORS)
    rows, smaller = list(zip(a, b)), math.sqrt(99 / 100)
    kappa, pi, ac1 = cohen_kappa(a, b, 3), fleiss_kappa(rows, 3), gwet_ac1(rows, 3)
    assert (kappa.estimate, kappa.standard_error) == pytest.approx((0.7964094, 0.05891072), abs=5e-8)
    assert (pi.estimate, pi.standard_error * smaller) == pytest.approx((0.7962397, 0.05905473), abs=5e-8)
    assert (ac1.estimate, ac1.standard_error * smaller) == pytest.approx((0.8493305, 0.04321747), abs=5e-8)
    assert (kappa.observed, kappa.cases) == (pytest.approx(0.89), 100)


def test_four_raters_with_missing_ratings_as_published():
    """Gwet's AC1 0.775 (SE 0.143, 0.461 to 1) and Fleiss' kappa 0.761 (SE 0.153, 0.424 to 1) in the documentation of
    irrCAC; zero is not a category but no rating."""
    rows = [[one - 1 for one in row] for row in FOUR_RATERS]
    assert MISSING == -1
    ac1, kappa = gwet_ac1(rows, 5), fleiss_kappa(rows, 5)
    assert (ac1.estimate, ac1.standard_error) == pytest.approx((0.77544, 0.14295), abs=5e-6)
    assert (ac1.lower, ac1.upper) == pytest.approx((0.461, 1.0), abs=5e-4)
    assert (kappa.estimate, kappa.standard_error) == pytest.approx((0.76117, 0.15302), abs=5e-6)


def test_fleiss_kappa_of_ten_subjects_and_fourteen_raters():
    """The example of textbooks: kappa 0.210."""
    votes = [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
             [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]  # fmt: skip
    rows = [[grade for grade, count in enumerate(row) for _ in range(count)] for row in votes]
    assert fleiss_kappa(rows, 5).estimate == pytest.approx(0.210, abs=5e-4)


def test_weighted_kappa_by_disagreements():
    """Cohen 1968: 1 - (sum of weighted observed disagreement) / (of expected), squares of distances."""
    random = np.random.default_rng(1)
    a = random.integers(0, 4, 50)
    b = np.clip(a + random.integers(-1, 2, 50), 0, 3)
    for weights, power in ((LINEAR, 1), (QUADRATIC, 2)):
        observed = np.mean(np.abs(a - b) ** power)
        expected = np.mean(np.abs(a[:, None] - b[None, :]) ** power)
        found = cohen_kappa(a.tolist(), b.tolist(), 4, weights)
        assert found.estimate == pytest.approx(1 - observed / expected)
    assert agreement_weights(3, QUADRATIC).tolist() == [[1, 0.75, 0], [0.75, 1, 0.75], [0, 0.75, 1]]


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
def test_cohens_kappa_and_its_error_as_statsmodels_has_them(weights):
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater", reason="statsmodels is not installed")
    table = [[11, 3, 1, 0], [4, 9, 2, 2], [0, 3, 12, 4], [1, 0, 2, 6]]
    expected = inter_rater.cohens_kappa(table, wt=weights)
    found = cohen_kappa(*raters(table), 4, weights or "nominal")
    assert found.estimate == pytest.approx(expected.kappa) and found.standard_error == pytest.approx(expected.std_kappa)
    assert (found.lower, found.upper) == pytest.approx((expected.kappa_low, expected.kappa_upp))


@pytest.mark.parametrize("coefficient", [fleiss_kappa, gwet_ac1])
def test_errors_as_the_jackknife_has_them(coefficient):
    random = np.random.default_rng(4)
    truth = random.integers(0, 3, 200)
    rows = np.where(random.random((200, 4)) < 0.75, truth[:, None], random.integers(0, 3, (200, 4))).tolist()
    left_out = [coefficient(rows[:n] + rows[n + 1 :], 3).estimate for n in range(200)]
    jackknife = math.sqrt(199 / 200 * ((np.array(left_out) - np.mean(left_out)) ** 2).sum())
    assert coefficient(rows, 3).standard_error == pytest.approx(jackknife, rel=0.02)


def test_one_category_nearly_always():
    """The case AC1 is for: 98 % agreement, yet kappa says there is none."""
    a, b = raters([[98, 1], [1, 0]])
    assert cohen_kappa(a, b, 2).estimate == pytest.approx(-0.0101, abs=1e-4)
    assert gwet_ac1(list(zip(a, b)), 2).estimate == pytest.approx(0.9796, abs=1e-4)


def test_unused_categories_count_for_ac1():
    rows = [[0, 0], [1, 1], [0, 1], [1, 1]]
    assert gwet_ac1(rows, 5).estimate > gwet_ac1(rows, 2).estimate


def test_where_nothing_can_be_said_nothing_is():
    perfect = gwet_ac1([[0, 0], [1, 1], [1, 1]], 2)
    assert perfect.estimate == 1 and math.isnan(perfect.lower) and math.isnan(perfect.upper)
    assert math.isnan(cohen_kappa([0, 0, 0], [0, 0, 0], 2).estimate), "one category only"
    with pytest.raises(ValueError, match="two such cases"):
        fleiss_kappa([[0, 0], [1, MISSING]], 2)
    with pytest.raises(ValueError, match="category 2, expected 0 to 1"):
        cohen_kappa([0, 2], [0, 1], 2)


def test_missing_ratings_leave_the_case_out():
    full, gaps = cohen_kappa([0, 1, 1, 0], [0, 1, 0, 0], 2), cohen_kappa([0, 1, 1, 0, 1], [0, 1, 0, 0, MISSING], 2)
    assert full == gaps
