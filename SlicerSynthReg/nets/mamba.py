"""A Mamba layer in plain PyTorch: the selective scan h(l) = a(l) h(l-1) + b(l), y(l) = c(l) . h(l) (Gu and Dao 2023).

The scan is made of log2(L) passes over the whole sequence, so that it runs on a processor and on a graphics card
without kernels of its own; where the package mamba_ssm and a CUDA card are at hand, its kernel is used instead.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

try:
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
except ImportError:
    selective_scan_fn = None


def linear_recurrence(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """h(l) = a(l) h(l-1) + b(l) along dimension 1, h before the first being 0; a, b (B, L, ...) -> h of that shape.

    Two neighbouring steps are one step of the same kind, with a = a2 a1 and b = a2 b1 + b2: after pass n every place
    holds the step from 2^n places before it.
    """
    reach, length = 1, a.shape[1]
    while reach < length:
        b = torch.cat([b[:, :reach], a[:, reach:] * b[:, :-reach] + b[:, reach:]], 1)
        a = torch.cat([a[:, :reach], a[:, reach:] * a[:, :-reach]], 1)
        reach *= 2
    return b


def selective_scan(
    u: torch.Tensor, delta: torch.Tensor, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, d: torch.Tensor
) -> torch.Tensor:
    """u, delta (B, L, D); a (D, N), negative; b, c (B, L, N); d (D,) -> y (B, L, D).

    h(l) = exp(delta(l) a) h(l-1) + delta(l) b(l) u(l), (D, N) at each place; y(l) = h(l) c(l) + d u(l).
    """
    if selective_scan_fn is not None and u.is_cuda:
        parts = (part.transpose(1, 2).contiguous() for part in (u, delta))
        fast = selective_scan_fn(*parts, a, b.transpose(1, 2).contiguous(), c.transpose(1, 2).contiguous(), d)
        return fast.transpose(1, 2)
    decay = torch.exp(delta[..., None] * a)
    h = linear_recurrence(decay, (delta * u)[..., None] * b[:, :, None])
    return (h * c[:, :, None]).sum(-1) + d * u


class MambaLayer(nn.Module):
    """(B, C, H, W) -> the same shape: x + Mamba over its places in reading order (U-Mamba, Ma 2024, on the bottleneck).

    state: N, numbers remembered for each channel. expand: inner channels for each of C. reach: places of the short
    convolution before the scan.
    """

    def __init__(self, channels: int, state: int = 16, expand: int = 2, reach: int = 4) -> None:
        super().__init__()
        inner, rank = expand * channels, max(1, channels // 16)
        self.sizes = (rank, state, state)
        self.norm = nn.LayerNorm(channels)
        self.enter = nn.Linear(channels, 2 * inner, bias=False)
        self.short = nn.Conv1d(inner, inner, reach, groups=inner, padding=reach - 1)
        self.select = nn.Linear(inner, rank + 2 * state, bias=False)
        self.delta = nn.Linear(rank, inner)
        self.log_a = nn.Parameter(torch.log(torch.arange(1.0, state + 1)).repeat(inner, 1))
        self.d = nn.Parameter(torch.ones(inner))
        self.leave = nn.Linear(inner, channels, bias=False)
        steps = torch.exp(torch.linspace(math.log(1e-3), math.log(0.1), inner))
        with torch.no_grad():
            self.delta.bias.copy_(torch.log(torch.expm1(steps)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        u, gate = self.enter(tokens).chunk(2, 2)
        u = F.silu(self.short(u.transpose(1, 2))[..., : u.shape[1]]).transpose(1, 2)
        low, b, c = self.select(u).split(self.sizes, 2)
        y = selective_scan(u, F.softplus(self.delta(low)), -torch.exp(self.log_a), b, c, self.d)
        return x + self.leave(y * F.silu(gate)).transpose(1, 2).reshape(x.shape)
