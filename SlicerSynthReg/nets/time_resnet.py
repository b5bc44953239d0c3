"""TimeResNet (MFM, fig. 4, 5 and 11): a residual encoder and decoder in 2-D that knows the time in every block.

Pre-activation residual blocks (GroupNorm, SiLU, 3x3 convolution, twice), the time between the second SiLU and its
convolution; stride-2 convolutions down; 1x1 convolution and bilinear upsampling up, the encoder's features added;
between the blocks of the bottleneck a layer that sees the whole slice. The paper's layer is its self-convolution
attention; with a Mamba layer in its place the network is our U-Mamba-bottleneck, without one a plain residual U-Net.
The paper's figures are not in its text: widths and blocks of `PAPER` are ours, chosen to have its 124.7 M parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.nets.mamba import MambaLayer
from SlicerSynthReg.nets.time import Modulation, TimeEmbedding
from SlicerSynthReg.nets.unet import pad_to_multiple

GROUPS = 8


@dataclass(frozen=True)
class TimeResNetConfig:
    """inputs, outputs: channels. widths: channels by level, finest first, multiples of 8. down: encoder blocks by
    level, the last level's being the bottleneck. up: decoder blocks by level. middle: what lies between the blocks of
    the bottleneck, one of MIDDLES. time: size of the embedded time."""

    inputs: int = 1
    outputs: int = 1
    widths: tuple[int, ...] = (16, 32, 64, 96, 128)
    down: tuple[int, ...] = (1, 2, 2, 2, 2)
    up: int = 1
    middle: str = "attention"
    time: int = 128


SMALL = TimeResNetConfig()
PAPER = TimeResNetConfig(widths=(64, 128, 256, 512, 768), down=(1, 2, 2, 3, 4), time=256)


class TimeResBlock(nn.Module):
    """x (B, C, H, W) -> x + what two convolutions make of it at the embedded time (B, time)."""

    def __init__(self, channels: int, time: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(GROUPS, channels), nn.SiLU(), _convolution(channels, channels))
        self.second = nn.Sequential(nn.GroupNorm(GROUPS, channels), nn.SiLU())
        self.modulation = Modulation(time, channels)
        self.last = _convolution(channels, channels)

    def forward(self, x: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
        return x + self.last(self.modulation(self.second(self.first(x)), embedded))


class SelfConvolutionAttention(nn.Module):
    """Every place of (B, C, H, W) attends to all: query, key and value by 3x3 convolutions with GroupNorm (fig. 5)."""

    def __init__(self, channels: int, head: int = 32) -> None:
        super().__init__()
        self.heads = max(1, channels // head)
        self.query, self.key, self.value = (
            nn.Sequential(_convolution(channels, channels), nn.GroupNorm(GROUPS, channels)) for _ in range(3)
        )
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = F.scaled_dot_product_attention(*(self._tokens(part(x)) for part in (self.query, self.key, self.value)))
        return x + self.out(seen.transpose(2, 3).reshape(x.shape))

    def _tokens(self, h: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, heads, H W, C / heads)."""
        return h.reshape(h.shape[0], self.heads, -1, h.shape[2] * h.shape[3]).transpose(2, 3)


MIDDLES: dict[str, Callable[[int], nn.Module]] = {
    "attention": SelfConvolutionAttention,
    "mamba": MambaLayer,
    "none": lambda channels: nn.Identity(),
}


class TimeResNet(nn.Module):
    """x (B, inputs, H, W) and times (B,) -> (B, outputs, H, W), any H and W; zero at birth."""

    def __init__(self, config: TimeResNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, time = config.widths, config.time
        self.time = TimeEmbedding(time)
        self.stem = _convolution(config.inputs, widths[0])
        self.halve = nn.ModuleList(_convolution(a, b, 2) for a, b in zip(widths, widths[1:]))
        self.down = nn.ModuleList(_blocks(count, width, time) for count, width in zip(config.down, widths))
        self.middle = nn.ModuleList(MIDDLES[config.middle](widths[-1]) for _ in range(config.down[-1] - 1))
        self.narrow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in zip(widths, widths[1:]))
        self.up = nn.ModuleList(_blocks(config.up, width, time) for width in widths[:-1])
        self.head = nn.Sequential(nn.GroupNorm(GROUPS, widths[0]), nn.SiLU(), nn.Conv2d(widths[0], config.outputs, 1))
        nn.init.zeros_(self.head[-1].weight)
        nn.init.zeros_(self.head[-1].bias)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        embedded = self.time(t)
        h = self.stem(pad_to_multiple(x, 2 ** len(self.halve)))
        skips = []
        for blocks, halve in zip(self.down, self.halve):
            for block in blocks:
                h = block(h, embedded)
            skips.append(h)
            h = halve(h)
        for n, block in enumerate(self.down[-1]):
            h = block(self.middle[n - 1](h) if n else h, embedded)
        for skip, narrow, blocks in list(zip(skips, self.narrow, self.up))[::-1]:
            h = skip + F.interpolate(narrow(h), scale_factor=2.0, mode="bilinear", align_corners=False)
            for block in blocks:
                h = block(h, embedded)
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 would round what comes out to 0.4 %
            return self.head(h.float())[:, :, : x.shape[2], : x.shape[3]]


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


def _blocks(count: int, channels: int, time: int) -> nn.ModuleList:
    return nn.ModuleList(TimeResBlock(channels, time) for _ in range(count))
