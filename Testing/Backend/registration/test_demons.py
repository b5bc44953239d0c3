"""Diffeomorphic demons on an analytic scene."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from SlicerSynthReg.registration import demons
from SlicerSynthReg.registration.demons import DemonsConfig, refine_velocity, solve3
from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.spatial.differential import jacobian_determinant
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.sampling import resize_displacement
from SlicerSynthReg.spatial.transform import Displacement, Velocity, exponential


def folded(u_vox: torch.Tensor) -> float:
    """Fraction of voxels with a Jacobian determinant <= 0."""
    return float((jacobian_determinant(u_vox) <= 0).float().mean())


QUICK = DemonsConfig(iterations=(25, 15, 3), finest=2, elastic=0.7, fluid=1.0, alpha=0.1)


def body_mean(field: torch.Tensor, image: FeatureImage) -> float:
    return float(field[image.weight > 0.5].mean())


@pytest.fixture
def known_warp(random_scene, scene_on, a_grid_of, a_smooth_velocity_on):
    """(fixed, moving, u (3, I, J, K) in voxels): fixed(x) = moving(x + u(x)), on a grid of any spacing."""

    def build(
        spacing: tuple[float, float, float], largest_vox: float = 3.0
    ) -> tuple[FeatureImage, FeatureImage, torch.Tensor]:
        shape = tuple(int(round(176 / s / 8)) * 8 for s in spacing)
        grid = a_grid_of(shape, spacing)
        flow = Velocity(a_smooth_velocity_on(grid, largest_vox), grid)
        scene = random_scene(6, 90, 14.0)
        moving = scene_on(scene, grid, flow.inverse().map_points)
        return scene_on(scene, grid), moving, flow.integrated.u_vox

    return build


def test_solve3_equals_numpy():
    random = np.random.default_rng(0)
    g = random.normal(size=(5, 3, 40))
    h, b = np.einsum("can,cbn->abn", g, g), random.normal(size=(3, 40))
    six = torch.from_numpy(np.stack([h[0, 0], h[0, 1], h[0, 2], h[1, 1], h[1, 2], h[2, 2]]))
    found = solve3(six, 0.3, torch.from_numpy(b)).numpy()
    expected = np.linalg.solve(h.transpose(2, 0, 1) + 0.3 * np.eye(3), b.T[:, :, None])[:, :, 0].T
    assert np.allclose(found, expected)


def test_solve3_of_zero_is_the_damped_force():
    assert solve3(torch.zeros(6, 2), 0.5, torch.tensor([[1.0, 0], [2, 0], [0, 0]])).T.tolist() == [[2, 4, 0], [0, 0, 0]]


@pytest.mark.parametrize("spacing", [(4.0, 4.0, 4.0), (5.5, 3.6, 4.4)])
def test_known_warp_is_recovered_to_a_third_without_folding(spacing, known_warp):
    fixed, moving, u = known_warp(spacing)
    v = refine_velocity(fixed, moving, None, QUICK)
    shape = fixed.weight.shape
    assert tuple(v.shape) == (3, *(n // 2 for n in shape))
    half = exponential(v[None])
    found = resize_displacement(half, tuple(shape))[0]
    error, before = body_mean((found - u).norm(dim=0), fixed), body_mean(u.norm(dim=0), fixed)
    assert before > 0.8 and error < 0.3 * before
    assert body_mean((found + u).norm(dim=0), fixed) > before  # pushed the other way it would double
    assert folded(half) == 0


def test_full_resolution_velocity_is_more_accurate(known_warp):
    """Deformations finer than the velocity's grid cannot be represented."""
    fixed, moving, u = known_warp((4.0, 4.0, 4.0))
    errors = []
    for finest in (2, 1):
        v = refine_velocity(fixed, moving, None, dataclasses.replace(QUICK, finest=finest, iterations=(25, 15, 10)))
        assert tuple(v.shape) == (3, *(n // finest for n in fixed.weight.shape))
        found = resize_displacement(exponential(v[None]), tuple(fixed.weight.shape))[0]
        errors.append(body_mean((found - u).norm(dim=0), fixed))
    assert errors[1] < errors[0]


def test_first_order_updates_equal_full_integration(known_warp):
    fixed, moving, _ = known_warp((4.0, 4.0, 4.0))
    exact, approximate = (
        exponential(
            refine_velocity(fixed, moving, None, dataclasses.replace(QUICK, finest=1, exact_every=every))[None]
        )[0]
        for every in (1, 4)
    )
    apart = body_mean((exact - approximate).norm(dim=0), fixed)
    assert 0 < apart < 0.05 * body_mean(exact.norm(dim=0), fixed)


def test_velocity_lies_on_the_half_grid_and_inverts(known_warp, the_voxels_of):
    fixed, moving, u = known_warp((5.5, 5.5, 5.5), 2.0)
    v = refine_velocity(fixed, moving, None, dataclasses.replace(QUICK, iterations=(25, 10, 2)))
    flow, truth = Velocity(v, fixed.grid.downsampled(2)), Displacement(u, fixed.grid)
    inside = (fixed.weight > 0.5).flatten().numpy()
    points = the_voxels_of(fixed.grid)[inside]
    left = np.linalg.norm(flow.map_points(points) - truth.map_points(points), axis=1)
    assert left.mean() < 0.35 * np.linalg.norm(truth.map_points(points) - points, axis=1).mean()
    back = flow.inverse().map_points(flow.map_points(points))
    assert np.linalg.norm(back - points, axis=1).mean() < 0.1  # mm, of voxels of 11


def test_equal_images_give_zero(random_scene, scene_on, a_grid_of):
    image = scene_on(random_scene(), a_grid_of((24, 24, 24), (8.0, 8.0, 8.0)))
    assert refine_velocity(image, image, None, QUICK).abs().max() < 1e-6


def test_good_start_is_kept_and_larger_weight_is_smoother(known_warp):
    fixed, moving, u = known_warp((5.5, 5.5, 5.5), 2.0)
    one = refine_velocity(fixed, moving, None, QUICK)
    none = dataclasses.replace(QUICK, iterations=(0, 0, 0))
    kept = refine_velocity(fixed, moving, one, none)
    assert float((kept - one).norm() / one.norm()) < 0.3  # through the coarsest grid and back
    stiff = refine_velocity(fixed, moving, None, dataclasses.replace(QUICK, elastic=2.0))
    roughness = [float(v.diff(dim=1).norm() / v.norm()) for v in (stiff, one)]
    assert roughness[0] < roughness[1]


def test_excluded_voxels_do_not_influence_the_velocity(known_warp):
    """A bright block in the fixed image only: excluded by the mask, it has no influence."""
    fixed, moving, _ = known_warp((5.5, 5.5, 5.5), 2.0)
    block = (slice(None), slice(4, 12), slice(12, 20), slice(12, 20))
    values, weight = fixed.values.clone(), fixed.weight.clone()
    values[block] += 20.0
    weight[2:14, 10:22, 10:22] = 0
    masked = refine_velocity(FeatureImage(values, weight, fixed.grid), moving, None, QUICK)
    plain = refine_velocity(FeatureImage(fixed.values, weight, fixed.grid), moving, None, QUICK)
    counted = refine_velocity(FeatureImage(values, fixed.weight, fixed.grid), moving, None, QUICK)
    assert (masked - plain).abs().max() < 0.05
    assert (counted - plain).abs().max() > 0.3


def test_velocity_is_zero_at_the_faces_and_progress_ends_at_one(known_warp):
    reported: list[float] = []
    fixed, moving, _ = known_warp((8.0, 8.0, 8.0), 1.5)
    v = refine_velocity(fixed, moving, None, dataclasses.replace(QUICK, iterations=(5, 3, 1)), reported.append)
    assert reported == sorted(reported) and len(reported) == 9 and reported[-1] == pytest.approx(1)
    for axis in (1, 2, 3):
        assert v.select(axis, 0).abs().max() == 0 and v.select(axis, -1).abs().max() == 0


def test_velocity_grid_is_half_of_the_feature_grid(a_grid_of):
    """Counts divide by the coarsest factor."""
    grid: Grid = a_grid_of((16, 24, 8))
    flat = FeatureImage(torch.zeros(1, 16, 24, 8), torch.ones(16, 24, 8), grid)
    v = refine_velocity(flat, flat, None, dataclasses.replace(QUICK, iterations=(1, 1, 1)))
    assert tuple(v.shape) == (3, *grid.downsampled(2).shape) and v.abs().max() == 0


def test_refinement_stays_on_the_device_of_its_features():
    """The meta device replaces a graphics card: an operation that mixes devices or reads a value raises."""
    fixed, moving = (
        FeatureImage(
            torch.zeros(3, 16, 16, 16, device="meta"),
            torch.ones(16, 16, 16, device="meta"),
            Grid((16, 16, 16), np.eye(4)),
        )
        for _ in range(2)
    )
    v = refine_velocity(fixed, moving, None, dataclasses.replace(QUICK, iterations=(2, 2, 2)))
    assert v.device.type == "meta"


def test_force_in_chunks_equals_the_whole(known_warp, monkeypatch):
    fixed, moving, _ = known_warp((8.0, 8.0, 8.0))
    shape = tuple(fixed.weight.shape)
    u = torch.randn((1, 3, *shape), generator=torch.Generator().manual_seed(2))
    found = []
    for parts in ([slice(0, shape[0])], [slice(0, 1), slice(1, 6), slice(6, shape[0])]):
        monkeypatch.setattr(demons, "chunks", lambda shape, parts=parts: parts)
        found.append(demons._Level(fixed, moving, QUICK).force(u))
    assert torch.allclose(found[0], found[1], atol=1e-5)
