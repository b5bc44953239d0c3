from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from SlicerSynthReg.methods.instance.affine import AffineConfig, fit_affine
from SlicerSynthReg.methods.instance.channels import Channels
from SlicerSynthReg.methods.instance.search import SearchConfig, rotations, search

CONFIG = AffineConfig(points=4000)


def degrees_between(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.rad2deg(Rotation.from_matrix(one[:3, :3].T @ two[:3, :3]).magnitude()))


@pytest.fixture
def turned_32_degrees_and_shifted_40_mm() -> np.ndarray:
    """4x4 fixed -> moving about an axis that is none of the grid's."""
    matrix = np.eye(4)
    axis = np.array([1.0, -2.0, 1.5])
    matrix[:3, :3] = Rotation.from_rotvec(np.deg2rad(32) * axis / np.linalg.norm(axis)).as_matrix()
    matrix[:3, 3] = np.array([2.0, 1.0, -2.0]) / 3 * 40
    return matrix


@pytest.mark.parametrize("crop", [(), (0, 0, 5), (4, 0, 0)])
def test_search_and_fit_recover_a_turn_and_a_shift_from_part_of_the_field_of_view(
    crop, turned_32_degrees_and_shifted_40_mm, a_scene_of, seen_on, a_grid_of, apart_mm
):
    truth = turned_32_degrees_and_shifted_40_mm
    scene = a_scene_of()
    whole = a_grid_of((20, 20, 20), (10.0, 10.0, 10.0))
    fixed = seen_on(scene, whole.cropped(crop, whole.shape) if crop else whole)
    moving = seen_on(scene, a_grid_of((21, 23, 22), (10.0, 10.0, 10.0), truth[:3, 3]), np.linalg.inv(truth))
    candidates = search(fixed, moving, SearchConfig())
    assert [score for score, _ in candidates] == sorted((score for score, _ in candidates), reverse=True)
    start = candidates[0][1]
    assert degrees_between(start, truth) < 14 < degrees_between(np.linalg.inv(start), truth)
    assert apart_mm(start, truth, fixed).mean() < 20 < 35 < apart_mm(np.eye(4), truth, fixed).mean()
    fit = fit_affine(fixed, moving, start, CONFIG)
    assert apart_mm(fit.matrix, truth, fixed).max() < 2.5  # a quarter of a voxel


def test_the_score_of_equal_images_is_one(a_scene_of, seen_on, a_grid_of):
    fixed = seen_on(a_scene_of(), a_grid_of((20, 20, 20), (10.0, 10.0, 10.0)))
    (score, matrix), *others = search(fixed, fixed, SearchConfig())
    assert score == pytest.approx(1, abs=1e-3) and np.allclose(matrix, np.eye(4), atol=1e-6)
    assert all(other < 0.95 for other, _ in others)


@pytest.mark.parametrize("shift", [130.0, -130.0])
def test_a_shift_of_most_of_the_field_of_view_does_not_wrap_around(shift, a_scene_of, seen_on, a_grid_of):
    """130 of 200 mm, half of it by the grids and half by the voxels in them, to either side."""
    truth = np.eye(4)
    truth[0, 3] = shift
    scene = a_scene_of()
    fixed = seen_on(scene, a_grid_of((20, 20, 20), (10.0, 10.0, 10.0)))
    moving = seen_on(scene, a_grid_of((20, 20, 20), (10.0, 10.0, 10.0), (shift / 2, 0, 0)), np.linalg.inv(truth))
    assert np.allclose(search(fixed, moving, SearchConfig(cone=10.0))[0][1], truth, atol=5.1)


def test_rotations_fill_the_cone_and_hold_the_identity():
    turns = rotations(50.0, 16.0)
    angles = np.sort([np.rad2deg(Rotation.from_matrix(turn).magnitude()) for turn in turns])
    assert angles[0] == pytest.approx(0, abs=1e-6) and angles[1] == pytest.approx(16) and 45 < angles[-1] <= 50
    assert len(turns) == len({tuple(np.round(turn, 6).flatten()) for turn in turns})


def test_twelve_parameters_are_recovered_within_a_third_of_a_millimetre(
    twelve_parameters, a_scene_of, seen_on, a_grid_of, apart_mm
):
    """The two grids differ in count, spacing and centre, and neither is isotropic."""
    scene = a_scene_of(3)
    fixed = seen_on(scene, a_grid_of((34, 42, 30), (4.5, 4.0, 5.5)))
    moving = seen_on(scene, a_grid_of((40, 36, 48), (4.0, 5.0, 3.5), (5, -4, 2)), np.linalg.inv(twelve_parameters))
    fit = fit_affine(fixed, moving, np.eye(4), CONFIG)
    assert apart_mm(np.eye(4), twelve_parameters, fixed).mean() > 8
    assert apart_mm(fit.matrix, twelve_parameters, fixed).max() < 0.3
    assert apart_mm(np.linalg.inv(fit.matrix), twelve_parameters, fixed).min() > 1  # not moving -> fixed


def test_rigid_iterations_alone_keep_lengths(twelve_parameters, a_scene_of, seen_on, a_grid_of):
    scene, grid = a_scene_of(3), a_grid_of((30, 36, 32), (5.5, 5.0, 5.5))
    fixed, moving = seen_on(scene, grid), seen_on(scene, grid, np.linalg.inv(twelve_parameters))
    fit = fit_affine(fixed, moving, np.eye(4), AffineConfig(rigid_iterations=8, affine_iterations=0, points=2000))
    assert np.allclose(fit.matrix[:3, :3] @ fit.matrix[:3, :3].T, np.eye(3), atol=1e-9)
    assert not np.allclose(fit.matrix, np.eye(4), atol=0.5)


def test_what_does_not_count_does_not_pull(twelve_parameters, a_scene_of, seen_on, a_grid_of, apart_mm):
    """A bright object that moved elsewhere: masked out of the fixed image it does nothing, counted it drags."""
    scene, grid = a_scene_of(3), a_grid_of((32, 38, 34), (5.0, 5.0, 5.0))
    fixed, moving = seen_on(scene, grid), seen_on(scene, grid, np.linalg.inv(twelve_parameters))
    values, weight = fixed.values.clone(), fixed.weight.clone()
    values[:, 6:14, 10:20, 18:26] += 6.0
    strange = moving.values.clone()
    strange[:, 12:20, 10:20, 22:30] += 6.0
    weight[4:16, 8:22, 16:28] = 0
    moving_weight = moving.weight.clone()
    moving_weight[10:22, 8:22, 20:32] = 0
    masked = fit_affine(Channels(values, weight, grid), Channels(strange, moving_weight, grid), np.eye(4), CONFIG)
    dragged = fit_affine(
        Channels(values, fixed.weight, grid), Channels(strange, moving.weight, grid), np.eye(4), CONFIG
    )
    assert apart_mm(masked.matrix, twelve_parameters, fixed).max() < 0.6
    assert apart_mm(dragged.matrix, twelve_parameters, fixed).max() > 4


def test_a_perfect_start_stays(a_scene_of, seen_on, a_grid_of, apart_mm):
    image = seen_on(a_scene_of(2), a_grid_of((24, 28, 26), (6.0, 6.0, 6.0)))
    fit = fit_affine(image, image, np.eye(4), CONFIG)
    assert apart_mm(fit.matrix, np.eye(4), image).max() < 0.05


@pytest.mark.parametrize("scale", [0.97, 1.03])
def test_the_residual_is_lowest_at_the_truth(scale, twelve_parameters, a_scene_of, seen_on, a_grid_of):
    """With weights that fade at the rim: to lead the fixed body into the middle of the moving one must not pay."""
    scene, grid = a_scene_of(3), a_grid_of((32, 38, 34), (5.0, 5.0, 5.0))
    fixed, moving = seen_on(scene, grid), seen_on(scene, grid, np.linalg.inv(twelve_parameters))
    nothing = AffineConfig(rigid_iterations=0, affine_iterations=0, points=4000)
    there = fit_affine(fixed, moving, twelve_parameters, nothing).residual
    beside = fit_affine(fixed, moving, twelve_parameters @ np.diag([scale, scale, scale, 1.0]), nothing).residual
    assert there < beside


def test_stretches_are_fitted_also_when_the_rigid_part_has_long_converged(a_scene_of, seen_on, a_grid_of, apart_mm):
    """Nothing to turn or to shift: the damping that its rejected steps leave behind must not end the affine part."""
    truth = np.diag([1.08, 0.94, 1.05, 1.0])
    scene, grid = a_scene_of(3), a_grid_of((32, 38, 34), (5.0, 5.0, 5.0))
    fixed, moving = seen_on(scene, grid), seen_on(scene, grid, np.linalg.inv(truth))
    fit = fit_affine(fixed, moving, np.eye(4), CONFIG)
    assert apart_mm(fit.matrix, truth, fixed).max() < 0.3 < apart_mm(np.eye(4), truth, fixed).mean()
