"""What differs between a scan and its reconstruction in health, whatever the scan's contrast.

The paper takes the absolute difference, which has a meaning where the scan is a T1. Here the reconstruction is first
expressed in the scan's own contrast: the median intensity that the scan shows at each brightness of the T1.
"""

from __future__ import annotations

import torch

from SlicerSynthReg.space.smoothing import gaussian


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


def difference(t1: torch.Tensor, image: torch.Tensor, where: torch.Tensor, smoothing_vox: float = 1.0) -> torch.Tensor:
    """(I, J, K) |image - reconstruction in the image's contrast|, smoothed, 0 outside `where`, in units of the SD that
    the image has there."""
    signed = (image - expressed(t1, image, where)) * where
    spread = image[where].std().clamp_min(1e-6) if bool(where.any()) else image.new_ones(())
    return gaussian(signed[None, None], smoothing_vox)[0, 0].abs() * where / spread
