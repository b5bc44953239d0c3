from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from SlicerSynthReg.methods.instance.channels import Channels, principal
from SlicerSynthReg.methods.instance.convex import ConvexConfig, convex_search
from SlicerSynthReg.space.differential import folding_share
from SlicerSynthReg.space.transform import exponential

SEARCH = ConvexConfig(levels=((16.0, 32.0), (8.0, 16.0)), channels=4)


@pytest.fixture
def a_shifted_pair(a_scene_of, seen_on, a_grid_of):
    """(fixed, moving) with fixed(x) = moving(x + shift_mm), on a grid of any spacing."""

    def build(spacing: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> tuple[Channels, Channels]:
        grid = a_grid_of(tuple(int(round(176 / s / 8)) * 8 for s in spacing), spacing)
        scene, back = a_scene_of(4, 60, 18.0), np.eye(4)
        back[:3, 3] = -np.array(shift_mm)
        return seen_on(scene, grid), seen_on(scene, grid, back)

    return build


def found_mm(v: torch.Tensor, image: Channels) -> np.ndarray:
    """(3,) mean displacement in the body, RAS mm."""
    u = exponential(v[None])[0][:, image.weight > 0.9].mean(1).double().numpy()
    return image.grid.affine[:3, :3] @ u


@pytest.mark.parametrize("spacing", [(8.0, 8.0, 8.0), (5.5, 8.0, 14.0)])
def test_a_shift_of_several_blocks_is_found_along_every_axis_in_mm(spacing, a_shifted_pair):
    shift = (24.0, -18.0, 28.0)
    fixed, moving = a_shifted_pair(spacing, shift)
    assert np.abs(found_mm(convex_search(fixed, moving, SEARCH), fixed) - shift).max() < 5


def test_a_second_level_comes_nearer_than_the_first(a_shifted_pair):
    shift = (24.0, -8.0, 8.0)
    fixed, moving = a_shifted_pair((8.0, 8.0, 8.0), shift)
    coarse = dataclasses.replace(SEARCH, levels=SEARCH.levels[:1])
    errors = [np.abs(found_mm(convex_search(fixed, moving, one), fixed) - shift).max() for one in (coarse, SEARCH)]
    assert errors[1] < 0.8 * errors[0]


def test_images_that_change_places_change_the_sign(a_shifted_pair):
    fixed, moving = a_shifted_pair((8.0, 9.0, 11.0), (16.0, 8.0, -18.0))
    there, back = convex_search(fixed, moving, SEARCH), convex_search(moving, fixed, SEARCH)
    assert float(there.abs().max()) > 1
    assert torch.allclose(there, -back, atol=1e-4)


def test_the_flow_has_no_folds_and_its_negative_is_its_inverse(a_shifted_pair):
    fixed, moving = a_shifted_pair((8.0, 8.0, 8.0), (24.0, -16.0, 16.0))
    v = convex_search(fixed, moving, SEARCH)[None]
    u, w = exponential(v), exponential(-v)
    assert folding_share(u) == 0
    inside = fixed.weight > 0.9
    assert float((u + w)[0][:, inside].mean().abs()) < 0.3


def test_an_image_and_itself_do_not_move(a_shifted_pair):
    fixed, _ = a_shifted_pair((8.0, 8.0, 8.0), (0.0, 0.0, 0.0))
    assert float(convex_search(fixed, fixed, SEARCH).abs().max()) < 1e-5


def test_what_a_mask_excludes_says_nothing(a_shifted_pair):
    shift = (24.0, 0.0, -16.0)
    fixed, moving = a_shifted_pair((8.0, 8.0, 8.0), shift)
    half = fixed.weight.clone()
    half[: len(half) // 2] = 0
    noise = torch.randn(fixed.values.shape, generator=torch.Generator().manual_seed(0)) * 3
    spoilt = Channels(torch.where(half > 0, fixed.values, noise), half, fixed.grid)
    spared = Channels(torch.where(half > 0, fixed.values, torch.zeros_like(noise)), half, fixed.grid)
    found, other = (convex_search(one, moving, SEARCH) for one in (spoilt, spared))
    assert torch.allclose(found, other, atol=1e-4)
    assert np.abs(found_mm(found, spoilt) - shift).max() < 6


def test_a_table_that_would_not_fit_takes_larger_steps_and_still_finds_the_way(a_shifted_pair):
    shift = (24.0, -16.0, 32.0)
    fixed, moving = a_shifted_pair((8.0, 8.0, 8.0), shift)
    small = dataclasses.replace(SEARCH, levels=((8.0, 40.0),), most=500_000)
    assert np.abs(found_mm(convex_search(fixed, moving, small), fixed) - shift).max() < 10


def test_principal_channels_keep_the_differences_of_images_that_fill_few_directions(a_shifted_pair):
    fixed, moving = a_shifted_pair((8.0, 8.0, 8.0), (8.0, 0.0, 0.0))
    mixing = torch.linalg.qr(torch.randn(9, 4, generator=torch.Generator().manual_seed(1)))[0]
    nine = tuple(Channels(torch.einsum("ab,bijk->aijk", mixing, c.values), c.weight, c.grid) for c in (fixed, moving))
    f, m = principal(nine, 4, nine)
    expected = (fixed.values - moving.values).square().sum(0)
    assert torch.allclose((f - m).square().sum(0), expected, atol=1e-3 * float(expected.max()))
