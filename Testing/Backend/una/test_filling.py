"""Holes in a scan: which guess fills them is learned from the scan itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation

from SlicerSynthReg.methods.una.filling import FillingConfig, filled_hole, practice_holes
from SlicerSynthReg.space.harmonic import harmonic
from SlicerSynthReg.space.smoothing import gaussian

SHAPE = (40, 36, 32)
HOLE = (slice(6, 14), slice(14, 22), slice(12, 20))


@pytest.fixture
def brain() -> torch.Tensor:
    i, j, k = np.ogrid[:40, :36, :32]
    return torch.from_numpy(((i - 19.5) / 18) ** 2 + ((j - 17.5) / 16) ** 2 + ((k - 15.5) / 14) ** 2 < 1)


@pytest.fixture
def hole(brain) -> torch.Tensor:
    cut = torch.zeros(SHAPE, dtype=torch.bool)
    cut[HOLE] = True
    return cut & brain


def folds(seed: int, sd: float = 1.2) -> torch.Tensor:
    """Random texture about 0.5."""
    noise = gaussian(torch.randn(1, 1, *SHAPE, generator=torch.Generator().manual_seed(seed)), sd)[0, 0]
    return (0.5 + 0.12 * noise / noise.std()).clamp(0.05, 0.95)


def over(mask: torch.Tensor) -> torch.Tensor:
    return mask.flip(0)


def off(found: torch.Tensor, truth: torch.Tensor, hole: torch.Tensor) -> float:
    return float((found - truth)[hole].square().mean().sqrt())


def test_a_symmetric_brain_is_filled_from_its_other_side(brain, hole, a_network_that_sees_next_to_nothing):
    half = folds(0)
    truth = ((half + half.flip(0)) / 2) * brain
    image = truth.masked_fill(hole, 0)
    with torch.inference_mode():
        found = filled_hole(a_network_that_sees_next_to_nothing, image, image.flip(0), hole, brain, over)
    assert torch.equal(found[~hole], image[~hole])
    assert off(found, truth, hole) < 0.25 * off(harmonic(image, hole), truth, hole)


def test_an_other_side_that_tells_nothing_is_not_copied(brain, hole, a_network_that_sees_next_to_nothing):
    truth, strange = folds(1, sd=6.0) * brain, folds(2) * brain
    image = truth.masked_fill(hole, 0)
    with torch.inference_mode():
        found = filled_hole(a_network_that_sees_next_to_nothing, image, strange, hole, brain, over)
    assert off(found, truth, hole) < 0.35 * off(strange, truth, hole)


def test_what_the_hole_held_is_not_read(brain, hole, a_network_that_sees_next_to_nothing):
    image = folds(3) * brain
    other = image.flip(0).masked_fill(hole.flip(0), 0)
    with torch.inference_mode():
        found = [
            filled_hole(a_network_that_sees_next_to_nothing, image.masked_fill(hole, held), other, hole, brain, over)
            for held in (0.0, 0.9)
        ]
    assert torch.allclose(*found, atol=1e-5)


def test_practice_is_within_the_brain_away_from_holes_and_never_on_both_sides(brain, hole):
    parts = practice_holes(brain, hole | hole.flip(0), FillingConfig(rounds=1, radius_vox=4))
    assert len(parts) == 2
    left, right = parts
    assert left.any() and right.any() and not left[19:].any() and not right[:20].any()
    near = torch.from_numpy(binary_dilation((hole | hole.flip(0)).numpy(), iterations=3))
    for part in parts:
        assert not (part & ~brain).any() and not (part & near).any()
    assert practice_holes(torch.zeros_like(brain), hole, FillingConfig()) == []


def test_a_brain_that_is_all_hole_takes_what_the_network_draws(brain, a_network_that_sees_next_to_nothing):
    with torch.inference_mode():
        found = filled_hole(
            a_network_that_sees_next_to_nothing, torch.zeros(SHAPE), torch.zeros(SHAPE), brain, brain, over
        )
    assert torch.isfinite(found).all()
