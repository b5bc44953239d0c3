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
