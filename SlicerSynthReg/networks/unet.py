"""U-Net, the building block of the project's networks.

Encoder: one convolution at full resolution, then at each level a stride-2 convolution and another one. Decoder: a
2-wide stride-2 transposed convolution, concatenation of the encoder's features (skip connection), one convolution. All
other kernels are 3 wide with replicate padding: zero padding would encode a voxel's position within its crop.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class UNetConfig:
    """inputs, outputs: channels. widths: channels by level, finest first. finest: level at which the decoder ends (0:
    the input's resolution; 1: half, as SynthMorph's velocity). norm: "group" (groups of 4 channels) or "none". skips:
    skip connections; auto-encoders have none. dims: 3, or 2 for images (B, C, I, J)."""

    inputs: int = 1
    outputs: int = 16
    widths: tuple[int, ...] = (8, 32, 64, 96, 96)
    finest: int = 0
    norm: str = "group"
    skips: bool = True
    dims: int = 3


CONVOLUTIONS = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class ConvBlock(nn.Sequential):
    """Convolution, optional group normalisation, LeakyReLU with slope 0.2."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, norm: str = "group", dims: int = 3) -> None:
        layers: list[nn.Module] = [
            CONVOLUTIONS[dims](inputs, outputs, 3, stride, 1, bias=norm == "none", padding_mode="replicate")
        ]
        if norm == "group":
            layers.append(nn.GroupNorm(max(1, outputs // 4), outputs))
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        super().__init__(*layers)


class UNet(nn.Module):
    """Map (B, inputs, I, J, K) to (B, outputs, I / 2^finest, ...); any I, J, K, padded internally to a multiple."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, norm, dims = config.widths, config.norm, config.dims
        self.stem = ConvBlock(config.inputs, widths[0], 1, norm, dims)
        self.down = nn.ModuleList(
            nn.Sequential(ConvBlock(a, b, 2, norm, dims), ConvBlock(b, b, 1, norm, dims))
            for a, b in zip(widths, widths[1:])
        )
        self.up = nn.ModuleList(TRANSPOSED[dims](b, a, 2, 2) for a, b in zip(widths, widths[1:]))
        self.merge = nn.ModuleList(
            ConvBlock((1 + config.skips) * a, max(a, config.outputs) if level == 0 else a, 1, norm, dims)
            for level, a in enumerate(widths[:-1])
        )
        last = max(widths[0], config.outputs) if config.finest == 0 else widths[config.finest]
        kernel = 1 if config.finest == 0 else 3
        self.head = CONVOLUTIONS[dims](last, config.outputs, kernel, padding=int(config.finest != 0))

    @property
    def multiple(self) -> int:
        """Return the number to whose multiples voxel counts are padded."""
        return 2 ** (len(self.config.widths) - 1)

    def encoded(self, image: torch.Tensor, coarsest: int | None = None) -> list[torch.Tensor]:
        """Return encoder features, element n at resolution 1:2^n, down to level `coarsest` (default: the last)."""
        levels = [self.stem(image)]
        for block in self.down[:coarsest]:
            levels.append(block(levels[-1]))
        return levels

    def pyramid(self, image: torch.Tensor, finest: int | None = None) -> list[torch.Tensor]:
        """Return decoder features, finest level first; element n at resolution 1:2^(finest + n) of the padded input.

        finest: level at which the decoder stops; default, and lower bound: the configuration's.
        """
        finest = self.config.finest if finest is None else finest
        skips = self.encoded(image)
        levels = [skips[-1]]
        for level in range(len(self.down) - 1, finest - 1, -1):
            upsampled = self.up[level](levels[-1])
            levels.append(
                self.merge[level](torch.cat([upsampled, skips[level]], 1) if self.config.skips else upsampled)
            )
        return levels[::-1]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        padded = pad_to_multiple(image, self.multiple)
        out = self.head(self.pyramid(padded)[0])
        return out[(..., *(slice(-(-n // 2**self.config.finest)) for n in image.shape[2:]))]


def pad_to_multiple(image: torch.Tensor, multiple: int) -> torch.Tensor:
    """Pad (B, C, I, J, K) at the far end of each axis to a multiple, by repeating the edge."""
    pad = [amount for n in reversed(image.shape[2:]) for amount in (0, -n % multiple)]
    return F.pad(image, pad, mode="replicate") if any(pad) else image
