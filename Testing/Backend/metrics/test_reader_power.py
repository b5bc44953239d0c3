"""Exact power by adding up binomials here, and by simulated studies."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from SlicerSynthReg.metrics.readers.power import (
    cases_for_power,
    cases_for_width,
    cases_to_rule_out,
    expected_width,
    p_values,
    power_against_chance,
    power_to_rule_out,
)
from SlicerSynthReg.metrics.readers.proportion import proportion


@pytest.mark.parametrize("chance", [0.5, 0.25, 0.9])
def test_the_test_that_is_planned_is_the_test_that_is_made(chance):
    for count in (1, 7, 20):
        assert p_values(count, chance) == pytest.approx([binomtest(k, count, chance).pvalue for k in range(count + 1)])


def test_power_of_twenty_pairs_by_its_rejection_region():
    """Against guessing, 20 pairs reject from 15 right answers on (p 0.041), and up to 5; 14 do not (0.115)."""
    assert power_against_chance(20, 0.85) == pytest.approx(binom.sf(14, 20, 0.85) + binom.cdf(5, 20, 0.85))
    assert power_against_chance(20, 0.5) == pytest.approx(0.0414, abs=1e-4), "the real size of the test"


def test_the_paper_could_have_seen_readers_right_in_85_but_not_in_65_of_a_hundred():
    assert power_against_chance(20, 0.85) > 0.9 and power_against_chance(20, 0.65) < 0.3


@pytest.mark.parametrize("accuracy", [0.9, 0.75, 0.65])
def test_from_the_number_on_power_is_kept(accuracy):
    found = cases_for_power(accuracy)
    assert found.reached == pytest.approx(power_against_chance(found.count, accuracy))
    assert power_against_chance(found.count - 1, accuracy) < 0.8
    assert all(power_against_chance(n, accuracy) >= 0.8 for n in range(found.count, 2 * found.count + 150))


def test_power_by_simulated_studies():
    random = np.random.default_rng(9)
    found = cases_for_power(0.75, power=0.9)
    rejected = [proportion(int(k), found.count).p_value <= 0.05 for k in random.binomial(found.count, 0.75, 1500)]
    assert np.mean(rejected) == pytest.approx(found.reached, abs=0.025)


def test_the_width_is_the_mean_over_outcomes():
    outcomes = [proportion(k, 30) for k in range(31)]
    by_hand = sum(binom.pmf(k, 30, 0.8) * (one.upper - one.lower) for k, one in enumerate(outcomes))
    assert expected_width(30, 0.8) == pytest.approx(by_hand)
    found = cases_for_width(0.8, 0.2)
    assert expected_width(found.count, 0.8) <= 0.2 < expected_width(found.count - 1, 0.8)
    assert found.reached == pytest.approx(expected_width(found.count, 0.8))


def test_ruling_out_uses_the_one_sided_bound():
    """90 % interval, of which the upper limit is the one-sided 95 % bound."""
    by_hand = sum(binom.pmf(k, 77, 0.5) for k in range(78) if proportion(k, 77, level=0.9).upper < 0.65)
    assert power_to_rule_out(77, 0.65) == pytest.approx(by_hand)
    found = cases_to_rule_out(0.65)
    assert found.reached >= 0.8 and power_to_rule_out(found.count - 1, 0.65) < 0.8


def test_goals_out_of_reach_are_refused():
    with pytest.raises(ValueError, match="expected a goal within reach"):
        cases_for_power(0.505)
    with pytest.raises(ValueError, match="above the true accuracy"):
        cases_to_rule_out(0.4)
    with pytest.raises(ValueError, match="accuracy = 85, expected a share"):
        cases_for_power(85)
