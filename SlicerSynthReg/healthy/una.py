"""UNA's network: healthy T1 from a scan of any contrast and its contralateral side (UNA, section 4).

Departures from the paper: the T1 is t + a I + b C with the scan I, its contralateral side C and voxel-wise maps t, a, b
of the U-Net's features, so that detail need not pass through the network; two more maps are predicted, the probability
of an anomaly, for detection in any contrast, and the expected error.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.networks.unet import UNet, UNetConfig
from SlicerSynthReg.weights.registry import Card, load_weights


@dataclass(frozen=True)
class UNAConfig:
    """paired: whether the network reads the contralateral side (ablation c: not). hidden: channels between features
    and maps. anomaly_threshold: evidence at which the anomaly map is 0.5 (see `anomaly_map.anomaly_score`; fitted by
    `Testing/Benchmarks/healthy.py --threshold`)."""

    net: UNetConfig = field(default_factory=lambda: UNetConfig(inputs=2))
    paired: bool = True
    hidden: int = 24
    anomaly_threshold: float = 0.25

    @classmethod
    def from_card(cls, values: dict[str, Any]) -> UNAConfig:
        """Return the configuration in a card's architecture entry (JSON lists become tuples)."""
        net: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values["net"].items()
        }
        return cls(**{**values, "net": UNetConfig(**net)})

    def to_card(self) -> dict[str, Any]:
        """Return the architecture entry of a card."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, eq=False)
class UNAOutput:
    """All (B, 1, I, J, K). t1 = base + gain image: healthy T1, white matter at 0.8. base and gain vary slowly, so that
    the same sum on a finer grid keeps the image's detail. anomaly_logit: logit of the probability of an anomaly.
    log_error: logarithm of the expected absolute error of t1."""

    t1: torch.Tensor
    base: torch.Tensor
    gain: torch.Tensor
    anomaly_logit: torch.Tensor
    log_error: torch.Tensor


class UNA(nn.Module):
    """Maps (image, mirrored), each (B, 1, I, J, K) in 0..1, RAS, at the card's spacing, to UNAOutput."""

    def __init__(self, config: UNAConfig) -> None:
        super().__init__()
        self.config = config
        self.net = UNet(config.net)
        self.maps = nn.Sequential(
            nn.Conv3d(config.net.outputs, config.hidden, 1), nn.LeakyReLU(0.2), nn.Conv3d(config.hidden, 5, 1)
        )
        last = self.maps[2]
        nn.init.normal_(last.weight, std=0.05)
        last.bias.data.copy_(torch.tensor([0.3, 0.0, 0.0, -2.0, -3.0]))

    @classmethod
    def load(cls, card: Card) -> UNA:
        """Return the model of a card in inference mode. Raises WeightsError."""
        model = cls(UNAConfig.from_card(card.architecture))
        model.load_state_dict(load_weights(card))
        return model.eval().to(memory_format=torch.channels_last_3d)

    def initialise_from(self, features: dict[str, torch.Tensor]) -> None:
        """Load the weights of a one-channel U-Net of the same widths; weights of the contralateral channel are 0."""
        weight = features["stem.0.weight"]
        state = dict(features)
        if self.config.net.inputs > weight.shape[1]:
            state["stem.0.weight"] = torch.cat([weight, torch.zeros_like(weight)], 1)
        self.net.load_state_dict(state)

    def forward(self, image: torch.Tensor, mirrored: torch.Tensor) -> UNAOutput:
        """Return the healthy T1 and its maps."""
        pair = torch.cat([image, mirrored], 1) if self.config.paired else image
        features = self.net(pair.contiguous(memory_format=torch.channels_last_3d))
        features = F.normalize(features, dim=1) * features.shape[1] ** 0.5
        t, a, b, anomaly, error = self.maps(features).split(1, 1)
        gain = torch.tanh(a)
        base = t + torch.tanh(b) * mirrored if self.config.paired else t
        return UNAOutput(base + gain * image, base, gain, anomaly, error)
