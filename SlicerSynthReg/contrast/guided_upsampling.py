"""Guided upsampling of a change between coarse slices along the edges of the fine image (guided filter, He 2015).

Iodine ends where a vessel's wall does. Around each pixel the change is modelled as a linear function of the image,
D = a I + b, fitted on the coarse slices and evaluated on the fine ones. The residual of the fit is upsampled linearly,
so that the coarse change is preserved.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

RADIUS = 2
EPSILON = 0.02**2
"""Regularisation of a: variance (20 HU, normalised, squared) below which the image is flat and noise no guide."""


def block_downsample(slices: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Return `slices` (K, H, W) averaged over areas to (K, *shape)."""
    return slices if slices.shape[1:] == shape else F.interpolate(slices[:, None], shape, mode="area")[:, 0]


def upsample(slices: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Return `slices` (K, h, w) interpolated bilinearly to (K, *shape)."""
    if slices.shape[1:] == shape:
        return slices
    return F.interpolate(slices[:, None], shape, mode="bilinear", align_corners=False)[:, 0]


def guided_upsample(change: torch.Tensor, coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
    """Return `change` (K, h, w), of the image `coarse` (K, h, w), for the same image `fine` (K, H, W): (K, H, W)."""
    if change.shape == fine.shape:
        return change
    shape = fine.shape[1], fine.shape[2]
    mean_i, mean_d = _box_mean(coarse), _box_mean(change)
    a = (_box_mean(coarse * change) - mean_i * mean_d) / (_box_mean(coarse * coarse) - mean_i**2 + EPSILON)
    a, b = _box_mean(a), _box_mean(mean_d - a * mean_i)
    return upsample(a, shape) * fine + upsample(b, shape) + upsample(change - (a * coarse + b), shape)


def _box_mean(slices: torch.Tensor) -> torch.Tensor:
    """Return the mean over (2 RADIUS + 1)^2 pixels, fewer at the edge."""
    return F.avg_pool2d(slices[:, None], 2 * RADIUS + 1, 1, RADIUS, count_include_pad=False)[:, 0]
