"""How time enters a network: sines and cosines, a small MLP, and in every block h <- A h + B (MFM, appendix D.1)."""

from __future__ import annotations

import math

import torch
from torch import nn

SCALE = 100.0
"""Times 0 to 1 are seen as positions 0 to SCALE of Vaswani's code: the fastest wave turns 16 times on the way."""


def sinusoidal(t: torch.Tensor, size: int) -> torch.Tensor:
    """(B,) times of 0 to 1 -> (B, size): sines, then cosines, of wavelengths from 2 pi to 10,000 times that."""
    rates = torch.exp(-math.log(10_000.0) * torch.arange(size // 2, device=t.device, dtype=t.dtype) / (size // 2))
    angles = SCALE * t[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


class TimeEmbedding(nn.Module):
    """(B,) times -> (B, size), learned on the sinusoidal code."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.mlp = nn.Sequential(nn.Linear(size, size), nn.SiLU(), nn.Linear(size, size))

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return self.mlp(sinusoidal(t, self.size))


class Modulation(nn.Module):
    """h (B, C, ...) -> A h + B, with A and B (B, C) linear in the embedded time; at birth A = 1 and B = 0."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, h: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
        gain, shift = (part.view(*part.shape, *[1] * (h.ndim - 2)) for part in self.linear(embedded).chunk(2, 1))
        return torch.addcmul(h + shift, h, gain)
