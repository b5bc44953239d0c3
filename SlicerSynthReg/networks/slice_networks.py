"""Time-conditional 2-D networks f(x, t): (B, inputs, H, W), (B,) -> (B, outputs, H, W), by name.

TimeResNet and its variants, and MONAI networks made time-conditional for comparison: every normalisation layer is
followed by the modulation A h + B of the time embedding. MONAI is an optional dependency; no shipped model needs it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Union

import torch
from torch import nn

from SlicerSynthReg.networks.time_resnet import PAPER, SMALL, Modulation, TimeEmbedding, TimeResNet, TimeResNetConfig
from SlicerSynthReg.networks.unet import pad_to_multiple

MONAI_KINDS = ("unet", "segresnet", "swinunetr")


@dataclass(frozen=True)
class MonaiConfig:
    """kind: one of MONAI_KINDS. inputs, outputs: channels. width: channels of the finest level. time_channels: size of
    the time embedding."""

    kind: str = "segresnet"
    inputs: int = 1
    outputs: int = 1
    width: int = 16
    time_channels: int = 128


class TimeConditionalNorm(nn.Module):
    """A normalisation layer followed by the modulation. embedded: (B, time), set by the network before each pass.

    channels_last: whether the channels are the last axis, as in LayerNorm, and not the second.
    """

    def __init__(self, norm: nn.Module, channels: int, time: int, channels_last: bool) -> None:
        super().__init__()
        self.norm, self.modulation, self.channels_last = norm, Modulation(time, channels), channels_last
        self.embedded: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(x)
        if self.embedded is None or len(h) != len(self.embedded):
            raise RuntimeError(
                f"Found a layer with batch size {len(h)}, expected one row for each time. Do not modulate this layer."
            )
        return (
            self.modulation(h.movedim(-1, 1), self.embedded).movedim(1, -1)
            if self.channels_last
            else (self.modulation(h, self.embedded))
        )


class TimeConditionalMonai(nn.Module):
    """Map x (B, inputs, H, W) and times (B,) to (B, outputs, H, W), any H and W; initially zero."""

    def __init__(self, config: MonaiConfig) -> None:
        super().__init__()
        if config.kind not in MONAI_KINDS:
            raise ValueError(f"Found the network {config.kind!r}, expected one of {', '.join(MONAI_KINDS)}.")
        self.config = config
        self.time = TimeEmbedding(config.time_channels)
        self.net = _monai_network(config)
        self.timed = nn.ModuleList(_add_modulation(self.net, config.time_channels))
        self.head = nn.Conv2d(config.width, config.outputs, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        embedded = self.time(t)
        for layer in self.timed:
            layer.embedded = embedded
        return self.head(self.net(pad_to_multiple(x, 32)))[:, :, : x.shape[2], : x.shape[3]]


def _monai_network(config: MonaiConfig) -> nn.Module:
    """Build the MONAI network with `width` output channels."""
    from monai.networks.nets import SegResNet, SwinUNETR, UNet

    shared: dict[str, Any] = {"spatial_dims": 2, "in_channels": config.inputs, "out_channels": config.width}
    if config.kind == "unet":
        widths = tuple(config.width * 2**level for level in range(5))
        return UNet(**shared, channels=widths, strides=(2, 2, 2, 2), num_res_units=1)
    if config.kind == "segresnet":
        return SegResNet(**shared, init_filters=config.width)
    return SwinUNETR(**shared, feature_size=config.width + -config.width % 12, num_heads=(3, 3, 6, 12))


def _add_modulation(net: nn.Module, time: int) -> list[TimeConditionalNorm]:
    """Replace every normalisation layer of `net` by a TimeConditionalNorm, in place; return these."""
    replaced = []
    for parent in list(net.modules()):
        for name, layer in list(parent.named_children()):
            channels, channels_last = _channels(layer)
            if channels:
                conditional = TimeConditionalNorm(layer, channels, time, channels_last)
                setattr(parent, name, conditional)
                replaced.append(conditional)
    return replaced


def _channels(layer: nn.Module) -> tuple[int, bool]:
    """Return (channels, whether they are the last axis) of a normalisation layer; (0, False) of any other."""
    if isinstance(layer, nn.GroupNorm):
        return layer.num_channels, False
    if isinstance(layer, nn.InstanceNorm2d):
        return layer.num_features, False
    if isinstance(layer, nn.LayerNorm):
        return int(layer.normalized_shape[-1]), True
    return 0, False


SliceNetConfig = Union[TimeResNetConfig, MonaiConfig]

SLICE_NETWORKS: dict[str, SliceNetConfig] = {
    "timeresnet": SMALL,
    "timeresnet-paper": PAPER,
    "umamba": dataclasses.replace(SMALL, bottleneck="mamba"),
    "unet": MonaiConfig("unet", width=20),
    "segresnet": MonaiConfig("segresnet", width=16),
    "swinunetr": MonaiConfig("swinunetr", width=12),
}
"""Network names of the training commands; all but timeresnet-paper have at most 3 M parameters."""


def build_network(config: SliceNetConfig) -> nn.Module:
    """Return a new network. Raises RuntimeError if it needs MONAI, which is not installed."""
    if isinstance(config, TimeResNetConfig):
        return TimeResNet(config)
    try:
        return TimeConditionalMonai(config)
    except ImportError as error:
        raise RuntimeError(
            f"Found no {error.name}, expected it for the network {config.kind}. "
            "Install it with: pip install slicersynthreg[comparison]."
        ) from error


def to_card(config: SliceNetConfig) -> dict[str, Any]:
    """Return the configuration as JSON-ready values; `family` names the record."""
    return {"family": type(config).__name__.removesuffix("Config"), **dataclasses.asdict(config)}


def from_card(values: dict[str, Any]) -> SliceNetConfig:
    """Return the configuration that `to_card` wrote."""
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    family = fields.pop("family")
    return TimeResNetConfig(**fields) if family == "TimeResNet" else MonaiConfig(**fields)
