"""Velocity fields and their flows: scaling and squaring against calculus."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from SlicerSynthReg.spatial.differential import jacobian_determinant
from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.spatial.ode import integrate
from SlicerSynthReg.spatial.sampling import resize_displacement, sample, sample_displaced
from SlicerSynthReg.spatial.transform import Displacement, Velocity, exponential


def folded(u_vox: torch.Tensor) -> float:
    """Fraction of voxels with a Jacobian determinant <= 0."""
    return float((jacobian_determinant(u_vox) <= 0).float().mean())


def composed(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Displacement of x -> second(first(x)), both (B, 3, I, J, K) in voxels of one grid."""
    return first + sample_displaced(second, first, index_lattice(tuple(first.shape[2:])))


def test_exp_of_minus_v_undoes_exp_of_v_and_minus_u_does_not(a_grid_of, a_smooth_velocity_on):
    v = a_smooth_velocity_on(a_grid_of((24, 24, 24)), 3.0)[None]
    u, w = exponential(v), exponential(-v)
    assert u.abs().max() > 2.5
    for first, second in ((u, w), (w, u)):
        left = composed(first, second).abs().max()
        negated = composed(first, -first).abs().max()
        assert left < 0.1 < 0.5 < negated


def test_the_error_of_the_inverse_shrinks_as_the_field_gets_smoother(a_grid_of, a_smooth_velocity_on):
    """One flow of space on 10^3, 20^3, 40^3 voxels: linear interpolation errs with the square of the voxel."""
    errors = []
    for n in (10, 20, 40):
        v = a_smooth_velocity_on(a_grid_of((n, n, n)), n / 10)[None]
        errors.append(float(composed(exponential(v), exponential(-v)).abs().max()) / n)
    assert errors[0] > 2.5 * errors[1] > 6 * errors[2]


def test_scaling_and_squaring_agrees_with_runge_kutta(a_grid_of, a_smooth_velocity_on):
    v = a_smooth_velocity_on(a_grid_of((24, 24, 24)), 3.0)[None]
    start = index_lattice((24, 24, 24))[None]
    followed = integrate(lambda x, t: sample(v, x, padding="border"), start, steps=12) - start
    found = exponential(v)
    assert (found - followed).abs().max() < 0.06
    assert (v - followed).abs().max() > 0.5  # one long step along v is another map


def test_a_constant_velocity_is_a_translation():
    v = torch.tensor([1.5, -2.0, 0.25]).view(1, 3, 1, 1, 1).expand(1, 3, 6, 7, 8)
    assert torch.allclose(exponential(v), v, atol=1e-5)


def test_the_flow_of_a_linear_velocity_is_the_matrix_exponential():
    m = np.array([[0.1, -0.5, 0.0], [0.45, -0.1, 0.1], [0.0, -0.15, 0.1]])
    n, c = 17, 8.0
    centred = index_lattice((n, n, n)) - c
    u = exponential(torch.einsum("ab,bijk->aijk", torch.from_numpy(m).float(), centred)[None])[0]
    expected = torch.einsum("ab,bijk->aijk", torch.from_numpy(expm(m) - np.eye(3)).float(), centred)
    inner = (slice(None), *[slice(5, 12)] * 3)  # from the faces' neighbourhood the flow leaves the grid
    length = float(expected[inner].abs().max())
    assert (u - expected)[inner].abs().max() < 0.01 * length
    naive = torch.einsum("ab,bijk->aijk", torch.from_numpy(m).float(), centred)
    assert (naive - expected)[inner].abs().max() > 0.15 * length


def test_more_squarings_come_closer(a_grid_of, a_smooth_velocity_on):
    """u_0 = v / 2^n is an Euler step: its error halves with each squaring, until interpolation's is left."""
    v = a_smooth_velocity_on(a_grid_of((24, 24, 24)), 3.0)[None]
    fine = exponential(v, 9)
    errors = [float((exponential(v, n) - fine).norm()) for n in (1, 2, 3, 4)]
    assert all(1.6 < a / b < 2.6 for a, b in zip(errors, errors[1:]))


def test_a_batch_element_flows_as_it_does_alone(a_grid_of, a_smooth_velocity_on):
    v = a_smooth_velocity_on(a_grid_of((8, 9, 10)))
    batch = torch.stack([v, -2 * v, v.flip(1)])
    together = exponential(batch, 5)
    for n in range(3):
        assert torch.equal(together[n : n + 1], exponential(batch[n : n + 1], 5))


def test_a_smooth_flow_nowhere_folds_though_its_velocity_does(a_grid_of, a_smooth_velocity_on):
    v = a_smooth_velocity_on(a_grid_of((24, 24, 24)), 7.0)[None]
    assert folded(v) > 0.01
    assert folded(exponential(v)) == 0


@pytest.mark.parametrize("factor", [2, 3])
def test_a_velocity_on_a_refined_grid_is_the_same_flow_in_millimetres(
    factor, an_oblique_anisotropic_left_handed_grid, a_smooth_velocity_on, the_voxels_of
):
    grid = an_oblique_anisotropic_left_handed_grid
    coarse = Velocity(a_smooth_velocity_on(grid), grid)
    finer = grid.upsampled(factor)
    fine = Velocity(resize_displacement(coarse.v_vox[None], finer.shape)[0], finer)
    assert fine.grid.downsampled(factor).same_as(grid, 1e-9)
    assert np.allclose(fine.grid.index_to_world(fine.grid.corner_indices()), grid.index_to_world(grid.corner_indices()))
    points = the_voxels_of(grid.cropped((2, 2, 2), tuple(n - 2 for n in grid.shape)))
    one, two = coarse.map_points(points), fine.map_points(points)
    moved = np.linalg.norm(one - points, axis=1)
    apart = np.linalg.norm(one - two, axis=1)
    assert apart.max() < 0.1 * moved.max()  # unscaled by the factor it would be half
    assert apart.mean() < 0.04 * moved.mean()


def test_a_velocity_is_its_integrated_displacement_everywhere(a_grid_of, a_smooth_velocity_on, the_voxels_of):
    grid = a_grid_of((12, 13, 14), (2.0, 1.0, 1.5))
    velocity = Velocity(a_smooth_velocity_on(grid), grid, steps=5)
    points = the_voxels_of(grid) + 0.3
    dense = velocity.integrated
    assert isinstance(dense, Displacement)
    assert np.allclose(velocity.map_points(points), dense.map_points(points))
    assert torch.equal(velocity.inverse().integrated.u_vox, exponential(-velocity.v_vox[None], 5)[0])
