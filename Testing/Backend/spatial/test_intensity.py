"""Intensities on one scale."""

from __future__ import annotations

import torch

from SlicerSynthReg.spatial.intensity import match_histogram


def an_image(seed: int = 0) -> torch.Tensor:
    """Half air at 0, half tissue between 0.1 and 1."""
    generator = torch.Generator().manual_seed(seed)
    tissue = 0.1 + 0.9 * torch.rand(1, 20, 20, 20, generator=generator)
    return torch.where(torch.rand(tissue.shape, generator=generator) < 0.5, torch.zeros(()), tissue)


def test_another_scanners_curve_is_undone():
    image = an_image()
    assert torch.allclose(match_histogram(image.sqrt(), image), image, atol=0.01)
    assert torch.allclose(match_histogram(0.4 * image.square() + 0.5 * image, image), image, atol=0.03)


def test_quantiles_become_those_of_another_person_in_the_same_order():
    one, other = an_image(1), 0.3 + 0.5 * an_image(2)
    found = match_histogram(one, other)
    shares = torch.linspace(0.05, 0.95, 10)
    assert torch.allclose(torch.quantile(found[found > 0.05], shares), torch.quantile(other, shares), atol=0.02)
    order = one.flatten().argsort()
    assert bool((found.flatten()[order].diff() >= -1e-6).all())


def test_air_stays_and_nothing_is_made_of_nothing():
    image, dark = an_image(), torch.full((1, 4, 4, 4), 0.01)
    assert torch.equal(match_histogram(image, an_image(3))[image == 0], torch.zeros(int((image == 0).sum())))
    assert torch.equal(match_histogram(image, dark), image)
    assert torch.equal(match_histogram(dark, image), dark)


def test_a_constant_takes_the_others_level_without_nans():
    found = match_histogram(torch.full((1, 4, 4, 4), 0.5), an_image())
    assert bool(torch.isfinite(found).all()) and 0.05 < float(found.mean()) <= 1
