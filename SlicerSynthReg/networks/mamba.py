"""Mamba layer: the selective scan h(l) = a(l) h(l-1) + b(l), y(l) = c(l) . h(l) (Gu and Dao 2023) in PyTorch.

The scan takes log2(L) passes over the sequence, on CPU and GPU, without custom kernels; with CUDA and the package
mamba_ssm its kernel is used instead.
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
    """Return h(l) = a(l) h(l-1) + b(l) along dimension 1, with h = 0 before the first; a, b and h (B, L, ...).

    Parallel prefix scan: two consecutive steps compose to one with a = a2 a1 and b = a2 b1 + b2, so that after pass n
    each element holds the composition of the last 2^n steps.
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
    """Return y (B, L, D) of u, delta (B, L, D); a (D, N), negative; b, c (B, L, N); d (D,).

    h(l) = exp(delta(l) a) h(l-1) + delta(l) b(l) u(l), (D, N) for each l; y(l) = h(l) c(l) + d u(l).
    """
    if selective_scan_fn is not None and u.is_cuda:
        parts = (part.transpose(1, 2).contiguous() for part in (u, delta))
        fast = selective_scan_fn(*parts, a, b.transpose(1, 2).contiguous(), c.transpose(1, 2).contiguous(), d)
        return fast.transpose(1, 2)
    decay = torch.exp(delta[..., None] * a)
    h = linear_recurrence(decay, (delta * u)[..., None] * b[:, :, None])
    return (h * c[:, :, None]).sum(-1) + d * u


class MambaLayer(nn.Module):
    """Residual Mamba layer of (B, C, H, W), pixels in row-major order (U-Mamba, Ma et al. 2024, bottleneck variant).

    state: N, state size of each channel. expand: inner channels for each of C. kernel: width of the convolution before
    the scan.
    """

    def __init__(self, channels: int, state: int = 16, expand: int = 2, kernel: int = 4) -> None:
        super().__init__()
        inner, rank = expand * channels, max(1, channels // 16)
        self.sizes = (rank, state, state)
        self.norm = nn.LayerNorm(channels)
        self.enter = nn.Linear(channels, 2 * inner, bias=False)
        self.short = nn.Conv1d(inner, inner, kernel, groups=inner, padding=kernel - 1)
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
