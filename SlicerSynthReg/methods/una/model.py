"""UNA's network: a scan and its counterpart side in, the T1 of the anatomy in health out (UNA, section 4).

Departures from the paper: the U-Net's features choose, voxel by voxel, how much of the scan and of its counterpart
goes into the T1 beside what is drawn anew, t + a I + b C, so that detail need not pass through the network; and two
maps come along, the probability of an anomaly, which makes detection possible in any contrast, and the error to be
expected.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.nets.unet import UNet, UNetConfig
from SlicerSynthReg.weights.registry import Card, load_weights


@dataclass(frozen=True)
class UNAConfig:
    """paired: whether the network sees the counterpart side (ablation c: not). hidden: channels between features and
    maps. marked: the anomaly map is 0.5 where the difference of scan and reconstruction, in SDs, times the
    probability of an anomaly is so much (`as_anomaly`; chosen by `healthy.py --threshold` among the benchmarks)."""

    net: UNetConfig = field(default_factory=lambda: UNetConfig(inputs=2))
    paired: bool = True
    hidden: int = 24
    marked: float = 0.25

    @classmethod
    def from_card(cls, values: dict[str, Any]) -> UNAConfig:
        """Rebuild from a card's architecture entry (JSON lists become tuples)."""
        net: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values["net"].items()
        }
        return cls(**{**values, "net": UNetConfig(**net)})

    def to_card(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """All (B, 1, I, J, K). t1 = base + gain image: the anatomy in health, white matter at 0.8; base and gain are smooth
    beside the image, so that the same sum on a finer image keeps its detail. anomaly_logit: of an anomaly's
    probability. log_error: logarithm of the expected absolute error of t1."""

    t1: torch.Tensor
    base: torch.Tensor
    gain: torch.Tensor
    anomaly_logit: torch.Tensor
    log_error: torch.Tensor


class UNA(nn.Module):
    """(image, mirrored), each (B, 1, I, J, K) in 0..1, RAS, near the card's spacing -> Reconstruction."""

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
        """The model of a card, ready for inference."""
        model = cls(UNAConfig.from_card(card.architecture))
        model.load_state_dict(load_weights(card))
        return model.eval().to(memory_format=torch.channels_last_3d)

    def start_from(self, features: dict[str, torch.Tensor]) -> None:
        """Take over a trained one-image U-Net of the same widths: it sees the scan, and of the counterpart nothing."""
        weight = features["stem.0.weight"]
        state = dict(features)
        if self.config.net.inputs > weight.shape[1]:
            state["stem.0.weight"] = torch.cat([weight, torch.zeros_like(weight)], 1)
        self.net.load_state_dict(state)

    def forward(self, image: torch.Tensor, mirrored: torch.Tensor) -> Reconstruction:
        pair = torch.cat([image, mirrored], 1) if self.config.paired else image
        features = self.net(pair.contiguous(memory_format=torch.channels_last_3d))
        features = F.normalize(features, dim=1) * features.shape[1] ** 0.5
        t, a, b, anomaly, error = self.maps(features).split(1, 1)
        gain = torch.tanh(a)
        base = t + torch.tanh(b) * mirrored if self.config.paired else t
        return Reconstruction(base + gain * image, base, gain, anomaly, error)
