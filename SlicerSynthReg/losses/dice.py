"""Losses of segmentations: soft Dice, mean squared difference of one-hot maps, and Dice plus cross-entropy."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def soft_dice_loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return 1 - mean over batch and labels of 2 sum(ab) / (sum(a^2) + sum(b^2)); a, b: (B, L, I, J, K) in [0, 1].

    Soft Dice with squared denominators (Milletari et al. 2016, V-Net). Departure from SynthMorph (Hoffmann et al. 2022,
    section III-B), whose denominator is sum(a) + sum(b). Labels that are empty in both are left out.
    """
    dims = (2, 3, 4)
    total = (a * a).sum(dims) + (b * b).sum(dims)
    present = total > 1e-3
    dice = 2 * (a * b).sum(dims) / total.clamp_min(1e-3)
    return 1 - dice[present].mean()


def one_hot_mse(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the mean squared difference of label probabilities, summed over labels; a, b: (B, L, I, J, K)."""
    return ((a - b) ** 2).sum(1).mean()


def dice_cross_entropy_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return cross-entropy plus soft Dice loss over all labels; logits (B, L, I, J, K), labels (B, I, J, K) long."""
    one_hot = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).float()
    return F.cross_entropy(logits, labels) + soft_dice_loss(torch.softmax(logits, 1), one_hot)
