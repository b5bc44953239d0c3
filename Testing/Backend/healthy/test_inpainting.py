"""Stacked regression of holes in a scan, with weights fitted on the scan itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation

from SlicerSynthReg.healthy.inpainting import BilateralImage, InpaintingConfig, inpaint, training_holes
from SlicerSynthReg.spatial.laplace import laplace_inpaint
from SlicerSynthReg.spatial.smoothing import gaussian

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


def texture(seed: int, sd: float = 1.2) -> torch.Tensor:
    """Return smooth noise around 0.5."""
    noise = gaussian(torch.randn(1, 1, *SHAPE, generator=torch.Generator().manual_seed(seed)), sd)[0, 0]
    return (0.5 + 0.12 * noise / noise.std()).clamp(0.05, 0.95)


def flip_mask(mask: torch.Tensor) -> torch.Tensor:
    return mask.flip(0)


def rmse(found: torch.Tensor, truth: torch.Tensor, hole: torch.Tensor) -> float:
    return float((found - truth)[hole].square().mean().sqrt())


def test_symmetric_brain_is_inpainted_from_its_contralateral_side(brain, hole, dark_network):
    half = texture(0)
    truth = ((half + half.flip(0)) / 2) * brain
    image = truth.masked_fill(hole, 0)
    with torch.inference_mode():
        found = inpaint(dark_network, BilateralImage(image, image.flip(0), brain, flip_mask), hole)
    assert torch.equal(found[~hole], image[~hole])
    assert rmse(found, truth, hole) < 0.25 * rmse(laplace_inpaint(image, hole), truth, hole)


def test_uninformative_contralateral_side_is_not_copied(brain, hole, dark_network):
    truth, unrelated = texture(1, sd=6.0) * brain, texture(2) * brain
    image = truth.masked_fill(hole, 0)
    with torch.inference_mode():
        found = inpaint(dark_network, BilateralImage(image, unrelated, brain, flip_mask), hole)
    assert rmse(found, truth, hole) < 0.35 * rmse(unrelated, truth, hole)


def test_values_inside_the_hole_are_not_used(brain, hole, dark_network):
    image = texture(3) * brain
    other = image.flip(0).masked_fill(hole.flip(0), 0)
    with torch.inference_mode():
        found = [
            inpaint(dark_network, BilateralImage(image.masked_fill(hole, held), other, brain, flip_mask), hole)
            for held in (0.0, 0.9)
        ]
    assert torch.allclose(*found, atol=1e-5)


def test_training_holes_are_in_one_hemisphere_away_from_other_holes(brain, hole):
    parts = training_holes(brain, hole | hole.flip(0), InpaintingConfig(rounds=1, radius_vox=4))
    assert len(parts) == 2
    left, right = parts
    assert left.any() and right.any() and not left[19:].any() and not right[:20].any()
    near = torch.from_numpy(binary_dilation((hole | hole.flip(0)).numpy(), iterations=3))
    for part in parts:
        assert not (part & ~brain).any() and not (part & near).any()
    assert training_holes(torch.zeros_like(brain), hole, InpaintingConfig()) == []


def test_brain_without_known_voxels_takes_the_networks_prediction(brain, dark_network):
    with torch.inference_mode():
        found = inpaint(dark_network, BilateralImage(torch.zeros(SHAPE), torch.zeros(SHAPE), brain, flip_mask), brain)
    assert torch.isfinite(found).all()
