from __future__ import annotations

import math

import pytest
import torch

from SlicerSynthReg.errors import GeometryError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.metrics.ct_translation import organ_medians, slice_scores, ssim


def ct(*shape: int, seed: int = 0) -> torch.Tensor:
    return 600 * torch.rand(shape, generator=torch.Generator().manual_seed(seed)) - 300


def test_an_offset_is_its_own_mean_absolute_error_and_its_psnr_refers_to_2000():
    x = ct(3, 20, 24)
    scores = slice_scores(x, x + 20)
    assert scores.mae_hu == pytest.approx(20, rel=1e-5)
    assert scores.psnr_db == pytest.approx(20 * math.log10(2000 / 20), rel=1e-6)
    assert scores.through_plane_hu == pytest.approx(0, abs=1e-4)


def test_what_is_beyond_1000_hu_does_not_count():
    x = torch.tensor([[[3000.0, -1024.0]]])
    assert slice_scores(x, torch.tensor([[[1200.0, -3000.0]]])).mae_hu == 0


def test_scores_are_means_over_slices_and_not_over_voxels():
    """Means of the slices' decibels differ from the decibels of the mean."""
    x = torch.zeros(2, 12, 12)
    y = x + torch.tensor([2.0, 200.0]).view(2, 1, 1)
    scores = slice_scores(x, y)
    assert scores.psnr_db == pytest.approx((60 + 20) / 2)
    assert scores.through_plane_hu == pytest.approx(198)


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


def test_parts_of_an_organ_are_one_and_medians_are_not_means(a_grid_of):
    grid = a_grid_of((10, 10, 6))
    labels = torch.zeros(1, 10, 10, 6, dtype=torch.int32)
    labels[..., 0], labels[..., 1] = 25, 27  # two vertebrae
    labels[..., 2], labels[0, :4, 0, 3], labels[..., 4] = 52, 5, 300
    hu = torch.full((1, 10, 10, 6), 900.0)
    hu[..., 0], hu[..., 1], hu[..., 2], hu[..., 4] = 100, 300, 41, 7
    hu[0, :3, :, 2] = 10_000  # metal in less than half of the aorta
    found = organ_medians(Image(hu, grid), Image(labels, grid, "labels"))
    assert set(found) == {"vertebra", "aorta", "label 300"}  # four voxels of liver are too few
    assert found["vertebra"].voxels == 200 and found["vertebra"].hu in (100, 300)
    assert found["aorta"].hu == 41 and found["label 300"].hu == 7


def test_somebodys_own_numbers_are_not_taken_for_organs(a_grid_of):
    grid = a_grid_of((5, 5, 5))
    liver = Image(torch.ones(1, 5, 5, 5, dtype=torch.int32), grid, "labels")  # TotalSegmentator's 1 is the spleen
    assert set(organ_medians(Image(torch.full((1, 5, 5, 5), 60.0), grid), liver)) == {"label 1"}


def test_another_grid_is_refused(a_grid_of):
    labels = Image(torch.ones(1, 4, 4, 4, dtype=torch.int32), a_grid_of((4, 4, 4)), "labels")
    with pytest.raises(GeometryError):
        organ_medians(Image(torch.zeros(1, 5, 4, 4), a_grid_of((5, 4, 4))), labels)
