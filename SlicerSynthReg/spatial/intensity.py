"""Intensity statistics and mappings of arrays: subsampling, robust rescaling, histogram matching."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch

Values = TypeVar("Values", torch.Tensor, np.ndarray)

LOW_QUANTILE, HIGH_QUANTILE = 0.002, 0.995
MAX_VALUES = 1_000_000
"""Values from which quantiles are computed at most; torch.quantile refuses more than 16 million."""


def subsample(values: Values, count: int = MAX_VALUES, at_least: bool = False) -> Values:
    """Return entries of `values` (N, ...) at an even stride: at most `count` of them.

    at_least: return `count` to 2 `count` - 1 of them instead. Fewer than `count` entries are returned unchanged.
    """
    stride = len(values) // count if at_least else -(-len(values) // count)
    return values[:: max(1, stride)]


def robust_range(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (low, high) of `values` (any shape, floating point): the 0.2 % quantile, taken as background, and the
    99.5 % quantile of what is above it; (low, low + 1) for a constant."""
    flat = subsample(values.flatten())
    low = torch.quantile(flat, LOW_QUANTILE)
    return low, robust_maximum(flat[flat > low], default=low + 1)


def robust_maximum(values: torch.Tensor, default: torch.Tensor | float) -> torch.Tensor:
    """Return the 99.5 % quantile of `values` (N,), or `default` if there are none."""
    return torch.quantile(subsample(values), HIGH_QUANTILE) if len(values) else torch.as_tensor(default)


def rescale_intensity(data: torch.Tensor) -> torch.Tensor:
    """Return `data` (any shape) scaled linearly from its `robust_range` to [0, 1] and clipped; 0 for a constant."""
    values = data.float()
    low, high = robust_range(values)
    return ((values - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)


def match_histogram(
    image: torch.Tensor, reference: torch.Tensor, background: float = 0.05, knots: int = 64
) -> torch.Tensor:
    """Return `image` with the intensity quantiles of `reference`, both any shape, in [0, 1].

    Histogram matching (Nyul 2000) by piecewise-linear interpolation between `knots` quantiles of the values above
    `background`; values below stay. Returns `image` unchanged if either image has no value above `background`.
    """
    foreground = [item[item > background] for item in (image, reference)]
    if not all(len(values) for values in foreground):
        return image
    shares = torch.linspace(0, 1, knots, device=image.device)
    ends = image.new_tensor([0.0, background])
    source, target = (torch.cat([ends, torch.quantile(subsample(values), shares)]) for values in foreground)
    return piecewise_linear(image, source, target)


def piecewise_linear(values: torch.Tensor, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the piecewise-linear function through the knots (source, target) (K,), source ascending, at `values` (any
    shape); constant beyond the outermost knots."""
    right = torch.searchsorted(source, values.contiguous()).clamp(1, len(source) - 1)
    weight = ((values - source[right - 1]) / (source[right] - source[right - 1]).clamp_min(1e-6)).clamp(0, 1)
    return torch.lerp(target[right - 1], target[right], weight)
