"""Hounsfield units as the networks see them: clipped to [-1000, 1000], scaled to [-1, 1] (MFM, appendix B.3)."""

from __future__ import annotations

import torch

LIMIT_HU = 1000.0
RANGE_HU = 2 * LIMIT_HU


def scaled(hu: torch.Tensor) -> torch.Tensor:
    """HU of any shape -> [-1, 1]."""
    return hu.clamp(-LIMIT_HU, LIMIT_HU) / LIMIT_HU


def changed(hu: torch.Tensor, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """`hu` plus the change from `start` = scaled(hu) to `end`, in HU: what lay outside the limits stays there."""
    return hu + LIMIT_HU * (end - start)
