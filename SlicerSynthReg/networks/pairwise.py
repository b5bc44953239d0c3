"""Pairwise convolution and average: exchange of information between a target and its support set (Neuralizer, 3.3).

The paper concatenates the target's representation with that of each example and applies a 1x1 convolution. By
linearity this equals one 1x1 convolution of the target plus one of the example, broadcast: nothing is concatenated, and
the target's update needs one convolution of the examples' mean only.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class ResidualUnit(nn.Module):
    """r + conv(gelu(conv(gelu(r)))) with 3x3 kernels, without normalisation (the paper leaves the order open)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, r: torch.Tensor) -> torch.Tensor:
        return r + self.second(F.gelu(self.first(F.gelu(r))))


class SplitConv(nn.Module):
    """1x1 convolution of the concatenation of `a` and `b` (.., C, H, W) -> (.., C, H, W), computed without
    concatenating. `b` may broadcast against `a`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_a = nn.Conv2d(channels, channels, 1)
        self.of_b = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.of_a(a) + self.of_b(b)


def mean_of_examples(r_c: torch.Tensor, elements: int) -> torch.Tensor:
    """Return the mean (elements, C, H, W) over the N examples of each element of r_c (elements * N, C, H, W).

    Keeps the channels-last layout: averaging before the channel dimension takes sixteen times as long.
    """
    last = r_c.permute(0, 2, 3, 1).unflatten(0, (elements, -1))
    return last.mean(1).permute(0, 3, 1, 2)


class PairwiseConvAvg(nn.Module):
    """One exchange between the target and its support set.

    r_x (B, C, H, W); r_c (B * N, C, H, W), the N examples of each element in order. last: no block follows, so the
    support set is not updated. one_way: the support path is independent of the target (departure from the paper).
    """

    def __init__(self, channels: int, last: bool = False, one_way: bool = False) -> None:
        super().__init__()
        self.target_unit, self.context_unit = ResidualUnit(channels), ResidualUnit(channels)
        self.to_target = SplitConv(channels)
        self.to_context: nn.Module | None = None
        if not last:
            self.to_context = nn.Conv2d(channels, channels, 1) if one_way else SplitConv(channels)

    def forward(self, r_x: torch.Tensor, r_c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return r_x + mean_i k_x * (r_x, r_ci) and r_ci + k_c * (r_ci, r_x), each after a residual unit."""
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
        """Return the mean (B, C, H, W) of the support set of a `one_way` block, and its update."""
        r_c = self.context_unit(r_c)
        mean = mean_of_examples(r_c, elements)
        return mean, r_c if self.to_context is None else r_c + self.to_context(r_c)

    def predict(self, r_x: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """Return the updated target (B, C, H, W); mean: as returned by `encode`."""
        r_x = self.target_unit(r_x)
        return r_x + self.to_target(r_x, mean)
