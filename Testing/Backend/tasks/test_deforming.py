from __future__ import annotations

import numpy as np
import pytest
import torch

from SlicerSynthReg.methods.instance.channels import Channels
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.smoothing import gaussian
from SlicerSynthReg.tasks.deforming import DeformingConfig, agreement_about, counted, deform, nine_of_ten
from SlicerSynthReg.tasks.prepare import Side

SHAPE = (48, 32, 32)
GRID = Grid(SHAPE, np.eye(4))
CONFIG = DeformingConfig()


@pytest.fixture
def a_texture() -> torch.Tensor:
    noise = torch.randn((1, 1, *SHAPE), generator=torch.Generator().manual_seed(1))
    smooth = gaussian(noise, 1.5)[0]
    return smooth / smooth.std()


def channels(values: torch.Tensor) -> Channels:
    return Channels(values, torch.ones(SHAPE), GRID)


def half_reversed(values: torch.Tensor) -> torch.Tensor:
    """The same in the first half along the first axis, its negative in the other."""
    sign = torch.ones(SHAPE)
    sign[SHAPE[0] // 2 :] = -1
    return values * sign


def test_what_agrees_counts_in_full_what_is_reversed_not_at_all(a_texture):
    here = channels(a_texture)
    assert torch.allclose(counted(here, here, CONFIG), torch.ones(SHAPE), atol=1e-3)
    assert float(counted(here, channels(-a_texture), CONFIG).max()) == 0


def test_agreement_is_of_the_surroundings_not_of_the_whole(a_texture):
    found = agreement_about(channels(a_texture), channels(half_reversed(a_texture)), radius=2)
    assert torch.allclose(found[:15], torch.ones(15, *SHAPE[1:]), atol=1e-3)
    assert torch.allclose(found[-15:], -torch.ones(15, *SHAPE[1:]), atol=1e-3)


def test_agreement_does_not_change_with_either_scan_s_gain(a_texture):
    other = channels(a_texture + 0.5 * a_texture.roll(3, 1))
    one, two = (agreement_about(channels(gain * a_texture), other) for gain in (1.0, 30.0))
    assert torch.allclose(one, two, atol=1e-4)


def test_nine_of_ten_looks_at_what_counts_only():
    values = torch.linspace(0, 1, 1001)
    assert nine_of_ten(values, torch.ones(1001)) == pytest.approx(0.1, abs=1e-3)
    assert nine_of_ten(values, (values > 0.5).float()) == pytest.approx(0.55, abs=2e-3)
    assert nine_of_ten(values, torch.zeros(1001)) == 0


def test_scans_that_agree_in_one_half_only_are_not_taken_for_one_contrast(a_texture):
    """Their brighter halves correlate; in every tenth place and more they are each other's negative."""
    image = (a_texture[0] - a_texture.min()) / (a_texture.max() - a_texture.min())
    reversed_in_part = image.clone()
    reversed_in_part[:16] = 1 - reversed_in_part[:16]
    weight, quick = torch.ones(SHAPE), torch.inference_mode
    with quick():
        alike, deceptive = (
            deform(Side(image, weight, None), Side(other, weight, None), GRID, None, 1.0, CONFIG).one_contrast
            for other in (image, reversed_in_part)
        )
    assert alike and not deceptive
