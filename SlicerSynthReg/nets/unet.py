"""The U-Net that every network of the project is built of.

Encoder: one convolution at full resolution, then at each level a stride-2 convolution and one more. Decoder: a 2-wide
stride-2 transposed convolution, the encoder's features beside it, one convolution. All kernels else are 3 wide,
edges repeated: zeros at the border would tell a voxel where it lies in its crop, and features learn that first.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class UNetConfig:
    """inputs, outputs: channels. widths: channels by level, finest first. finest: the level at which the decoder ends
    (0 = the input's resolution, 1 = half, as SynthMorph's velocity). norm: "group" (groups of 4 channels) or "none".
    skips: the decoder sees the encoder's features, but for auto-encoders. dims: 3, or 2 for images (B, C, I, J)."""

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
    """Convolution, normalisation if any, LeakyReLU 0.2."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, norm: str = "group", dims: int = 3) -> None:
        layers: list[nn.Module] = [
            CONVOLUTIONS[dims](inputs, outputs, 3, stride, 1, bias=norm == "none", padding_mode="replicate")
        ]
        if norm == "group":
            layers.append(nn.GroupNorm(max(1, outputs // 4), outputs))
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        super().__init__(*layers)


class UNet(nn.Module):
    """(B, inputs, I, J, K) -> (B, outputs, I / 2^finest, ...), any I, J, K: padded inside to the next multiple."""

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
        """Voxel counts are padded to multiples of this."""
        return 2 ** (len(self.config.widths) - 1)

    def encoded(self, image: torch.Tensor, coarsest: int | None = None) -> list[torch.Tensor]:
        """Encoder features, element n of resolution 1:2^n, as far as level `coarsest`, by default the last."""
        levels = [self.stem(image)]
        for block in self.down[:coarsest]:
            levels.append(block(levels[-1]))
        return levels

    def pyramid(self, image: torch.Tensor, finest: int | None = None) -> list[torch.Tensor]:
        """Decoder features, finest level first; element n has resolution 1:2^(finest + n) of the padded input.

        finest: where the decoder stops, no finer than the configuration's, which is the default.
        """
        finest = self.config.finest if finest is None else finest
        skips = self.encoded(image)
        levels = [skips[-1]]
        for level in range(len(self.down) - 1, finest - 1, -1):
            raised = self.up[level](levels[-1])
            levels.append(self.merge[level](torch.cat([raised, skips[level]], 1) if self.config.skips else raised))
        return levels[::-1]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        padded = pad_to_multiple(image, self.multiple)
        out = self.head(self.pyramid(padded)[0])
        return out[(..., *(slice(-(-n // 2**self.config.finest)) for n in image.shape[2:]))]


def pad_to_multiple(image: torch.Tensor, multiple: int) -> torch.Tensor:
    """(B, C, I, J, K) grown at the far end of each axis by repeating the edge."""
    pad = [amount for n in reversed(image.shape[2:]) for amount in (0, -n % multiple)]
    return F.pad(image, pad, mode="replicate") if any(pad) else image
