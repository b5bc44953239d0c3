"""d-prime against published tables, ROC against counted pairs, intervals against repeated studies."""

from __future__ import annotations

import math
from itertools import product
from statistics import NormalDist

import numpy as np
import pytest

from SlicerSynthReg.metrics.readers.detection import PAIRED, d_prime
from SlicerSynthReg.metrics.roc import roc

Z = NormalDist().inv_cdf


def test_d_prime_of_rates_without_correction_in_the_limit():
    """Tables of detection theory: H = 0.84, F = 0.16 give 1.99; with many trials the correction is nothing."""
    found = d_prime(84_000, 100_000, 16_000, 100_000)
    assert found.d_prime == pytest.approx(1.989, abs=1e-3) and found.bias == pytest.approx(0, abs=1e-9)
    paired = d_prime(84_000, 100_000, 16_000, 100_000, PAIRED)
    assert paired.d_prime == pytest.approx(1.989 / math.sqrt(2), abs=1e-3)


def test_the_correction_is_the_log_linear_one():
    found = d_prime(10, 10, 0, 10)
    assert (found.hit_rate, found.false_alarm_rate) == pytest.approx((10.5 / 11, 0.5 / 11))
    assert found.d_prime == pytest.approx(Z(10.5 / 11) - Z(0.5 / 11))
    assert d_prime(5, 10, 5, 10).d_prime == pytest.approx(0)


def test_saying_no_more_often_is_bias_and_not_sensitivity():
    yes, no = d_prime(60, 100, 40, 100), d_prime(20, 100, 9, 100)
    assert yes.bias == pytest.approx(0) and no.bias > 1
    assert yes.d_prime == pytest.approx(no.d_prime, abs=0.02)


def test_the_interval_of_d_prime_covers():
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(1000):
        hits, alarms = random.binomial(40, 0.8), random.binomial(40, 0.3)
        found = d_prime(int(hits), 40, int(alarms), 40)
        covered += found.lower <= Z(0.8) - Z(0.3) <= found.upper
    assert 0.93 < covered / 1000 < 0.985


def test_pairs_show_what_singles_show():
    """The sqrt(2): an ideal observer of d' = 1.2, once in pairs and once in singles."""
    random = np.random.default_rng(7)
    signal, noise = random.normal(1.2, 1, 40_000), random.normal(0, 1, 40_000)
    left = np.arange(40_000) % 2 == 0
    says_left = np.where(left, signal > noise, noise > signal)
    paired = d_prime(int(says_left[left].sum()), 20_000, int(says_left[~left].sum()), 20_000, PAIRED)
    single = d_prime(int((signal > 0.6).sum()), 40_000, int((noise > 0.6).sum()), 40_000)
    assert paired.d_prime == pytest.approx(1.2, abs=0.04) and single.d_prime == pytest.approx(1.2, abs=0.04)


def test_the_area_is_the_share_of_pairs_in_the_right_order():
    grades = [1, 2, 2, 3, 5, 2, 4, 4, 5, 5]
    signal = [False] * 5 + [True] * 5
    pairs = [(s > n) + (s == n) / 2 for s, n in product(grades[5:], grades[:5])]
    found = roc(grades, signal)
    assert found.auc == pytest.approx(sum(pairs) / 25)
    widths, heights = np.diff(found.false_alarm_rates), np.add(found.hit_rates[1:], found.hit_rates[:-1]) / 2
    area = float(widths @ heights)
    assert area == pytest.approx(found.auc), "the curve drawn has the area that is told"
    assert (found.false_alarm_rates[0], found.hit_rates[0]) == (0, 0)
    assert (found.false_alarm_rates[-1], found.hit_rates[-1]) == (1, 1)
    assert roc([-g for g in grades], signal).auc == pytest.approx(1 - found.auc)


def test_the_standard_error_is_delongs_by_its_definition():
    random = np.random.default_rng(2)
    x, y = random.integers(1, 7, 13).astype(float), random.integers(2, 8, 9).astype(float)
    kernel = np.array([[(b > a) + (a == b) / 2 for a in x] for b in y])
    expected = math.sqrt(kernel.mean(axis=1).var(ddof=1) / len(y) + kernel.mean(axis=0).var(ddof=1) / len(x))
    found = roc([*x, *y], [False] * 13 + [True] * 9)
    assert found.standard_error == pytest.approx(expected) and found.auc == pytest.approx(kernel.mean())
    half = 1.959964 * expected / (found.auc * (1 - found.auc))
    logit = math.log(found.auc / (1 - found.auc))
    assert found.upper == pytest.approx(1 / (1 + math.exp(-logit - half)), abs=1e-6)


def test_perfect_grades_leave_doubt_and_less_with_more_cases():
    few, many = (roc([0] * n + [1] * n, [False] * n + [True] * n) for n in (5, 50))
    assert few.auc == many.auc == 1 and few.upper == many.upper == 1
    assert 0.6 < few.lower < 0.8 < 0.95 < many.lower < 1
    reverse = roc([1] * 5 + [0] * 5, [False] * 5 + [True] * 5)
    assert (reverse.auc, reverse.lower, reverse.upper) == pytest.approx((0, 0, 1 - few.lower))


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_the_interval_of_the_area_covers(shift):
    random = np.random.default_rng(13)
    truth = NormalDist().cdf(shift / math.sqrt(2))
    labels = [False] * 20 + [True] * 20
    covered = 0
    for _ in range(400):
        grades = np.concatenate([random.normal(0, 1, 20), random.normal(shift, 1, 20)])
        found = roc(grades.tolist(), labels)
        covered += found.lower <= truth <= found.upper
    assert covered / 400 > 0.925


def test_too_few_of_a_kind_are_refused():
    with pytest.raises(ValueError, match="two or more of each"):
        roc([1, 2, 3], [True, True, False])
    with pytest.raises(ValueError, match="at least one of each"):
        d_prime(1, 2, 0, 0)
