"""The loss of a task given by examples: soft Dice for masks, scaled squared error for images (Neuralizer, 3.2)."""

from __future__ import annotations

import torch

VARIANCE = 0.05
"""sigma^2 of the squared error, by which both losses are of like size."""


def question_loss(answer: torch.Tensor, truth: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(B,) losses of answers (B, 1, H, W); mask (B,) bool: whose truth is one.

    1 - 2 sum(ab) / (sum(a^2) + sum(b^2)) for masks; mean (a - b)^2 / (2 sigma^2) for images. The mean over pixels takes
    the place of the paper's sum, whose Dice it would drown.
    """
    a, b = answer.flatten(1), truth.flatten(1)
    dice = 1 - (2 * (a * b).sum(1) + 1) / ((a * a).sum(1) + (b * b).sum(1) + 1)
    squares = ((a - b) ** 2).mean(1) / (2 * VARIANCE)
    return torch.where(mask, dice, squares)
