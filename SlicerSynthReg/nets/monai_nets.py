"""MONAI's 2-D networks made time-conditional: every normalisation is followed by A h + B of the embedded time.

For training and comparison; MONAI is an extra, and nothing that ships needs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from SlicerSynthReg.nets.time import Modulation, TimeEmbedding
from SlicerSynthReg.nets.unet import pad_to_multiple

KINDS = ("unet", "segresnet", "swinunetr")


@dataclass(frozen=True)
class MonaiConfig:
    """kind: one of KINDS. inputs, outputs: channels. width: channels of the finest level. time: size of the embedded
    time."""

    kind: str = "segresnet"
    inputs: int = 1
    outputs: int = 1
    width: int = 16
    time: int = 128


class TimedNorm(nn.Module):
    """A normalisation layer, then the modulation. embedded: (B, time), set by the network before each pass.

    last: whether the channels are the last axis, as in LayerNorm, and not the second.
    """

    def __init__(self, norm: nn.Module, channels: int, time: int, last: bool) -> None:
        super().__init__()
        self.norm, self.modulation, self.last = norm, Modulation(time, channels), last
        self.embedded: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(x)
        if self.embedded is None or len(h) != len(self.embedded):
            raise RuntimeError(
                f"Found a layer of {len(h)} rows, expected one row for each time. Modulate it elsewhere."
            )
        return (
            self.modulation(h.movedim(-1, 1), self.embedded).movedim(1, -1)
            if self.last
            else (self.modulation(h, self.embedded))
        )


class TimedMonai(nn.Module):
    """x (B, inputs, H, W) and times (B,) -> (B, outputs, H, W), any H and W; zero at birth."""

    def __init__(self, config: MonaiConfig) -> None:
        super().__init__()
        if config.kind not in KINDS:
            raise ValueError(f"Found the network {config.kind!r}, expected one of {', '.join(KINDS)}.")
        self.config = config
        self.time = TimeEmbedding(config.time)
        self.net = _plain(config)
        self.timed = nn.ModuleList(_timed(self.net, config.time))
        self.head = nn.Conv2d(config.width, config.outputs, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        embedded = self.time(t)
        for layer in self.timed:
            layer.embedded = embedded
        return self.head(self.net(pad_to_multiple(x, 32)))[:, :, : x.shape[2], : x.shape[3]]


def _plain(config: MonaiConfig) -> nn.Module:
    """The network as MONAI builds it, giving `width` channels to the head."""
    from monai.networks.nets import SegResNet, SwinUNETR, UNet

    shared: dict[str, Any] = {"spatial_dims": 2, "in_channels": config.inputs, "out_channels": config.width}
    if config.kind == "unet":
        widths = tuple(config.width * 2**level for level in range(5))
        return UNet(**shared, channels=widths, strides=(2, 2, 2, 2), num_res_units=1)
    if config.kind == "segresnet":
        return SegResNet(**shared, init_filters=config.width)
    return SwinUNETR(**shared, feature_size=config.width + -config.width % 12, num_heads=(3, 3, 6, 12))


def _timed(net: nn.Module, time: int) -> list[TimedNorm]:
    """Puts a TimedNorm in the place of every normalisation of `net` that knows its channels, and lists them."""
    made = []
    for parent in list(net.modules()):
        for name, layer in list(parent.named_children()):
            channels, last = _channels(layer)
            if channels:
                timed = TimedNorm(layer, channels, time, last)
                setattr(parent, name, timed)
                made.append(timed)
    return made


def _channels(layer: nn.Module) -> tuple[int, bool]:
    """(channels, whether they are last) of a normalisation; (0, False) for any other layer."""
    if isinstance(layer, nn.GroupNorm):
        return layer.num_channels, False
    if isinstance(layer, nn.InstanceNorm2d):
        return layer.num_features, False
    if isinstance(layer, nn.LayerNorm):
        return int(layer.normalized_shape[-1]), True
    return 0, False
