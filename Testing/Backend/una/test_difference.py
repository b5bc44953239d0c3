from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.methods.una.difference import agreeing, as_anomaly, difference, expressed


@pytest.fixture
def a_t1() -> torch.Tensor:
    """Smoothly from grey (0.5) to white (0.8), with fluid (0.15) in the middle."""
    t1 = torch.linspace(0.5, 0.8, 24)[:, None, None].repeat(1, 24, 24)
    t1[10:14, 10:14, 10:14] = 0.15
    return t1


EVERYWHERE = torch.ones(24, 24, 24, dtype=torch.bool)


@pytest.mark.parametrize("contrast", [lambda t: 2 * t, lambda t: 1 - t, lambda t: (t - 0.6).abs()])
def test_a_t1_is_expressed_in_any_contrast_that_is_a_function_of_it(a_t1, contrast):
    assert float((expressed(a_t1, contrast(a_t1), EVERYWHERE) - contrast(a_t1)).abs().mean()) < 0.01


def test_a_lesion_stands_out_in_an_inverted_contrast_where_the_plain_difference_fails(a_t1):
    image = 1 - a_t1
    lesion = torch.zeros_like(EVERYWHERE)
    lesion[2:6, 2:6, 2:6] = True
    image[lesion] += 0.3
    found = difference(a_t1, image, EVERYWHERE, smoothing_vox=0.0)
    assert float(found[lesion].min()) > 4 * float(found[~lesion].quantile(0.99))
    plain = (image - a_t1).abs()
    assert float(plain[lesion].mean()) < float(plain[~lesion].quantile(0.99))


def test_its_unit_is_the_image_s_own_spread_and_outside_it_is_nothing(a_t1):
    image = 1 - a_t1
    image[3, 3, 3] += 0.5
    where = EVERYWHERE.clone()
    where[20:] = False
    found = difference(a_t1, image, where, smoothing_vox=0.0)
    assert torch.allclose(found, difference(a_t1, image * 40 + 7, where, smoothing_vox=0.0), atol=1e-3)
    assert not found[20:].any() and float(found[3, 3, 3]) == float(found.max())


def test_too_few_voxels_differ_from_nothing(a_t1):
    where = torch.zeros_like(EVERYWHERE)
    where[0, 0, :5] = True
    assert not difference(a_t1, a_t1 * 3, where).any()


@pytest.fixture
def grey_to_white() -> torch.Tensor:
    return torch.linspace(0.5, 0.8, 24)[:, None, None].repeat(1, 24, 24)


def test_a_lesion_that_takes_much_of_a_tissue_bends_what_is_expected_less(grey_to_white):
    """Of the brightest third, three in eight are dark: the medians there lie at the fifth of what is well, until what
    disagrees most is left out."""
    noise = 0.08 * torch.randn(24, 24, 24, generator=torch.Generator().manual_seed(0))
    image = grey_to_white + noise
    lesion = torch.zeros_like(EVERYWHERE)
    lesion[16:, :, :9] = True
    image[lesion] -= 0.5
    kept = agreeing(grey_to_white, image, EVERYWHERE)

    def bent(where: torch.Tensor) -> float:
        return float((expressed(grey_to_white, image, where) - grey_to_white)[16:, :, 9:].mean().abs())

    assert float(kept[lesion].float().mean()) < 0.05 < 0.3 < float(kept[~lesion].float().mean())
    assert bent(kept) < 0.8 * bent(EVERYWHERE)


def test_the_shading_of_a_coil_is_no_anomaly(grey_to_white):
    shading = torch.linspace(-0.05, 0.05, 24)[None, :, None].expand(24, 24, 24)
    lesion = torch.zeros_like(EVERYWHERE)
    lesion[6:9, 2:5, 2:5] = True
    found = difference(grey_to_white, grey_to_white + shading + 0.1 * lesion, EVERYWHERE)
    assert float(found[~lesion].quantile(0.95)) < 0.25 < float(found[lesion].mean())
    shading_alone = float(shading.abs().quantile(0.95) / grey_to_white.std())
    assert shading_alone > 0.5, "which is what would be found otherwise"


def test_what_has_no_signal_does_not_stain_what_lies_beside_it(grey_to_white):
    image, void = grey_to_white.clone(), torch.zeros_like(EVERYWHERE)
    void[16:, 16:, 16:] = True
    image[void] = 0
    found = difference(grey_to_white, image, EVERYWHERE, void=void)
    assert float(found[void].min()) > 3 and float(found[~void].max()) < 0.5
    assert float(difference(grey_to_white, image, EVERYWHERE)[~void].max()) > 1.5, "as it would otherwise"


def test_the_map_is_a_half_at_the_threshold_and_grows_with_the_difference():
    found = as_anomaly(torch.tensor([0.0, 0.8, 1.6, 3.2, 100.0]), torch.ones(5), 1.6)
    assert found.tolist() == pytest.approx([0, 0.2, 0.5, 0.8, 1], abs=1e-3)


def test_what_the_network_takes_for_healthy_must_differ_more():
    found = as_anomaly(torch.tensor([1.0, 1.0, 4.0, 9.0]), torch.tensor([1.0, 0.25, 0.25, 0.0]), 1.0)
    assert found.tolist() == pytest.approx([0.5, 1 / 17, 0.5, 0])
