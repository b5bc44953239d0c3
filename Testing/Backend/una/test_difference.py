from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.methods.una.difference import difference, expressed


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
