from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.healthy.anomaly_map import anomaly_score, inlier_mask, map_contrast, normalised_difference


@pytest.fixture
def t1() -> torch.Tensor:
    """Return a ramp from grey (0.5) to white matter (0.8), with fluid (0.15) in the middle."""
    ramp = torch.linspace(0.5, 0.8, 24)[:, None, None].repeat(1, 24, 24)
    ramp[10:14, 10:14, 10:14] = 0.15
    return ramp


EVERYWHERE = torch.ones(24, 24, 24, dtype=torch.bool)


@pytest.mark.parametrize("contrast", [lambda t: 2 * t, lambda t: 1 - t, lambda t: (t - 0.6).abs()])
def test_map_contrast_recovers_any_function_of_the_t1(t1, contrast):
    assert float((map_contrast(t1, contrast(t1), EVERYWHERE) - contrast(t1)).abs().mean()) < 0.01


def test_lesion_is_detected_in_an_inverted_contrast_where_the_absolute_difference_fails(t1):
    image = 1 - t1
    lesion = torch.zeros_like(EVERYWHERE)
    lesion[2:6, 2:6, 2:6] = True
    image[lesion] += 0.3
    found = normalised_difference(t1, image, EVERYWHERE, smoothing_vox=0.0)
    assert float(found[lesion].min()) > 4 * float(found[~lesion].quantile(0.99))
    absolute = (image - t1).abs()
    assert float(absolute[lesion].mean()) < float(absolute[~lesion].quantile(0.99))


def test_unit_is_the_images_sd_and_values_outside_the_mask_are_zero(t1):
    image = 1 - t1
    image[3, 3, 3] += 0.5
    where = EVERYWHERE.clone()
    where[20:] = False
    found = normalised_difference(t1, image, where, smoothing_vox=0.0)
    assert torch.allclose(found, normalised_difference(t1, image * 40 + 7, where, smoothing_vox=0.0), atol=1e-3)
    assert not found[20:].any() and float(found[3, 3, 3]) == float(found.max())


def test_too_few_voxels_give_no_difference(t1):
    where = torch.zeros_like(EVERYWHERE)
    where[0, 0, :5] = True
    assert not normalised_difference(t1, t1 * 3, where).any()


@pytest.fixture
def ramp() -> torch.Tensor:
    return torch.linspace(0.5, 0.8, 24)[:, None, None].repeat(1, 24, 24)


def test_inliers_reduce_the_bias_by_a_large_lesion(ramp):
    """Three eighths of the brightest third are dark: the medians there are at the 20th percentile of normal tissue
    until outliers are excluded."""
    noise = 0.08 * torch.randn(24, 24, 24, generator=torch.Generator().manual_seed(0))
    image = ramp + noise
    lesion = torch.zeros_like(EVERYWHERE)
    lesion[16:, :, :9] = True
    image[lesion] -= 0.5
    kept = inlier_mask(ramp, image, EVERYWHERE)

    def bias(where: torch.Tensor) -> float:
        return float((map_contrast(ramp, image, where) - ramp)[16:, :, 9:].mean().abs())

    assert float(kept[lesion].float().mean()) < 0.05 < 0.3 < float(kept[~lesion].float().mean())
    assert bias(kept) < 0.8 * bias(EVERYWHERE)


def test_coil_shading_is_no_anomaly(ramp):
    shading = torch.linspace(-0.05, 0.05, 24)[None, :, None].expand(24, 24, 24)
    lesion = torch.zeros_like(EVERYWHERE)
    lesion[6:9, 2:5, 2:5] = True
    found = normalised_difference(ramp, ramp + shading + 0.1 * lesion, EVERYWHERE)
    assert float(found[~lesion].quantile(0.95)) < 0.25 < float(found[lesion].mean())
    uncorrected = float(shading.abs().quantile(0.95) / ramp.std())
    assert uncorrected > 0.5, "control: the difference without bias correction"


def test_void_does_not_affect_its_neighbours(ramp):
    image, void = ramp.clone(), torch.zeros_like(EVERYWHERE)
    void[16:, 16:, 16:] = True
    image[void] = 0
    found = normalised_difference(ramp, image, EVERYWHERE, void=void)
    assert float(found[void].min()) > 3 and float(found[~void].max()) < 0.5
    assert float(normalised_difference(ramp, image, EVERYWHERE)[~void].max()) > 1.5, "control: without the void mask"


def test_anomaly_score_is_half_at_the_threshold_and_monotone():
    found = anomaly_score(torch.tensor([0.0, 0.8, 1.6, 3.2, 100.0]), torch.ones(5), 1.6)
    assert found.tolist() == pytest.approx([0, 0.2, 0.5, 0.8, 1], abs=1e-3)


def test_anomaly_score_depends_on_difference_times_probability():
    found = anomaly_score(torch.tensor([1.0, 1.0, 4.0, 9.0]), torch.tensor([1.0, 0.25, 0.25, 0.0]), 1.0)
    assert found.tolist() == pytest.approx([0.5, 1 / 17, 0.5, 0])
