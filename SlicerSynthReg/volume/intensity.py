"""Intensities of any scanner on one scale."""

from __future__ import annotations

import torch


def unit_intensities(data: torch.Tensor, most: int = 1_000_000) -> torch.Tensor:
    """Values (any shape) with air at 0 and the brightest half percent of what is not air at 1, clipped to [0, 1].

    Quantiles are of no more than `most` values, evenly picked. A constant becomes 0.
    """
    values = data.float()
    flat = values.flatten()[:: -(-values.numel() // most)]
    low = torch.quantile(flat, 0.002)
    lit = flat[flat > low]
    high = torch.quantile(lit, 0.995) if len(lit) else low + 1
    return ((values - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)


def in_brightness_of(image: torch.Tensor, reference: torch.Tensor, air: float = 0.05, knots: int = 64) -> torch.Tensor:
    """Histogram matching: `image` with the quantiles of `reference` (both any shape, in [0, 1]), each of what is
    brighter than `air`; below it `image` stays. One of them without such voxels: `image`, unchanged."""
    lit = [one[one > air] for one in (image, reference)]
    if not all(len(values) for values in lit):
        return image
    shares = torch.linspace(0, 1, knots, device=image.device)
    ends = image.new_tensor([0.0, air])
    at, level = (torch.cat([ends, torch.quantile(values[:: -(-len(values) // 1_000_000)], shares)]) for values in lit)
    right = torch.searchsorted(at, image.contiguous()).clamp(1, len(at) - 1)
    share = ((image - at[right - 1]) / (at[right] - at[right - 1]).clamp_min(1e-6)).clamp(0, 1)
    return torch.lerp(level[right - 1], level[right], share)
