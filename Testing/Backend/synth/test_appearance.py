from __future__ import annotations

import dataclasses

import pytest
import torch

from SlicerSynthReg.synth.pathology.appearance import AppearanceConfig, AppearanceDraw, draw_appearance, encode

PLAIN = AppearanceDraw(level=1.0, sign=0, texture=0.0, grain=0.0, texture_seed=1, grain_seed=2)


def encoded(record: AppearanceDraw, white: float = 100.0, grey: float = 60.0) -> torch.Tensor:
    """A scan of 80 everywhere with P = 0, 0.5 and 1 in three slabs."""
    p = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 3, 1, 1).expand(1, 1, 3, 8, 8)
    return encode(torch.full((1, 1, 3, 8, 8), 80.0), p, torch.tensor([white]), torch.tensor([grey]), [record])


def test_a_lesion_is_darker_by_half_of_white_matter_where_white_matter_is_brighter_and_in_proportion_to_p():
    assert encoded(PLAIN)[0, 0, :, 0, 0].tolist() == [80.0, 55.0, 30.0]
    assert encoded(PLAIN, white=60.0, grey=100.0)[0, 0, :, 0, 0].tolist() == [80.0, 95.0, 110.0]


def test_a_tossed_sign_overrules_the_contrast_and_no_intensity_falls_below_zero():
    assert encoded(dataclasses.replace(PLAIN, sign=1))[0, 0, 2, 0, 0] == 130.0
    assert encoded(dataclasses.replace(PLAIN, level=3.0))[0, 0, 2, 0, 0] == 0.0


def test_a_void_has_no_signal_whatever_its_level():
    assert encoded(dataclasses.replace(PLAIN, void=True, level=-3.0, grain=0.1))[0, 0, :, 0, 0].tolist() == [80, 40, 0]


def test_texture_and_grain_vary_within_the_lesion_only_and_in_units_of_white_matter():
    found = encoded(dataclasses.replace(PLAIN, sign=1, grain=0.1))[0, 0]
    assert bool((found[0] == 80).all())
    assert float(found[2].std()) == pytest.approx(10.0, rel=0.25)
    assert float(found[1].std()) == pytest.approx(float(found[2].std()) / 2, rel=0.3)


def test_draws_follow_the_paper_s_law():
    draws = [draw_appearance(AppearanceConfig(), torch.Generator().manual_seed(n)) for n in range(2000)]
    assert sum(d.sign != 0 for d in draws) / 2000 == pytest.approx(0.2, abs=0.03)
    levels = torch.tensor([d.level for d in draws])
    assert float(levels.mean()) == pytest.approx(1.0, abs=0.08) and float(levels.std()) == pytest.approx(1.0, abs=0.08)
    assert float(levels.abs().min()) == pytest.approx(0.35)  # none is invisible
