"""Shifted-window transformer for registration, a small TransMorph (Chen et al. 2022; Liu et al. 2021).

Two images as channels -> convolution at half resolution -> tokens at 1/4, 1/8 and 1/16, two blocks of window attention
at each level, the second with shifted windows -> convolutional decoder with skip connections, to half resolution.
Position enters only as a learned relative bias within a window, so that a token does not know its place in the image.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.networks.unet import ConvBlock, pad_to_multiple


@dataclass(frozen=True)
class TransformerConfig:
    """inputs, outputs: channels. widths: channels at half resolution, then at each token level. heads: of each token
    level. window: tokens a side. mlp_ratio: hidden channels of a block's MLP, relative to its width."""

    inputs: int = 2
    outputs: int = 3
    widths: tuple[int, ...] = (16, 48, 96, 192)
    heads: tuple[int, ...] = (3, 6, 12)
    window: int = 4
    mlp_ratio: int = 2


class WindowTransformer(nn.Module):
    """Map (B, inputs, I, J, K) to (B, outputs, I/2, J/2, K/2), counts rounded up; any I, J, K."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        widths, w = config.widths, config.window
        self.stem = ConvBlock(config.inputs, widths[0], 2, "none")
        self.merging = nn.ModuleList(nn.Conv3d(a, b, 2, 2) for a, b in zip(widths, widths[1:]))
        self.blocks = nn.ModuleList(
            nn.ModuleList(WindowBlock(width, heads, w, shift, config.mlp_ratio) for shift in (0, w // 2))
            for width, heads in zip(widths[1:], config.heads)
        )
        self.up = nn.ModuleList(nn.ConvTranspose3d(b, a, 2, 2) for a, b in zip(widths, widths[1:]))
        self.join = nn.ModuleList(ConvBlock(2 * a, a, 1, "none") for a in widths[:-1])
        self.head = nn.Conv3d(widths[0], config.outputs, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        levels = [self.stem(pad_to_multiple(image, 2 ** len(self.config.widths)))]
        for merge, blocks in zip(self.merging, self.blocks):
            tokens = merge(levels[-1]).movedim(1, -1)
            for block in blocks:
                tokens = block(tokens)
            levels.append(tokens.movedim(-1, 1).contiguous())
        decoded = levels[-1]
        for n in reversed(range(len(self.up))):
            decoded = self.join[n](torch.cat([self.up[n](decoded), levels[n]], 1))
        i, j, k = (-(-n // 2) for n in image.shape[2:])
        return self.head(decoded)[:, :, :i, :j, :k]


class WindowBlock(nn.Module):
    """Residual window attention, then a residual MLP, of tokens (B, I, J, K, C).

    Windows are cut from the grid rolled by `shift`; padding and tokens that were rolled to the far end are masked.
    """

    def __init__(self, width: int, heads: int, window: int, shift: int, mlp_ratio: int) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, shift
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixed, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.hidden = nn.Sequential(nn.Linear(width, mlp_ratio * width), nn.GELU(), nn.Linear(mlp_ratio * width, width))
        self.bias = nn.Parameter(torch.zeros((2 * window - 1) ** 3, heads))
        nn.init.trunc_normal_(self.bias, std=0.02)
        self.register_buffer("offsets", relative_position_index(window), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self._attention(self.before(x))
        return x + self.hidden(self.after(x))

    def _attention(self, x: torch.Tensor) -> torch.Tensor:
        batch, i, j, k, width = x.shape
        w, shift = self.window, self.shift
        pad = [amount for n in (k, j, i) for amount in (0, -n % w)]
        padded = F.pad(x, (0, 0, *pad)).roll((-shift,) * 3, (1, 2, 3))
        shape = tuple(padded.shape[1:4])
        windows = partition_windows(padded, w)
        count, size = windows.shape[1], w**3
        q, key, v = self.mixed(windows).view(batch, count, size, 3, self.heads, -1).permute(3, 0, 1, 4, 2, 5)
        weight = q @ key.transpose(-1, -2) * q.shape[-1] ** -0.5
        weight = weight + self.bias[self.offsets].permute(2, 0, 1)
        apart = attention_mask((i, j, k), w, shift).to(x.device)
        weight = weight.masked_fill(apart[None, :, None], -1e4).softmax(-1)
        mixed = self.out((weight @ v).transpose(2, 3).reshape(batch, count, size, width))
        whole = merge_windows(mixed, shape, w).roll((shift,) * 3, (1, 2, 3))
        return whole[:, :i, :j, :k]


def partition_windows(x: torch.Tensor, window: int) -> torch.Tensor:
    """Return (B, windows, window^3, C) of (B, I, J, K, C), whose counts are multiples of `window`."""
    batch, i, j, k, width = x.shape
    parts = x.view(batch, i // window, window, j // window, window, k // window, window, width)
    return parts.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(batch, -1, window**3, width)


def merge_windows(windows: torch.Tensor, shape: tuple[int, ...], window: int) -> torch.Tensor:
    """Invert `partition_windows` for a grid of `shape`."""
    i, j, k = (n // window for n in shape)
    batch, width = windows.shape[0], windows.shape[-1]
    parts = windows.view(batch, i, j, k, window, window, window, width).permute(0, 1, 4, 2, 5, 3, 6, 7)
    return parts.reshape(batch, *shape, width)


def relative_position_index(window: int) -> torch.Tensor:
    """Return (window^3, window^3) long: index of the offset between two tokens, 0..(2 window - 1)^3 - 1."""
    line = torch.arange(window)
    positions = torch.cartesian_prod(line, line, line)
    difference = positions[:, None] - positions[None] + window - 1
    side = 2 * window - 1
    return (difference[..., 0] * side + difference[..., 1]) * side + difference[..., 2]


@functools.lru_cache(maxsize=32)
def attention_mask(shape: tuple[int, int, int], window: int, shift: int) -> torch.Tensor:
    """Return (windows, window^3, window^3) bool: token pairs that share a window only because of rolling or padding."""
    sides = [n + -n % window for n in shape]
    region = torch.zeros(sides, dtype=torch.long)
    for axis, (n, side) in enumerate(zip(shape, sides)):
        position = torch.arange(side)
        part = torch.where(position < n, (position < shift).long(), 2)  # 1: rolled to the far end; 2: padding
        region = 3 * region + part.view([-1 if a == axis else 1 for a in range(3)])
    cut = partition_windows(region.roll((-shift,) * 3, (0, 1, 2))[None, ..., None], window)[0, ..., 0]
    return cut[:, :, None] != cut[:, None]
