"""Against the paper's counts, published tables, and sums done here by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from SlicerSynthReg.metrics.readers.proportion import clopper_pearson, clustered_proportion, proportion


def tails(successes: int, count: int) -> float:
    """Two-sided p against 1/2 by counting: twice the smaller tail."""
    far = max(successes, count - successes)
    return min(1.0, 2 * sum(math.comb(count, k) for k in range(far, count + 1)) / 2**count)


@pytest.mark.parametrize(
    ("successes", "lower", "upper"), [(17, 0.6211, 0.9679), (14, 0.4572, 0.8811), (20, 0.8316, 1.0)]
)
def test_the_counts_of_the_paper(successes, lower, upper):
    """MFM, section 4.2: 17 of 20 pairs, 14 of 20 singles, 20 of 20 for regression and diffusion. Exact limits as
    printed in tables of the binomial (20 observations, 95 %)."""
    found = proportion(successes, 20)
    assert (found.lower, found.upper) == pytest.approx((lower, upper), abs=5e-5)
    assert found.p_value == pytest.approx(tails(successes, 20))


def test_which_of_the_papers_counts_are_told_from_guessing():
    assert proportion(17, 20).p_value == pytest.approx(0.002577, abs=1e-6)
    assert proportion(14, 20).p_value == pytest.approx(0.115318, abs=1e-6)
    assert proportion(20, 20).p_value == pytest.approx(2 / 2**20)


@pytest.mark.parametrize(("successes", "count"), [(0, 1), (1, 1), (3, 7), (50, 100), (99, 100)])
def test_the_limits_are_where_their_tails_are_a_fortieth(successes, count):
    """The definition of Clopper and Pearson, by binomial sums instead of beta quantiles."""
    found = proportion(successes, count)
    if successes:
        assert binom.sf(successes - 1, count, found.lower) == pytest.approx(0.025)
    else:
        assert found.lower == 0
    if successes < count:
        assert binom.cdf(successes, count, found.upper) == pytest.approx(0.025)
    else:
        assert found.upper == 1
    assert clopper_pearson(successes, count) == pytest.approx((found.lower, found.upper))


def test_impossible_counts_are_refused():
    for successes, count in ((3, 2), (-1, 4), (0, 0)):
        with pytest.raises(ValueError, match="expected 0 <= successes <= count"):
            proportion(successes, count)


def test_readers_who_always_agree_tell_no_more_than_one():
    one_reader = [True] * 15 + [False] * 5
    found = clustered_proportion(one_reader * 3, list(range(20)) * 3)
    alone = proportion(15, 20)
    assert found.effective_count == pytest.approx(20)
    assert (found.lower, found.upper) == pytest.approx((alone.lower, alone.upper))
    assert (found.successes, found.count, found.cases) == (45, 60, 20)


def test_readers_who_err_independently_tell_nearly_as_much_as_more_cases():
    random = np.random.default_rng(3)
    right = random.random((3, 400)) < 0.8
    found = clustered_proportion(right.ravel().tolist(), list(range(400)) * 3)
    assert 950 < found.effective_count <= 1200


def test_all_right_is_as_wide_as_the_cases_allow():
    found = clustered_proportion([True] * 40, list(range(20)) * 2)
    assert (found.lower, found.upper) == pytest.approx((0.8316, 1.0), abs=5e-5)


def test_the_clustered_interval_covers_and_the_naive_one_does_not():
    """600 studies of 2 readers who look at the same 30 cases, some cases easy and some hard."""
    random = np.random.default_rng(11)
    covered = naive = 0
    for _ in range(600):
        ease = random.choice([0.98, 0.35], size=30, p=[0.6, 0.4])
        right = random.random((2, 30)) < ease
        truth = 0.6 * 0.98 + 0.4 * 0.35
        found = clustered_proportion(right.ravel().tolist(), list(range(30)) * 2)
        covered += found.lower <= truth <= found.upper
        lower, upper = clopper_pearson(right.sum(), 60)
        naive += lower <= truth <= upper
    assert covered / 600 > 0.94 > naive / 600 + 0.01
