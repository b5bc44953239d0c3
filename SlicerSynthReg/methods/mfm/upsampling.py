"""A change found on coarse slices, carried to fine ones along the edges of the fine image (guided filter, He 2015).

Where a vessel's wall is sharp in the scan, the iodine in it ends there too: around each pixel the change is taken as a
linear function of the image, D = a I + b, fitted on the coarse slices and read on the fine ones. What that function
leaves of the coarse change is added linearly, so that nothing the network said is lost.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

RADIUS = 2
FLAT = 0.02**2
"""Variance (20 HU, scaled, squared) below which the image is flat and its noise no guide."""


def coarser(slices: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """(K, H, W) -> (K, *shape), means over areas."""
    return slices if slices.shape[1:] == shape else F.interpolate(slices[:, None], shape, mode="area")[:, 0]


def finer(slices: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """(K, h, w) -> (K, *shape), linearly."""
    if slices.shape[1:] == shape:
        return slices
    return F.interpolate(slices[:, None], shape, mode="bilinear", align_corners=False)[:, 0]


def guided(change: torch.Tensor, coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
    """change (K, h, w) of the image `coarse` (K, h, w) -> change (K, H, W) of the same image `fine` (K, H, W)."""
    if change.shape == fine.shape:
        return change
    shape = fine.shape[1], fine.shape[2]
    mean_i, mean_d = _mean(coarse), _mean(change)
    a = (_mean(coarse * change) - mean_i * mean_d) / (_mean(coarse * coarse) - mean_i**2 + FLAT)
    a, b = _mean(a), _mean(mean_d - a * mean_i)
    return finer(a, shape) * fine + finer(b, shape) + finer(change - (a * coarse + b), shape)


def _mean(slices: torch.Tensor) -> torch.Tensor:
    """Over (2 RADIUS + 1)^2 pixels, fewer at the edge."""
    return F.avg_pool2d(slices[:, None], 2 * RADIUS + 1, 1, RADIUS, count_include_pad=False)[:, 0]
