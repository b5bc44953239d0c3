"""Label overlap as a loss (SynthMorph eq. 3 and its later one-hot form)."""

from __future__ import annotations

import torch


def soft_dice_loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """1 - mean over batch and labels of 2 sum(ab) / (sum(a^2) + sum(b^2)); a, b: (B, L, I, J, K) in [0, 1].

    Labels that are empty in both are left out.
    """
    dims = (2, 3, 4)
    total = (a * a).sum(dims) + (b * b).sum(dims)
    present = total > 1e-3
    dice = 2 * (a * b).sum(dims) / total.clamp_min(1e-3)
    return 1 - dice[present].mean()


def one_hot_mse(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of label probabilities, summed over labels; a, b: (B, L, I, J, K)."""
    return ((a - b) ** 2).sum(1).mean()
