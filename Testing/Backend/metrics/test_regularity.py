from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.metrics.regularity import inverse_consistency, regularity
from SlicerSynthReg.spatial.differential import jacobian_determinant
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Affine, Displacement, Transform, Velocity
from Testing.Backend.refusals import refused


def shift(*mm):
    matrix = np.eye(4)
    matrix[:3, 3] = mm
    return Affine(matrix)


def jacobian_map(transform: Transform, grid: Grid) -> Image:
    """det dT/dx at each voxel of `grid`."""
    return Image(jacobian_determinant(transform.on(grid).u_vox[None]), grid)


def oblique() -> Grid:
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", [17, -23, 41], degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag([1.1, -2.3, 3.7])
    affine[:3, 3] = [12, -40, 8]
    return Grid((9, 8, 7), affine)


def test_the_jacobian_of_a_scaling_on_an_oblique_anisotropic_grid():
    found = jacobian_map(Affine(np.diag([1.5, 2.0, 0.5, 1.0])), oblique())
    assert torch.allclose(found.data, torch.full_like(found.data, 1.5), atol=1e-4)


def test_a_doubled_volume_is_twice_not_half():
    found = regularity(jacobian_map(Affine(np.diag([2.0, 1.0, 1.0, 1.0])), oblique()))
    assert found.jacobian_min == pytest.approx(2, abs=1e-4)


def test_range_and_folding_by_hand(image_of):
    found = regularity(image_of([[[1.0, math.e, -0.5, 0.0]]]))
    assert found.folding_fraction == 0.5  # 0 is folded too
    assert (found.jacobian_min, found.jacobian_max) == (-0.5, pytest.approx(math.e))


def test_a_mirror_folds_everywhere_and_a_nan_counts_as_folded(image_of):
    mirrored = regularity(jacobian_map(Affine(np.diag([-1.0, 1, 1, 1])), oblique()))
    assert mirrored.folding_fraction == 1
    assert regularity(image_of([[[1.0, math.nan]]])).folding_fraction == 0.5


def test_only_the_mask_counts(image_of, labels_of):
    jacobian = image_of([[[1.0, 1.0, -1.0, 1.0]]])
    assert regularity(jacobian, labels_of([[[1, 2, 0, 0]]])).folding_fraction == 0
    assert regularity(jacobian, labels_of([[[0, 0, 1, 3]]])).folding_fraction == 0.5


def test_inverse_consistency_in_mm_and_in_voxels_of_an_anisotropic_grid(grid_of):
    grid = grid_of((3, 3, 3), (1.0, 2.0, 5.0))
    found = inverse_consistency(shift(0, 0, 7), shift(0, 0, -2), grid)
    assert (found.mean_mm, found.percentile_95_mm, found.max_mm) == pytest.approx((5, 5, 5))
    assert (found.mean_vox, found.percentile_95_vox, found.max_vox) == pytest.approx((1, 1, 1))
    both = inverse_consistency(shift(3, 8, 0), Affine(), grid)
    assert both.mean_mm == pytest.approx(math.hypot(3, 8))
    assert both.mean_vox == pytest.approx(math.hypot(3, 4))  # not mm over a mean spacing


def test_the_inverse_is_taken_where_the_forward_leads():
    """T doubles x and its inverse halves it: -u would leave x (1 - 1/2) of it, evaluated at x and not at T(x)."""
    double, half = Affine(np.diag([2.0, 1, 1, 1])), Affine(np.diag([0.5, 1, 1, 1]))
    grid = Grid((5, 5, 5), np.eye(4))
    assert inverse_consistency(double, half, grid).max_mm < 1e-12
    assert inverse_consistency(double, double, grid).max_mm == pytest.approx(12)  # 4 x 4 - 4


def test_a_velocity_agrees_with_its_inverse_and_a_negated_displacement_does_not():
    grid = Grid((24, 24, 24), np.diag([2.0, 2.0, 2.0, 1.0]))
    i = torch.arange(24.0)
    wave = torch.sin(i * 2 * math.pi / 24)
    v = torch.zeros(3, 24, 24, 24)
    v[0] = 3 * wave[:, None, None]
    inner = torch.zeros(1, 24, 24, 24, dtype=torch.int32)
    inner[:, 6:18, 6:18, 6:18] = 1
    mask = Image(inner, grid, "labels")
    velocity = Velocity(v, grid)
    good = inverse_consistency(velocity, velocity.inverse(), grid, mask)
    u = velocity.integrated.u_vox
    naive = inverse_consistency(velocity, Displacement(-u, grid), grid, mask)
    assert good.mean_vox < 0.05 < 0.3 < naive.mean_vox
    assert good.mean_mm == pytest.approx(2 * good.mean_vox)


def test_percentiles_and_mask_of_inverse_consistency(grid_of, labels_of):
    grid = grid_of((1, 1, 5))
    u = torch.zeros(3, 1, 1, 5)
    u[2, 0, 0, 4] = -2.0
    found = inverse_consistency(Displacement(u, grid), Affine(), grid)
    assert (found.mean_mm, found.max_mm) == pytest.approx((0.4, 2))
    assert found.percentile_95_mm == pytest.approx(0.8 * 2)
    assert inverse_consistency(Displacement(u, grid), Affine(), grid, labels_of([[[1, 1, 1, 1, 0]]])).max_mm == 0


def test_an_empty_or_strange_mask_is_refused(image_of, labels_of):
    with refused("mask-empty"):
        regularity(image_of([[[1.0]]]), labels_of([[[0]]]))
    with refused("grid-mismatch"):
        regularity(image_of([[[1.0]]]), labels_of([[[1, 1]]]))
