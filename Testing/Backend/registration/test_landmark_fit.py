"""Linear maps fitted to landmarks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from SlicerSynthReg.errors import GeometryError
from SlicerSynthReg.registration.landmark_fit import best_affine, fit_landmarks

ROTATION = Rotation.from_euler("xyz", (20, -35, 70), degrees=True).as_matrix()
TRANSLATION = np.array([12.0, -80.0, 33.0])


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).uniform(-60, 60, (8, 3))


@pytest.mark.parametrize("count", [3, 4, 8])
def test_rigid_map_is_recovered_exactly(count, points):
    found = fit_landmarks(points[:count], points[:count] @ ROTATION.T + TRANSLATION)
    assert np.allclose(found[:3, :3], ROTATION) and np.allclose(found[:3, 3], TRANSLATION)


def test_six_pairs_determine_scaling_and_shear(points):
    linear = ROTATION @ np.array([[1.1, 0.1, 0], [0, 0.9, 0.05], [0, 0, 1.2]])
    found = fit_landmarks(points, points @ linear.T + TRANSLATION)
    assert np.allclose(found[:3, :3], linear)


def test_five_pairs_give_a_rigid_map(points):
    found = fit_landmarks(points[:5], points[:5] * 1.3)
    assert np.allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3))


def test_coplanar_points_give_a_rigid_map(points):
    flat = points * [1, 1, 0]
    found = fit_landmarks(flat, flat @ ROTATION.T * 1.2)
    assert np.allclose(found[:3, :3], ROTATION)


@pytest.mark.parametrize("count", [4, 8])
def test_map_is_never_a_reflection(count, points):
    found = fit_landmarks(points[:count], points[:count] * [-1, 1, 1])
    assert np.linalg.det(found[:3, :3]) > 0


def test_few_or_unequal_landmarks_are_refused(points):
    for fixed, moving in ((points[:2], points[:2]), (points[:4], points[:3])):
        with pytest.raises(GeometryError) as refused:
            fit_landmarks(fixed, moving)
        assert refused.value.code == "landmarks-count"


@pytest.mark.parametrize("which", [0, 1])
def test_collinear_landmarks_are_refused(which, points):
    line = np.outer(np.arange(8), [10.0, 20.0, -5.0])
    pair = [points, points]
    pair[which] = line
    with pytest.raises(GeometryError, match=("fixed", "moving")[which]) as refused:
        fit_landmarks(*pair)
    assert refused.value.code == "landmarks-collinear"


def test_best_affine_recovers_an_affine_map(points):
    linear = ROTATION @ np.diag([1.1, 0.8, 1.3])
    found = best_affine(points, points @ linear.T + TRANSLATION)
    assert np.allclose(found[:3, :3], linear) and np.allclose(found[:3, 3], TRANSLATION)
