"""Weights and decisions of the deformable stage."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from SlicerSynthReg.registration.deformable import (
    DeformableConfig,
    contrast_weight,
    local_correlation,
    percentile_10,
    register_deformable,
)
from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.registration.preprocessing import RegistrationImage, RegistrationPair
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.smoothing import gaussian

SHAPE = (48, 32, 32)
GRID = Grid(SHAPE, np.eye(4))
CONFIG = DeformableConfig()


@pytest.fixture
def texture() -> torch.Tensor:
    noise = torch.randn((1, 1, *SHAPE), generator=torch.Generator().manual_seed(1))
    smooth = gaussian(noise, 1.5)[0]
    return smooth / smooth.std()


def feature_image(values: torch.Tensor) -> FeatureImage:
    return FeatureImage(values, torch.ones(SHAPE), GRID)


def half_negated(values: torch.Tensor) -> torch.Tensor:
    """Return `values` with the second half along the first axis negated."""
    sign = torch.ones(SHAPE)
    sign[SHAPE[0] // 2 :] = -1
    return values * sign


def test_contrast_weight_is_one_for_equal_and_zero_for_negated_contrast(texture):
    here = feature_image(texture)
    assert torch.allclose(contrast_weight(here, here, CONFIG), torch.ones(SHAPE), atol=1e-3)
    assert float(contrast_weight(here, feature_image(-texture), CONFIG).max()) == 0


def test_local_correlation_is_local(texture):
    found = local_correlation(feature_image(texture), feature_image(half_negated(texture)), radius=2)
    assert torch.allclose(found[:15], torch.ones(15, *SHAPE[1:]), atol=1e-3)
    assert torch.allclose(found[-15:], -torch.ones(15, *SHAPE[1:]), atol=1e-3)


def test_local_correlation_does_not_depend_on_gain(texture):
    other = feature_image(texture + 0.5 * texture.roll(3, 1))
    one, two = (local_correlation(feature_image(gain * texture), other) for gain in (1.0, 30.0))
    assert torch.allclose(one, two, atol=1e-4)


def test_percentile_10_uses_the_foreground_only():
    values = torch.linspace(0, 1, 1001)
    assert percentile_10(values, torch.ones(1001)) == pytest.approx(0.1, abs=1e-3)
    assert percentile_10(values, (values > 0.5).float()) == pytest.approx(0.55, abs=2e-3)
    assert percentile_10(values, torch.zeros(1001)) == 0


def test_partly_negated_contrast_is_not_taken_as_the_same(texture):
    """The brighter halves correlate, but more than a tenth of the voxels are negated."""
    image = (texture[0] - texture.min()) / (texture.max() - texture.min())
    partly_negated = image.clone()
    partly_negated[:16] = 1 - partly_negated[:16]
    fixed, equal, negated = (RegistrationImage(one, torch.ones(SHAPE), None) for one in (image, image, partly_negated))
    with torch.inference_mode():
        same, different = (
            register_deformable(RegistrationPair(fixed, moving, GRID), None, 1.0, CONFIG).same_contrast
            for moving in (equal, negated)
        )
    assert same and not different
