from __future__ import annotations

import dataclasses

import pytest
import torch

from SlicerSynthReg.synthesis.pathology.appearance import (
    LesionAppearanceConfig,
    LesionAppearanceDraw,
    draw_lesion_appearance,
    encode_anomaly,
)

UNIFORM = LesionAppearanceDraw(level=1.0, sign=0, texture=0.0, voxel_noise=0.0, texture_seed=1, voxel_noise_seed=2)


def encode_slabs(record: LesionAppearanceDraw, white: float = 100.0, grey: float = 60.0) -> torch.Tensor:
    """Return a constant scan of 80 with P = 0, 0.5 and 1 in three slabs, encoded."""
    p = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 3, 1, 1).expand(1, 1, 3, 8, 8)
    return encode_anomaly(torch.full((1, 1, 3, 8, 8), 80.0), p, torch.tensor([white]), torch.tensor([grey]), [record])


def test_contrast_has_the_sign_of_the_rule_and_is_proportional_to_p():
    assert encode_slabs(UNIFORM)[0, 0, :, 0, 0].tolist() == [80.0, 55.0, 30.0]
    assert encode_slabs(UNIFORM, white=60.0, grey=100.0)[0, 0, :, 0, 0].tolist() == [80.0, 95.0, 110.0]


def test_drawn_sign_overrides_the_rule_and_intensities_stay_non_negative():
    assert encode_slabs(dataclasses.replace(UNIFORM, sign=1))[0, 0, 2, 0, 0] == 130.0
    assert encode_slabs(dataclasses.replace(UNIFORM, level=3.0))[0, 0, 2, 0, 0] == 0.0


def test_void_has_no_signal_at_any_level():
    assert encode_slabs(dataclasses.replace(UNIFORM, void=True, level=-3.0, voxel_noise=0.1))[
        0, 0, :, 0, 0
    ].tolist() == [80, 40, 0]


def test_voxel_noise_varies_in_the_lesion_only_in_units_of_white_matter():
    found = encode_slabs(dataclasses.replace(UNIFORM, sign=1, voxel_noise=0.1))[0, 0]
    assert bool((found[0] == 80).all())
    assert float(found[2].std()) == pytest.approx(10.0, rel=0.25)
    assert float(found[1].std()) == pytest.approx(float(found[2].std()) / 2, rel=0.3)


def test_draws_have_the_distribution_of_the_paper():
    draws = [draw_lesion_appearance(LesionAppearanceConfig(), torch.Generator().manual_seed(n)) for n in range(2000)]
    assert sum(d.sign != 0 for d in draws) / 2000 == pytest.approx(0.2, abs=0.03)
    levels = torch.tensor([d.level for d in draws])
    assert float(levels.mean()) == pytest.approx(1.0, abs=0.08) and float(levels.std()) == pytest.approx(1.0, abs=0.08)
    assert float(levels.abs().min()) == pytest.approx(0.35)  # min_level
