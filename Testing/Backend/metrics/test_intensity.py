from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from SlicerSynthReg.metrics.intensity import intensity_difference, ssim_map
from Testing.Backend.refusals import refused


def noise(seed: int = 0, shape=(16, 15, 14)) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 100


def test_mae_and_psnr_by_hand(image_of):
    found = intensity_difference(image_of([[[0.0, 100, 50, 50]]]), image_of([[[10.0, 90, 50, 50]]]))
    assert found.mae == 5
    # mse = 50, range 100: 10 log10(10000 / 50); of a range of 255 it would be 31.1
    assert found.psnr_db == pytest.approx(10 * math.log10(200))


def test_equal_images(image_of):
    found = intensity_difference(image_of(noise()), image_of(noise()))
    assert (found.mae, found.psnr_db) == (0, math.inf)
    assert found.ssim == pytest.approx(1)


def test_ssim_of_two_constants_is_the_luminance_term():
    x, y = torch.full((1, 1, 12, 12, 12), 10.0).double(), torch.full((1, 1, 12, 12, 12), 30.0).double()
    c1 = (0.01 * 50) ** 2
    expected = (2 * 10 * 30 + c1) / (10**2 + 30**2 + c1)
    assert torch.allclose(ssim_map(x, y, 50.0), torch.full_like(x, expected), atol=1e-9)


def test_ssim_of_a_negative_is_negative(image_of):
    """Contrast turned over about its mean: correlation says -1, the mean difference hides it."""
    found = intensity_difference(image_of(noise()), image_of(100 - noise()))
    assert found.ssim < -0.8


def test_ssim_at_one_voxel_against_the_formula_written_out():
    x, y = noise(1).double(), noise(2).double()
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    taps /= taps.sum()
    w = taps[:, None, None] * taps[:, None] * taps
    a, b = x[3:14, 2:13, 1:12].numpy(), y[3:14, 2:13, 1:12].numpy()
    ma, mb = (w * a).sum(), (w * b).sum()
    va, vb, cov = (w * (a - ma) ** 2).sum(), (w * (b - mb) ** 2).sum(), (w * (a - ma) * (b - mb)).sum()
    c1, c2 = 1.0, 9.0
    expected = (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    assert float(ssim_map(x[None, None], y[None, None], 100.0)[0, 0, 8, 7, 6]) == pytest.approx(expected)


def test_the_mask_limits_every_score_and_the_range(image_of, labels_of):
    x, y = noise(), noise()
    y[:4] += 5000  # far from the masked end: the window reaches five voxels
    mask = torch.zeros(16, 15, 14)
    mask[10:] = 1
    found = intensity_difference(image_of(x), image_of(y), labels_of(mask))
    assert found.mae == 0 and found.psnr_db == math.inf and found.ssim == pytest.approx(1)
    x[0, 0, 0] = 1e6  # would widen the range
    y[15] += 1
    span = float(x[10:].max() - x[10:].min())
    found = intensity_difference(image_of(x), image_of(y), labels_of(mask))
    assert found.mae == pytest.approx(1 / 6, rel=1e-4)
    assert found.psnr_db == pytest.approx(10 * math.log10(span**2 * 6), rel=1e-4)


def test_the_mask_adds_no_structure(image_of, labels_of):
    """Scores inside a mask come from the images: zeroing both outside first would pull SSIM towards 1."""
    x, y = noise(1), noise(2)
    mask = torch.zeros(16, 15, 14)
    mask[8, 7, 7] = 1
    masked = intensity_difference(image_of(x), image_of(y), labels_of(mask), data_range=100).ssim
    whole = float(ssim_map(x[None, None].double(), y[None, None].double(), 100.0)[0, 0, 8, 7, 7])
    zeroed = intensity_difference(image_of(x * mask), image_of(y * mask), labels_of(mask), data_range=100).ssim
    assert masked == pytest.approx(whole)
    assert zeroed > masked + 0.1


def test_found_expected_remedy(image_of, labels_of):
    with refused("constant-image"):
        intensity_difference(image_of([[[1.0, 1.0]]]), image_of([[[1.0, 2.0]]]))
    with refused("channel-mismatch"):
        intensity_difference(labels_of([[[1, 2]]]), labels_of([[[1, 2]]]))
