"""Loss of in-context prediction: soft Dice for masks, scaled squared error for images (Neuralizer, section 3.2)."""

from __future__ import annotations

import torch

VARIANCE = 0.05
"""sigma^2 of the squared error, which brings both losses to a similar scale."""


def episode_loss(prediction: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the losses (B,) of predictions (B, 1, H, W). mask (B,) bool: whether the truth is a mask.

    1 - 2 sum(ab) / (sum(a^2) + sum(b^2)) for masks; mean (a - b)^2 / (2 sigma^2) for images. Departure: the mean over
    pixels replaces the paper's sum, which would outweigh the Dice.
    """
    a, b = prediction.flatten(1), truth.flatten(1)
    dice = 1 - (2 * (a * b).sum(1) + 1) / ((a * a).sum(1) + (b * b).sum(1) + 1)
    squared_error = ((a - b) ** 2).mean(1) / (2 * VARIANCE)
    return torch.where(mask, dice, squared_error)
