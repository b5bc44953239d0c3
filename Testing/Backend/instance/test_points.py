from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from SlicerSynthReg.methods.instance.points import fit_points
from SlicerSynthReg.space.grid import GeometryError

TURN = Rotation.from_euler("xyz", (20, -35, 70), degrees=True).as_matrix()
SHIFT = np.array([12.0, -80.0, 33.0])


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).uniform(-60, 60, (8, 3))


@pytest.mark.parametrize("count", [3, 4, 8])
def test_a_turn_and_shift_are_found_exactly(count, points):
    found = fit_points(points[:count], points[:count] @ TURN.T + SHIFT)
    assert np.allclose(found[:3, :3], TURN) and np.allclose(found[:3, 3], SHIFT)


def test_six_pairs_tell_stretches_and_shears_too(points):
    linear = TURN @ np.array([[1.1, 0.1, 0], [0, 0.9, 0.05], [0, 0, 1.2]])
    found = fit_points(points, points @ linear.T + SHIFT)
    assert np.allclose(found[:3, :3], linear)


def test_five_pairs_are_too_few_for_stretches(points):
    found = fit_points(points[:5], points[:5] * 1.3)
    assert np.allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3))


def test_points_on_one_plane_tell_no_stretch_across_it(points):
    flat = points * [1, 1, 0]
    found = fit_points(flat, flat @ TURN.T * 1.2)
    assert np.allclose(found[:3, :3], TURN)


@pytest.mark.parametrize("count", [4, 8])
def test_a_mirror_image_is_never_the_answer(count, points):
    found = fit_points(points[:count], points[:count] * [-1, 1, 1])
    assert np.linalg.det(found[:3, :3]) > 0


def test_too_few_or_unequal_lists_are_refused(points):
    for fixed, moving in ((points[:2], points[:2]), (points[:4], points[:3])):
        with pytest.raises(GeometryError, match="expected the same 3 places"):
            fit_points(fixed, moving)


@pytest.mark.parametrize("which", [0, 1])
def test_points_in_a_line_are_refused_and_the_image_named(which, points):
    line = np.outer(np.arange(8), [10.0, 20.0, -5.0])
    pair = [points, points]
    pair[which] = line
    with pytest.raises(GeometryError, match=f"Found {('fixed', 'moving')[which]} landmarks in a line"):
        fit_points(*pair)
