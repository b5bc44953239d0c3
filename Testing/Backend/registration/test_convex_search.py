"""Coupled convex search on an analytic scene."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from SlicerSynthReg.registration.convex_search import ConvexConfig, convex_search
from SlicerSynthReg.registration.feature_image import FeatureImage, pca_project
from SlicerSynthReg.spatial.differential import jacobian_determinant
from SlicerSynthReg.spatial.transform import exponential


def folded(u_vox: torch.Tensor) -> float:
    """Fraction of voxels with a Jacobian determinant <= 0."""
    return float((jacobian_determinant(u_vox) <= 0).float().mean())


SEARCH = ConvexConfig(levels=((16.0, 32.0), (8.0, 16.0)), channels=4)


@pytest.fixture
def shifted_pair(random_scene, scene_on, a_grid_of):
    """(fixed, moving) with fixed(x) = moving(x + shift_mm), on a grid of any spacing."""

    def build(
        spacing: tuple[float, float, float], shift_mm: tuple[float, float, float]
    ) -> tuple[FeatureImage, FeatureImage]:
        grid = a_grid_of(tuple(int(round(176 / s / 8)) * 8 for s in spacing), spacing)
        scene, back = random_scene(4, 60, 18.0), np.eye(4)
        back[:3, 3] = -np.array(shift_mm)
        return scene_on(scene, grid), scene_on(scene, grid, back)

    return build


def displacement_mm(v: torch.Tensor, image: FeatureImage) -> np.ndarray:
    """(3,) mean displacement in the body, RAS mm."""
    u = exponential(v[None])[0][:, image.weight > 0.9].mean(1).double().numpy()
    return image.grid.affine[:3, :3] @ u


@pytest.mark.parametrize("spacing", [(8.0, 8.0, 8.0), (5.5, 8.0, 14.0)])
def test_shift_of_several_blocks_is_recovered_along_every_axis(spacing, shifted_pair):
    shift = (24.0, -18.0, 28.0)
    fixed, moving = shifted_pair(spacing, shift)
    assert np.abs(displacement_mm(convex_search(fixed, moving, SEARCH), fixed) - shift).max() < 5


def test_second_level_is_more_accurate(shifted_pair):
    shift = (24.0, -8.0, 8.0)
    fixed, moving = shifted_pair((8.0, 8.0, 8.0), shift)
    coarse = dataclasses.replace(SEARCH, levels=SEARCH.levels[:1])
    errors = [
        np.abs(displacement_mm(convex_search(fixed, moving, one), fixed) - shift).max() for one in (coarse, SEARCH)
    ]
    assert errors[1] < 0.8 * errors[0]


def test_exchanged_images_change_the_sign(shifted_pair):
    fixed, moving = shifted_pair((8.0, 9.0, 11.0), (16.0, 8.0, -18.0))
    there, back = convex_search(fixed, moving, SEARCH), convex_search(moving, fixed, SEARCH)
    assert float(there.abs().max()) > 1
    assert torch.allclose(there, -back, atol=1e-4)


def test_flow_is_diffeomorphic_with_an_exact_inverse(shifted_pair):
    fixed, moving = shifted_pair((8.0, 8.0, 8.0), (24.0, -16.0, 16.0))
    v = convex_search(fixed, moving, SEARCH)[None]
    u, w = exponential(v), exponential(-v)
    assert folded(u) == 0
    inside = fixed.weight > 0.9
    assert float((u + w)[0][:, inside].mean().abs()) < 0.3


def test_equal_images_give_zero(shifted_pair):
    fixed, _ = shifted_pair((8.0, 8.0, 8.0), (0.0, 0.0, 0.0))
    assert float(convex_search(fixed, fixed, SEARCH).abs().max()) < 1e-5


def test_excluded_voxels_have_no_influence(shifted_pair):
    shift = (24.0, 0.0, -16.0)
    fixed, moving = shifted_pair((8.0, 8.0, 8.0), shift)
    half = fixed.weight.clone()
    half[: len(half) // 2] = 0
    noise = torch.randn(fixed.values.shape, generator=torch.Generator().manual_seed(0)) * 3
    altered = FeatureImage(torch.where(half > 0, fixed.values, noise), half, fixed.grid)
    blanked = FeatureImage(torch.where(half > 0, fixed.values, torch.zeros_like(noise)), half, fixed.grid)
    found, other = (convex_search(one, moving, SEARCH) for one in (altered, blanked))
    assert torch.allclose(found, other, atol=1e-4)
    assert np.abs(displacement_mm(found, altered) - shift).max() < 6


def test_limited_table_uses_larger_steps_and_recovers_the_shift(shifted_pair):
    shift = (24.0, -16.0, 32.0)
    fixed, moving = shifted_pair((8.0, 8.0, 8.0), shift)
    small = dataclasses.replace(SEARCH, levels=((8.0, 40.0),), max_entries=500_000)
    assert np.abs(displacement_mm(convex_search(fixed, moving, small), fixed) - shift).max() < 10


def test_pca_project_preserves_differences_of_low_rank_images(shifted_pair):
    fixed, moving = shifted_pair((8.0, 8.0, 8.0), (8.0, 0.0, 0.0))
    mixing = torch.linalg.qr(torch.randn(9, 4, generator=torch.Generator().manual_seed(1)))[0]
    nine = tuple(
        FeatureImage(torch.einsum("ab,bijk->aijk", mixing, c.values), c.weight, c.grid) for c in (fixed, moving)
    )
    f, m = pca_project(nine, 4, nine)
    expected = (fixed.values - moving.values).square().sum(0)
    assert torch.allclose((f - m).square().sum(0), expected, atol=1e-3 * float(expected.max()))
