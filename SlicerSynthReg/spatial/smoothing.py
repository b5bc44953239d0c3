"""Smoothing of voxel fields: Gaussian and box filters, edges replicated."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F


def gaussian(field: torch.Tensor, sd_vox: float | torch.Tensor) -> torch.Tensor:
    """Return `field` (B, C, I, J, K) convolved with a separable Gaussian, truncated at 3 SD.

    sd_vox: standard deviation in voxels, one for all axes, or (B, 3) for each batch element and axis.
    """
    sds = torch.as_tensor(sd_vox, dtype=field.dtype, device=field.device).expand(field.shape[0], 3)
    radius = math.ceil(3 * (float(sds.max()) if isinstance(sd_vox, torch.Tensor) else sd_vox))
    if radius == 0:
        return field
    offsets = torch.arange(-radius, radius + 1, device=field.device, dtype=field.dtype)
    for axis in range(3):
        kernel = torch.exp(-0.5 * (offsets / sds[:, axis : axis + 1].clamp_min(1e-3)) ** 2)
        kernel = kernel / kernel.sum(dim=1, keepdim=True)
        pad = [0] * 6
        pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = radius
        padded = F.pad(field, pad, mode="replicate")
        total = torch.zeros_like(field)
        for tap in range(kernel.shape[1]):
            total.addcmul_(padded.narrow(2 + axis, tap, field.shape[2 + axis]), kernel[:, tap].view(-1, 1, 1, 1, 1))
        field = total
    return field


def box_mean(field: torch.Tensor, radius: int) -> torch.Tensor:
    """Return the mean over the (2 radius + 1)^3 neighbourhood of each voxel of `field` (B, C, I, J, K)."""
    for axis in range(2, 5):
        ends = [field.narrow(axis, at, 1) for at in (0, field.shape[axis] - 1)]
        field = mean_along(torch.cat([*ends[:1] * radius, field, *ends[1:] * radius], axis), axis, radius)
    return field


def mean_along(field: torch.Tensor, axis: int, radius: int) -> torch.Tensor:
    """Return the moving average of 2 radius + 1 voxels along `axis`, without padding: that axis shrinks by 2 radius."""
    width = 2 * radius + 1
    count = field.shape[axis] - 2 * radius
    total = field.narrow(axis, 0, count).clone()
    for tap in range(1, width):
        total += field.narrow(axis, tap, count)
    return total.div_(width)
