from __future__ import annotations

import torch

from SlicerSynthReg.in_context.inference import predict_volume
from SlicerSynthReg.in_context.predictor import SINGLE_EXAMPLE_SHARE, Predictor, leave_one_out
from SlicerSynthReg.in_context.slices import Example, InferenceConfig
from SlicerSynthReg.io.intensity_matching import fit_intensity_mapping

CONFIG = InferenceConfig(support_size=1)


def alike_examples(count: int) -> list[Example]:
    """Return examples of a bright cube at varying positions: intensity determines the label, position does not."""
    found = []
    for n in range(count):
        y = torch.zeros(1, 14, 14, 8)
        y[:, 2 + n : 7 + n, 6 - n : 11 - n, 2:6] = 1
        noise = 0.05 * torch.rand(y.shape, generator=torch.Generator().manual_seed(n))
        found.append(Example(0.2 + 0.6 * y + noise, y))
    return found


def located_examples(count: int) -> list[Example]:
    """Return noise images with one common output: position determines the output, intensity does not."""
    y = torch.rand(1, 14, 14, 8, generator=torch.Generator().manual_seed(99))
    return [Example(torch.rand(y.shape, generator=torch.Generator().manual_seed(n)), y) for n in range(count)]


def test_patches_are_chosen_where_intensity_determines_the_label(an_averaging_network):
    result = leave_one_out(an_averaging_network, alike_examples(4), CONFIG, "auto", True, 4)
    assert result.patch_share >= 0.75 and len(result.agreement) == 4 and min(result.agreement) > 0.9


def test_the_network_is_chosen_where_position_determines_the_output(an_averaging_network):
    assert leave_one_out(an_averaging_network, located_examples(4), CONFIG, "auto", False, 4).patch_share == 0


def test_a_single_example_and_a_fixed_predictor_need_no_choice(an_averaging_network):
    assert (
        leave_one_out(an_averaging_network, alike_examples(1), CONFIG, "auto", True, 4).patch_share
        == SINGLE_EXAMPLE_SHARE
    )
    assert leave_one_out(an_averaging_network, alike_examples(1), CONFIG, "network", True, 4).patch_share == 0
    result = leave_one_out(an_averaging_network, alike_examples(3), CONFIG, "patches", True, 2)
    assert result.patch_share == 1 and len(result.agreement) == 2


def test_a_mixture_is_the_weighted_mean_of_its_parts(an_averaging_network):
    target, *known = alike_examples(4)
    network, half, patches = (
        Predictor(an_averaging_network, CONFIG, share, True).predict(target.x, known) for share in (0.0, 0.5, 1.0)
    )
    assert torch.allclose(half, (network + patches) / 2, atol=1e-5)
    assert torch.equal(network, predict_volume(an_averaging_network, target.x, known, CONFIG))
    assert float((patches - target.y).abs().max()) < 0.2


def a_ct(seed: int) -> torch.Tensor:
    """HU: air, a little fat, much soft tissue, a tooth of metal."""
    generator = torch.Generator().manual_seed(seed)
    hounsfield = torch.full((20, 20, 20), -1000.0)
    hounsfield[4:16, 4:16] = 40 + 15 * torch.randn(12, 12, 20, generator=generator)
    hounsfield[4:6, 4:16] = -100
    hounsfield[10:13, 10:13, 8:14] = 3000.0
    return hounsfield


def test_soft_tissue_beside_metal_is_equalised():
    known = [a_ct(n) for n in range(3)]
    brightness = fit_intensity_mapping(known)
    assert brightness.knots is not None
    fat, soft, organ = brightness.of(torch.tensor([-100.0, 30.0, 50.0])).tolist()
    assert organ - soft > 0.3 and fat < soft and float(brightness.of(torch.tensor([-1000.0]))) == 0


def test_scans_of_different_scales_are_mapped_linearly():
    known = [a_ct(0), 7 * (a_ct(1) + 5000)]
    assert fit_intensity_mapping(known).knots is None
    spread = torch.rand(20, 20, 20, generator=torch.Generator().manual_seed(0))
    assert fit_intensity_mapping([spread, 100 * spread]).knots is None
