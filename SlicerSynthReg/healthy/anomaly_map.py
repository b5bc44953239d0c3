"""Anomaly map: the difference between a scan of any contrast and its healthy T1 reconstruction.

UNA's absolute difference has a meaning for T1 scans only. Here the reconstruction is first mapped to the scan's own
contrast: a piecewise linear function through the median scan intensity at each T1 intensity. A large lesion would bias
these medians, so they are re-estimated twice from inlier voxels; a smooth bias field is subtracted.
"""

from __future__ import annotations

import torch

from SlicerSynthReg.spatial.intensity import piecewise_linear
from SlicerSynthReg.spatial.smoothing import gaussian

REFITS, INLIER_SDS, MIN_INLIER_SDS = 2, 2.0, 0.1
SMOOTHING_VOX, BIAS_FIELD_VOX = 1.0, 10.0
MIN_VOXELS_PER_BIN = 10


def map_contrast(t1: torch.Tensor, image: torch.Tensor, mask: torch.Tensor, bins: int = 24) -> torch.Tensor:
    """Return `t1` (I, J, K) mapped to the contrast of `image` (same shape).

    The map is piecewise linear through the medians of `bins` equally filled bins of the T1 within `mask` (bool). With
    fewer than MIN_VOXELS_PER_BIN voxels per bin, `image` is returned.
    """
    source, target = t1[mask], image[mask]
    if len(source) < MIN_VOXELS_PER_BIN * bins:
        return image
    groups = source.argsort().chunk(bins)
    knots = torch.stack([source[group].median() for group in groups])
    levels = torch.stack([target[group].median() for group in groups])
    return piecewise_linear(t1, knots, levels)


def inlier_mask(t1: torch.Tensor, image: torch.Tensor, mask: torch.Tensor, refits: int = REFITS) -> torch.Tensor:
    """Return the voxels of `mask` whose intensity agrees with the T1: (I, J, K) bool.

    Inliers lie within two robust SDs (1.4826 MAD) of the smoothed difference, or within a tenth of the image's SD if
    that is more. The contrast map is re-estimated from the inliers `refits` times.
    """
    if int(mask.sum()) < 2:
        return mask
    inliers, minimum = mask, MIN_INLIER_SDS * image[mask].std()
    for _ in range(refits):
        residual = _masked_gaussian(image - map_contrast(t1, image, inliers), mask, SMOOTHING_VOX).abs()
        inliers = mask & (residual <= torch.maximum(INLIER_SDS * 1.4826 * residual[inliers].median(), minimum))
    return inliers


def normalised_difference(
    t1: torch.Tensor,
    image: torch.Tensor,
    mask: torch.Tensor,
    smoothing_vox: float = SMOOTHING_VOX,
    void: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return |image - T1 in the image's contrast - bias field|: (I, J, K), in SDs of the image's inliers.

    Smoothed within `mask` (bool), 0 outside it. void: voxels without signal (bool), which are not smoothed, so that
    their difference does not spread to their neighbours.
    """
    unsmoothed = torch.zeros_like(mask) if void is None else void & mask
    signal = mask & ~unsmoothed
    inliers = inlier_mask(t1, image, signal)
    residual = image - map_contrast(t1, image, inliers)
    residual = residual - bias_field(residual, inliers)
    sd = image[inliers].std().clamp_min(1e-6) if int(inliers.sum()) > 1 else image.new_ones(())
    return (_masked_gaussian(residual, signal, smoothing_vox) + residual * unsmoothed).abs() / sd


def bias_field(residual: torch.Tensor, inliers: torch.Tensor, sd_vox: float = BIAS_FIELD_VOX) -> torch.Tensor:
    """Return the local mean (I, J, K) of `residual` over `inliers` (bool); it tends to 0 where few of them are near."""
    sums = gaussian(torch.stack([residual * inliers, inliers.to(residual)])[None], sd_vox)[0]
    return sums[0] / sums[1].clamp_min(0.05)


def anomaly_score(difference: torch.Tensor, probability: torch.Tensor, threshold: float) -> torch.Tensor:
    """Return e^2 / (e^2 + threshold^2) in 0..1, with the evidence e = difference x probability; 0.5 at e = threshold.

    difference: in SDs. probability: of an anomaly, by the network. The difference alone marks wide sulci too, which the
    network knows to be normal; the probability alone does not delineate an anomaly.
    """
    square = (difference * probability).square()
    return square / (square + threshold**2)


def _masked_gaussian(values: torch.Tensor, mask: torch.Tensor, sd_vox: float) -> torch.Tensor:
    """Return the normalised convolution (I, J, K) of `values` over `mask`, 0 outside it."""
    if sd_vox == 0:
        return values * mask
    sums = gaussian(torch.stack([values * mask, mask.to(values)])[None], sd_vox)[0]
    return sums[0] / sums[1].clamp_min(1e-3) * mask
