"""Rotation search and affine Gauss-Newton on an analytic scene."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from SlicerSynthReg.registration.affine import AffineConfig, fit_affine
from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.registration.global_search import RotationSearchConfig, rotation_lattice, rotation_search

CONFIG = AffineConfig(points=4000)


def degrees_between(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.rad2deg(Rotation.from_matrix(one[:3, :3].T @ two[:3, :3]).magnitude()))


@pytest.fixture
def rotation_32_degrees_shift_40_mm() -> np.ndarray:
    """4x4 fixed -> moving about an axis that is none of the grid's."""
    matrix = np.eye(4)
    axis = np.array([1.0, -2.0, 1.5])
    matrix[:3, :3] = Rotation.from_rotvec(np.deg2rad(32) * axis / np.linalg.norm(axis)).as_matrix()
    matrix[:3, 3] = np.array([2.0, 1.0, -2.0]) / 3 * 40
    return matrix


@pytest.mark.parametrize("crop", [(), (0, 0, 5), (4, 0, 0)])
def test_search_and_fit_recover_a_rigid_map_from_a_partial_field_of_view(
    crop, rotation_32_degrees_shift_40_mm, random_scene, scene_on, a_grid_of, distance_mm
):
    truth = rotation_32_degrees_shift_40_mm
    scene = random_scene()
    whole = a_grid_of((20, 20, 20), (10.0, 10.0, 10.0))
    fixed = scene_on(scene, whole.cropped(crop, whole.shape) if crop else whole)
    moving = scene_on(scene, a_grid_of((21, 23, 22), (10.0, 10.0, 10.0), truth[:3, 3]), np.linalg.inv(truth))
    candidates = rotation_search(fixed, moving, RotationSearchConfig())
    assert [score for score, _ in candidates] == sorted((score for score, _ in candidates), reverse=True)
    start = candidates[0][1]
    assert degrees_between(start, truth) < 14 < degrees_between(np.linalg.inv(start), truth)
    assert distance_mm(start, truth, fixed).mean() < 20 < 35 < distance_mm(np.eye(4), truth, fixed).mean()
    fit = fit_affine(fixed, moving, start, CONFIG)
    assert distance_mm(fit.matrix, truth, fixed).max() < 2.5  # a quarter of a voxel


def test_score_of_equal_images_is_one(random_scene, scene_on, a_grid_of):
    fixed = scene_on(random_scene(), a_grid_of((20, 20, 20), (10.0, 10.0, 10.0)))
    (score, matrix), *others = rotation_search(fixed, fixed, RotationSearchConfig())
    assert score == pytest.approx(1, abs=1e-3) and np.allclose(matrix, np.eye(4), atol=1e-6)
    assert all(other < 0.95 for other, _ in others)


@pytest.mark.parametrize("shift", [130.0, -130.0])
def test_large_translation_does_not_wrap_around(shift, random_scene, scene_on, a_grid_of):
    """130 of 200 mm, half of it by the grids and half by the voxels in them, to either side."""
    truth = np.eye(4)
    truth[0, 3] = shift
    scene = random_scene()
    fixed = scene_on(scene, a_grid_of((20, 20, 20), (10.0, 10.0, 10.0)))
    moving = scene_on(scene, a_grid_of((20, 20, 20), (10.0, 10.0, 10.0), (shift / 2, 0, 0)), np.linalg.inv(truth))
    assert np.allclose(rotation_search(fixed, moving, RotationSearchConfig(max_angle=10.0))[0][1], truth, atol=5.1)


def test_rotation_lattice_fills_the_range_and_contains_the_identity():
    turns = rotation_lattice(50.0, 16.0)
    angles = np.sort([np.rad2deg(Rotation.from_matrix(turn).magnitude()) for turn in turns])
    assert angles[0] == pytest.approx(0, abs=1e-6) and angles[1] == pytest.approx(16) and 45 < angles[-1] <= 50
    assert len(turns) == len({tuple(np.round(turn, 6).flatten()) for turn in turns})


def test_affine_is_recovered_within_a_third_of_a_millimetre(
    known_affine, random_scene, scene_on, a_grid_of, distance_mm
):
    """The two grids differ in count, spacing and centre, and neither is isotropic."""
    scene = random_scene(3)
    fixed = scene_on(scene, a_grid_of((34, 42, 30), (4.5, 4.0, 5.5)))
    moving = scene_on(scene, a_grid_of((40, 36, 48), (4.0, 5.0, 3.5), (5, -4, 2)), np.linalg.inv(known_affine))
    fit = fit_affine(fixed, moving, np.eye(4), CONFIG)
    assert distance_mm(np.eye(4), known_affine, fixed).mean() > 8
    assert distance_mm(fit.matrix, known_affine, fixed).max() < 0.3
    assert distance_mm(np.linalg.inv(fit.matrix), known_affine, fixed).min() > 1  # not moving -> fixed


def test_rigid_iterations_preserve_lengths(known_affine, random_scene, scene_on, a_grid_of):
    scene, grid = random_scene(3), a_grid_of((30, 36, 32), (5.5, 5.0, 5.5))
    fixed, moving = scene_on(scene, grid), scene_on(scene, grid, np.linalg.inv(known_affine))
    fit = fit_affine(fixed, moving, np.eye(4), AffineConfig(rigid_iterations=8, affine_iterations=0, points=2000))
    assert np.allclose(fit.matrix[:3, :3] @ fit.matrix[:3, :3].T, np.eye(3), atol=1e-9)
    assert not np.allclose(fit.matrix, np.eye(4), atol=0.5)


def test_excluded_voxels_do_not_influence_the_fit(known_affine, random_scene, scene_on, a_grid_of, distance_mm):
    """A bright object moved elsewhere: excluded it has no effect, included it biases the fit."""
    scene, grid = random_scene(3), a_grid_of((32, 38, 34), (5.0, 5.0, 5.0))
    fixed, moving = scene_on(scene, grid), scene_on(scene, grid, np.linalg.inv(known_affine))
    values, weight = fixed.values.clone(), fixed.weight.clone()
    values[:, 6:14, 10:20, 18:26] += 6.0
    altered = moving.values.clone()
    altered[:, 12:20, 10:20, 22:30] += 6.0
    weight[4:16, 8:22, 16:28] = 0
    moving_weight = moving.weight.clone()
    moving_weight[10:22, 8:22, 20:32] = 0
    masked = fit_affine(
        FeatureImage(values, weight, grid), FeatureImage(altered, moving_weight, grid), np.eye(4), CONFIG
    )
    biased = fit_affine(
        FeatureImage(values, fixed.weight, grid), FeatureImage(altered, moving.weight, grid), np.eye(4), CONFIG
    )
    assert distance_mm(masked.matrix, known_affine, fixed).max() < 0.6
    assert distance_mm(biased.matrix, known_affine, fixed).max() > 4


def test_perfect_start_is_kept(random_scene, scene_on, a_grid_of, distance_mm):
    image = scene_on(random_scene(2), a_grid_of((24, 28, 26), (6.0, 6.0, 6.0)))
    fit = fit_affine(image, image, np.eye(4), CONFIG)
    assert distance_mm(fit.matrix, np.eye(4), image).max() < 0.05


@pytest.mark.parametrize("scale", [0.97, 1.03])
def test_residual_is_lowest_at_the_known_map(scale, known_affine, random_scene, scene_on, a_grid_of):
    """Weights fade at the rim: to shrink the fixed body into the moving one must not lower the residual."""
    scene, grid = random_scene(3), a_grid_of((32, 38, 34), (5.0, 5.0, 5.0))
    fixed, moving = scene_on(scene, grid), scene_on(scene, grid, np.linalg.inv(known_affine))
    nothing = AffineConfig(rigid_iterations=0, affine_iterations=0, points=4000)
    there = fit_affine(fixed, moving, known_affine, nothing).residual
    beside = fit_affine(fixed, moving, known_affine @ np.diag([scale, scale, scale, 1.0]), nothing).residual
    assert there < beside


def test_scaling_is_fitted_after_the_rigid_part_has_converged(random_scene, scene_on, a_grid_of, distance_mm):
    """Nothing to turn or to shift: the damping that its rejected steps leave behind must not end the affine part."""
    truth = np.diag([1.08, 0.94, 1.05, 1.0])
    scene, grid = random_scene(3), a_grid_of((32, 38, 34), (5.0, 5.0, 5.0))
    fixed, moving = scene_on(scene, grid), scene_on(scene, grid, np.linalg.inv(truth))
    fit = fit_affine(fixed, moving, np.eye(4), CONFIG)
    assert distance_mm(fit.matrix, truth, fixed).max() < 0.3 < distance_mm(np.eye(4), truth, fixed).mean()
