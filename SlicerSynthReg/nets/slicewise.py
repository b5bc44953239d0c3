"""The family of time-conditional networks of slices: f(x, t) from (B, inputs, H, W) and (B,) to (B, outputs, H, W)."""

from __future__ import annotations

import dataclasses
from typing import Any, Union

from torch import nn

from SlicerSynthReg.nets.monai_nets import MonaiConfig, TimedMonai
from SlicerSynthReg.nets.time_resnet import PAPER, SMALL, TimeResNet, TimeResNetConfig

SliceNetConfig = Union[TimeResNetConfig, MonaiConfig]

NETWORKS: dict[str, SliceNetConfig] = {
    "timeresnet": SMALL,
    "timeresnet-paper": PAPER,
    "umamba": dataclasses.replace(SMALL, middle="mamba"),
    "unet": MonaiConfig("unet", width=20),
    "segresnet": MonaiConfig("segresnet", width=16),
    "swinunetr": MonaiConfig("swinunetr", width=12),
}
"""By the names that trainings use; all but the paper's own size have 3 M parameters or fewer."""


def built(config: SliceNetConfig) -> nn.Module:
    """A new network; RuntimeError, in plain words, where it needs MONAI and there is none."""
    if isinstance(config, TimeResNetConfig):
        return TimeResNet(config)
    try:
        return TimedMonai(config)
    except ImportError as error:
        raise RuntimeError(
            f"Found no {error.name}, expected it for the network {config.kind}. "
            "Install it with: pip install slicersynthreg[comparison]."
        ) from error


def to_card(config: SliceNetConfig) -> dict[str, Any]:
    """JSON-ready; `family` tells which record it is."""
    return {"family": type(config).__name__.removesuffix("Config"), **dataclasses.asdict(config)}


def from_card(values: dict[str, Any]) -> SliceNetConfig:
    """What `to_card` wrote, read from JSON."""
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    family = given.pop("family")
    return TimeResNetConfig(**given) if family == "TimeResNet" else MonaiConfig(**given)
