"""Blocks by which an image learns from a set of examples (pairwise convolution and average, Neuralizer section 3.3).

The paper concatenates the target's representation with each example's and convolves with a 1x1 kernel; written out,
that is one 1x1 convolution of the target, one of the example, and a sum that broadcasts. So nothing is concatenated,
and the target's update needs one convolution of the examples' mean.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class ResidualUnit(nn.Module):
    """r + conv(gelu(conv(gelu(r)))), 3x3, no normalisation (the paper leaves the order of the parts open)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, r: torch.Tensor) -> torch.Tensor:
        return r + self.second(F.gelu(self.first(F.gelu(r))))


class SplitConv(nn.Module):
    """A 1x1 convolution of the concatenation of `a` and `b`, which is never made: (.., C, H, W) each -> (.., C, H, W).

    `b` may have fewer elements in its batch if it broadcasts against `a` after both are convolved.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_a = nn.Conv2d(channels, channels, 1)
        self.of_b = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.of_a(a) + self.of_b(b)


def mean_of_examples(r_c: torch.Tensor, elements: int) -> torch.Tensor:
    """(elements * N, C, H, W) -> (elements, C, H, W), channels last: a mean over a dimension before the channels
    takes sixteen times as long, and leaves a layout that slows the convolutions behind it."""
    last = r_c.permute(0, 2, 3, 1).unflatten(0, (elements, -1))
    return last.mean(1).permute(0, 3, 1, 2)


class PairwiseConvAvg(nn.Module):
    """One exchange between the target and its examples.

    r_x (B, C, H, W); r_c (B * N, C, H, W), the N examples of each element one after the other. `last`: no block
    follows that would read the examples, so they are not updated. `one_way`: the examples learn nothing of the target,
    so that they are the same for every target (departure from the paper).
    """

    def __init__(self, channels: int, last: bool = False, one_way: bool = False) -> None:
        super().__init__()
        self.target_unit, self.context_unit = ResidualUnit(channels), ResidualUnit(channels)
        self.to_target = SplitConv(channels)
        self.to_context: nn.Module | None = None
        if not last:
            self.to_context = nn.Conv2d(channels, channels, 1) if one_way else SplitConv(channels)

    def forward(self, r_x: torch.Tensor, r_c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """r_x + mean_i k_x * (r_x, r_ci), and each r_ci + k_c * (r_ci, r_x), after a residual unit each."""
        r_x, r_c = self.target_unit(r_x), self.context_unit(r_c)
        updated = r_x + self.to_target(r_x, mean_of_examples(r_c, r_x.shape[0]))
        if isinstance(self.to_context, SplitConv):
            count = r_c.shape[0] // r_x.shape[0]
            of_target = self.to_context.of_b(r_x)[:, None]
            pairs = self.to_context.of_a(r_c).unflatten(0, (r_x.shape[0], count)) + of_target
            r_c = r_c + pairs.flatten(0, 1)
        elif self.to_context is not None:
            r_c = r_c + self.to_context(r_c)
        return updated, r_c

    def encode(self, r_c: torch.Tensor, elements: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What the target of a `one_way` block needs of its examples, their mean (B, C, H, W), and their update."""
        r_c = self.context_unit(r_c)
        mean = mean_of_examples(r_c, elements)
        return mean, r_c if self.to_context is None else r_c + self.to_context(r_c)

    def answer(self, r_x: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """The target's update from what `encode` gave."""
        r_x = self.target_unit(r_x)
        return r_x + self.to_target(r_x, mean)
