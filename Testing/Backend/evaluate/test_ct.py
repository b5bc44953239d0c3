from __future__ import annotations

import math

import pytest
import torch

from SlicerSynthReg.evaluate.ct import slice_scores, ssim


def ct(*shape: int, seed: int = 0) -> torch.Tensor:
    return 600 * torch.rand(shape, generator=torch.Generator().manual_seed(seed)) - 300


def test_an_offset_is_its_own_mean_absolute_error_and_its_psnr_refers_to_2000():
    x = ct(3, 20, 24)
    scores = slice_scores(x, x + 20)
    assert scores.mae_hu == pytest.approx(20, rel=1e-5)
    assert scores.psnr_db == pytest.approx(20 * math.log10(2000 / 20), rel=1e-6)
    assert scores.through_hu == pytest.approx(0, abs=1e-4)


def test_what_is_beyond_1000_hu_does_not_count():
    x = torch.tensor([[[3000.0, -1024.0]]])
    assert slice_scores(x, torch.tensor([[[1200.0, -3000.0]]])).mae_hu == 0


def test_scores_are_means_over_slices_and_not_over_voxels():
    """Means of the slices' decibels differ from the decibels of the mean."""
    x = torch.zeros(2, 12, 12)
    y = x + torch.tensor([2.0, 200.0]).view(2, 1, 1)
    scores = slice_scores(x, y)
    assert scores.psnr_db == pytest.approx((60 + 20) / 2)
    assert scores.through_hu == pytest.approx(198)


def test_equal_slices_are_alike_and_blur_and_noise_are_not():
    x = (ct(2, 32, 32) + 1000) / 2000
    blurred = torch.nn.functional.avg_pool2d(x, 3, 1, 1)
    assert torch.allclose(ssim(x, x), torch.ones(2, dtype=x.dtype), atol=1e-6)
    assert (ssim(x, blurred) < 0.9).all()
    assert torch.allclose(ssim(x, blurred), ssim(blurred, x))


def test_ssim_of_constants_is_the_luminance_term():
    a, b = (torch.full((1, 16, 16), one, dtype=torch.float64) for one in (0.2, 0.3))
    assert float(ssim(a, b)) == pytest.approx((2 * 0.2 * 0.3 + 1e-4) / (0.2**2 + 0.3**2 + 1e-4), rel=1e-5)


def test_ssim_of_patterns_is_the_structure_term():
    """One checkerboard and its negative about one mean: covariance minus the variance, k2 = 0.01 and not 0.03."""
    board = ((torch.arange(40)[:, None] + torch.arange(40)) % 2 * 2 - 1).double()[None] * 0.05
    variance = 0.05**2
    expected = (-2 * variance + 1e-4) / (2 * variance + 1e-4)
    assert float(ssim(0.5 + board, 0.5 - board)) == pytest.approx(expected, abs=5e-3)
