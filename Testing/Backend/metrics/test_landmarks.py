from __future__ import annotations

import math

import numpy as np
import pytest

from SlicerSynthReg.metrics.landmarks import TargetRegistrationError, error_by_displacement, target_registration_error
from SlicerSynthReg.spatial.transform import Affine
from Testing.Backend.refusals import refused


def shift(*mm):
    matrix = np.eye(4)
    matrix[:3, 3] = mm
    return Affine(matrix)


def test_the_transform_carries_fixed_points_to_moving_ones():
    fixed = np.array([[0.0, 0, 0], [10, 0, 0]])
    moving = fixed + [3, 0, 4]
    assert target_registration_error(fixed, moving, shift(3, 0, 4)).mean_mm == 0  # the inverse would give 10
    assert target_registration_error(fixed, moving).mean_mm == 5
    assert target_registration_error(fixed, moving, shift(3, 0, 0)).displacements_mm.tolist() == [5, 5]


def test_the_mean_error_by_hand():
    moving = np.zeros((5, 3))
    moving[:, 1] = [0, 1, 2, 3, 14]
    error = target_registration_error(np.zeros((5, 3)), moving)
    assert error.mean_mm == 4


def test_bins_go_by_displacement_not_by_error_and_a_point_on_an_edge_belongs_above():
    error = TargetRegistrationError(np.array([9.0, 1.0, 2.0, 4.0]), np.array([0.0, 5.0, 9.0, 10.0]))
    near, middle, far = error_by_displacement(error, [0, 5, 10, 20])
    assert (near.count, near.mean_mm) == (1, 9)
    assert (middle.count, middle.mean_mm) == (2, 1.5)
    assert (far.count, far.mean_mm) == (1, 4)
    assert math.isnan(near.lower_mm) and math.isnan(near.upper_mm)


def test_an_empty_bin_has_no_mean():
    [band] = error_by_displacement(TargetRegistrationError(np.ones(3), np.ones(3)), [5, 6])
    assert band.count == 0 and math.isnan(band.mean_mm)


def test_the_band_is_that_of_the_mean_not_of_the_points():
    values = np.random.default_rng(1).normal(10, 2, 400)
    [band] = error_by_displacement(TargetRegistrationError(values, np.ones(400)), [0, 2])
    half = 1.96 * values.std() / math.sqrt(400)
    assert band.upper_mm - band.mean_mm == pytest.approx(half, rel=0.1)
    assert band.mean_mm - band.lower_mm == pytest.approx(half, rel=0.1)


def test_landmarks_of_one_person_are_drawn_together():
    """Four persons, a hundred equal landmarks each: there are four observations, not four hundred."""
    people = np.repeat([1.0, 2.0, 3.0, 4.0], 100)
    error = TargetRegistrationError(people, np.ones(400))
    [alone] = error_by_displacement(error, [0, 2])
    [together] = error_by_displacement(error, [0, 2], cases=people)
    assert together.mean_mm == alone.mean_mm == 2.5
    width = together.upper_mm - together.lower_mm
    # exact band of the mean of 4 draws from 1..4: P(sum <= 5) = 5/256 < 2.5 %, P(sum <= 6) = 15/256 > 2.5 %
    assert (together.lower_mm, together.upper_mm) == (1.5, 3.5)
    assert width > 8 * (alone.upper_mm - alone.lower_mm)


def test_the_same_seed_gives_the_same_band():
    error = TargetRegistrationError(np.arange(20.0), np.ones(20))
    assert error_by_displacement(error, [0, 2], seed=3) == error_by_displacement(error, [0, 2], seed=3)
    assert error_by_displacement(error, [0, 2], seed=3) != error_by_displacement(error, [0, 2], seed=4)


def test_found_expected_remedy():
    with refused("landmark-mismatch"):
        target_registration_error(np.zeros((3, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="ascending"):
        error_by_displacement(TargetRegistrationError(np.ones(2), np.ones(2)), [5, 5])
