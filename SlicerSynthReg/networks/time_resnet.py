"""TimeResNet (MFM, figures 4, 5 and 11): a time-conditional 2-D residual U-Net for flow matching.

Pre-activation residual blocks (GroupNorm, SiLU, 3x3 convolution, twice), modulated by the time embedding between the
second SiLU and its convolution (appendix D.1: sinusoidal code, MLP, h <- A h + B); stride-2 convolutions down; 1x1
convolution and bilinear upsampling up, encoder features added; between the blocks of the bottleneck a layer with a
global receptive field. The paper's layer is self-convolution attention; with a Mamba layer instead the network is a
U-Mamba, without one a plain residual U-Net. The paper states no widths: those of `PAPER` are chosen to have its
124.7 M parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.networks.mamba import MambaLayer
from SlicerSynthReg.networks.unet import pad_to_multiple

GROUPS = 8


@dataclass(frozen=True)
class TimeResNetConfig:
    """inputs, outputs: channels. widths: channels by level, finest first, multiples of 8. encoder_blocks: by level, the
    last level's being the bottleneck's. decoder_blocks: at each level. bottleneck: layer between the blocks of the
    bottleneck, one of BOTTLENECKS. time_channels: size of the time embedding."""

    inputs: int = 1
    outputs: int = 1
    widths: tuple[int, ...] = (16, 32, 64, 96, 128)
    encoder_blocks: tuple[int, ...] = (1, 2, 2, 2, 2)
    decoder_blocks: int = 1
    bottleneck: str = "attention"
    time_channels: int = 128


SMALL = TimeResNetConfig()
PAPER = TimeResNetConfig(widths=(64, 128, 256, 512, 768), encoder_blocks=(1, 2, 2, 3, 4), time_channels=256)


SCALE = 100.0
"""Times 0 to 1 are positions 0 to SCALE of the sinusoidal code (Vaswani et al. 2017)."""


def sinusoidal(t: torch.Tensor, size: int) -> torch.Tensor:
    """Return the code (B, size) of times (B,) in 0..1: sines, then cosines, wavelengths from 2 pi to 20,000 pi."""
    rates = torch.exp(-math.log(10_000.0) * torch.arange(size // 2, device=t.device, dtype=t.dtype) / (size // 2))
    angles = SCALE * t[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


class TimeEmbedding(nn.Module):
    """Map times (B,) to an embedding (B, size): an MLP of the sinusoidal code."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.mlp = nn.Sequential(nn.Linear(size, size), nn.SiLU(), nn.Linear(size, size))

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return self.mlp(sinusoidal(t, self.size))


class Modulation(nn.Module):
    """Map h (B, C, ...) to A h + B, with A and B (B, C) linear in the time embedding; initially A = 1, B = 0."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, h: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
        gain, shift = (part.view(*part.shape, *[1] * (h.ndim - 2)) for part in self.linear(embedded).chunk(2, 1))
        return torch.addcmul(h + shift, h, gain)


class TimeResBlock(nn.Module):
    """Residual block of x (B, C, H, W), modulated by the time embedding (B, time)."""

    def __init__(self, channels: int, time: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(GROUPS, channels), nn.SiLU(), _convolution(channels, channels))
        self.second = nn.Sequential(nn.GroupNorm(GROUPS, channels), nn.SiLU())
        self.modulation = Modulation(time, channels)
        self.last = _convolution(channels, channels)

    def forward(self, x: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
        return x + self.last(self.modulation(self.second(self.first(x)), embedded))


class SelfConvolutionAttention(nn.Module):
    """Global attention of (B, C, H, W), with query, key and value by 3x3 convolution and GroupNorm (figure 5)."""

    def __init__(self, channels: int, head: int = 32) -> None:
        super().__init__()
        self.heads = max(1, channels // head)
        self.query, self.key, self.value = (
            nn.Sequential(_convolution(channels, channels), nn.GroupNorm(GROUPS, channels)) for _ in range(3)
        )
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        attended = F.scaled_dot_product_attention(
            *(self._tokens(part(x)) for part in (self.query, self.key, self.value))
        )
        return x + self.out(attended.transpose(2, 3).reshape(x.shape))

    def _tokens(self, h: torch.Tensor) -> torch.Tensor:
        """Return (B, heads, H W, C / heads) of (B, C, H, W)."""
        return h.reshape(h.shape[0], self.heads, -1, h.shape[2] * h.shape[3]).transpose(2, 3)


BOTTLENECKS: dict[str, Callable[[int], nn.Module]] = {
    "attention": SelfConvolutionAttention,
    "mamba": MambaLayer,
    "none": lambda channels: nn.Identity(),
}


class TimeResNet(nn.Module):
    """Map x (B, inputs, H, W) and times (B,) to (B, outputs, H, W), any H and W; initially zero."""

    def __init__(self, config: TimeResNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, time = config.widths, config.time_channels
        self.time = TimeEmbedding(time)
        self.stem = _convolution(config.inputs, widths[0])
        self.halve = nn.ModuleList(_convolution(a, b, 2) for a, b in zip(widths, widths[1:]))
        self.down = nn.ModuleList(_blocks(count, width, time) for count, width in zip(config.encoder_blocks, widths))
        self.middle = nn.ModuleList(
            BOTTLENECKS[config.bottleneck](widths[-1]) for _ in range(config.encoder_blocks[-1] - 1)
        )
        self.narrow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in zip(widths, widths[1:]))
        self.up = nn.ModuleList(_blocks(config.decoder_blocks, width, time) for width in widths[:-1])
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
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 would round the output to 0.4 %
            return self.head(h.float())[:, :, : x.shape[2], : x.shape[3]]


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


def _blocks(count: int, channels: int, time: int) -> nn.ModuleList:
    return nn.ModuleList(TimeResBlock(channels, time) for _ in range(count))
