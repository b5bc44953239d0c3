"""What differs between a scan and its reconstruction in health, whatever the scan's contrast.

The paper takes the absolute difference, which has a meaning where the scan is a T1. Here the reconstruction is first
expressed in the scan's own contrast: the median intensity that the scan shows at each brightness of the T1. A large
lesion would draw these medians to itself, so they are read twice more from the voxels that agreed; and what changes but
slowly across the head is the coil's, not the brain's.
"""

from __future__ import annotations

import torch

from SlicerSynthReg.space.smoothing import gaussian

REFITS, AGREEING_SDS, LEAST_SDS = 2, 2.0, 0.1
SMOOTHING_VOX, FIELD_VOX = 1.0, 10.0


def expressed(t1: torch.Tensor, image: torch.Tensor, where: torch.Tensor, bins: int = 24) -> torch.Tensor:
    """`t1` (I, J, K) in the contrast of `image`: piecewise linear through the medians of `bins` equal shares of the
    voxels in `where` (bool). Fewer than 10 voxels a bin: `image` unchanged."""
    values, shown = t1[where], image[where]
    if len(values) < 10 * bins:
        return image
    order = values.argsort()
    groups = order.chunk(bins)
    at = torch.stack([values[group].median() for group in groups])
    level = torch.stack([shown[group].median() for group in groups])
    right = torch.searchsorted(at, t1.contiguous()).clamp(1, len(at) - 1)
    share = ((t1 - at[right - 1]) / (at[right] - at[right - 1]).clamp_min(1e-6)).clamp(0, 1)
    return level[right - 1] * (1 - share) + level[right] * share


def agreeing(t1: torch.Tensor, image: torch.Tensor, where: torch.Tensor, refits: int = REFITS) -> torch.Tensor:
    """(I, J, K) bool: voxels of `where` in which the image is what the T1 lets expect, within two robust SDs of the
    smoothed difference, or a tenth of the image's SD if that is more; asked again of those found, `refits` times."""
    if int(where.sum()) < 2:
        return where
    kept, least = where, LEAST_SDS * image[where].std()
    for _ in range(refits):
        away = _smoothed(image - expressed(t1, image, kept), where, SMOOTHING_VOX).abs()
        kept = where & (away <= torch.maximum(AGREEING_SDS * 1.4826 * away[kept].median(), least))
    return kept


def difference(
    t1: torch.Tensor,
    image: torch.Tensor,
    where: torch.Tensor,
    smoothing_vox: float = SMOOTHING_VOX,
    void: torch.Tensor | None = None,
) -> torch.Tensor:
    """(I, J, K) |image - reconstruction in the image's contrast|, less what changes slowly, smoothed within `where`
    (bool), 0 outside it, in units of the SD that the image has where both agree. void: voxels of `where` (bool) without
    signal, which are not smoothed, so that their difference stays theirs."""
    apart = torch.zeros_like(where) if void is None else void & where
    rest = where & ~apart
    kept = agreeing(t1, image, rest)
    signed = image - expressed(t1, image, kept)
    signed = signed - slow_field(signed, kept)
    spread = image[kept].std().clamp_min(1e-6) if int(kept.sum()) > 1 else image.new_ones(())
    return (_smoothed(signed, rest, smoothing_vox) + signed * apart).abs() / spread


def slow_field(signed: torch.Tensor, kept: torch.Tensor, sd_vox: float = FIELD_VOX) -> torch.Tensor:
    """(I, J, K) mean of `signed` over the voxels `kept` about each voxel; towards 0 where hardly any are near."""
    sums = gaussian(torch.stack([signed * kept, kept.to(signed)])[None], sd_vox)[0]
    return sums[0] / sums[1].clamp_min(0.05)


def as_anomaly(difference: torch.Tensor, probability: torch.Tensor, marked: float) -> torch.Tensor:
    """0 to 1 by what is evidence of an anomaly, e = `difference` in SDs times the network's `probability` of one:
    e^2 / (e^2 + marked^2), 0.5 where e is `marked`. The difference alone finds wide sulci too, which the network knows
    to be healthy; its probability alone does not know where an anomaly ends."""
    square = (difference * probability).square()
    return square / (square + marked**2)


def _smoothed(values: torch.Tensor, where: torch.Tensor, sd_vox: float) -> torch.Tensor:
    """(I, J, K) Gaussian mean over the voxels of `where`, 0 outside them."""
    if sd_vox == 0:
        return values * where
    sums = gaussian(torch.stack([values * where, where.to(values)])[None], sd_vox)[0]
    return sums[0] / sums[1].clamp_min(1e-3) * where
