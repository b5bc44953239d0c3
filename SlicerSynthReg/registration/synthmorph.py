"""SynthMorph as one model: feature U-Net, matching network, label prototypes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.networks.matching import MatchingConfig, MatchingNet
from SlicerSynthReg.networks.unet import UNet, UNetConfig, pad_to_multiple
from SlicerSynthReg.weights.loading import load_network
from SlicerSynthReg.weights.registry import Card, load_weights


@dataclass(frozen=True)
class SynthMorphConfig:
    """labels: names of the structures that the network segments; empty for the shapes variant. foreground: those of
    them that belong to the anatomy to be registered (brain)."""

    features: UNetConfig = field(default_factory=UNetConfig)
    matching: MatchingConfig = field(default_factory=MatchingConfig)
    labels: tuple[str, ...] = ()
    foreground: tuple[str, ...] = ()
    temperature: float = 0.1

    @classmethod
    def from_card(cls, values: dict[str, Any]) -> SynthMorphConfig:
        """Return the configuration of a card's architecture entry (JSON lists become tuples)."""
        kinds = {"features": UNetConfig, "matching": MatchingConfig}
        parts = {
            key: kinds[key](**{k: _tuple(v) for k, v in value.items()}) if key in kinds else _tuple(value)
            for key, value in values.items()
        }
        return cls(**parts)

    def to_card(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True, eq=False)
class NetworkFeatures:
    """Features of one image.

    finest: (16, I, J, K) unit vectors at the image's resolution. foreground: (I, J, K) probability of the anatomy to be
    registered. structures: (L, I, J, K) probability of each label; both None for the shapes variant. levels:
    unit-length decoder features by power of two, (1, C, I/2^l, ...).
    """

    finest: torch.Tensor
    foreground: torch.Tensor | None
    structures: torch.Tensor | None
    levels: dict[int, torch.Tensor]


class SynthMorph(nn.Module):
    """Network: features(image) for each image, then velocity(fixed, moving, regularisation)."""

    def __init__(self, config: SynthMorphConfig) -> None:
        super().__init__()
        self.config = config
        self.net = UNet(config.features)
        self.prototypes = nn.Linear(config.features.outputs, len(config.labels), bias=False) if config.labels else None
        self.matching = MatchingNet(config.matching, config.features)
        inside = torch.tensor([value in config.foreground for value in config.labels], dtype=torch.bool)
        self.register_buffer("inside", inside, persistent=False)

    @classmethod
    def load(cls, card: Card) -> SynthMorph:
        """Return the model of a card, ready for inference."""
        model = cls(SynthMorphConfig.from_card(card.architecture))
        model.load_state_dict(load_weights(card))
        return model.eval().to(memory_format=torch.channels_last_3d)

    def features(self, image: torch.Tensor) -> NetworkFeatures:
        """Return the features of an image (1, 1, I, J, K) in [0, 1], RAS-aligned, near the card's spacing."""
        shape = image.shape[2:]
        padded = pad_to_multiple(image, self.net.multiple).contiguous(memory_format=torch.channels_last_3d)
        pyramid = self.net.pyramid(padded)
        finest = F.normalize(self.net.head(pyramid[0]), dim=1)[0, :, : shape[0], : shape[1], : shape[2]].contiguous()
        levels = self._matched(pyramid, self.config.features.finest)
        structures = self._structures(finest)
        foreground = None if structures is None else structures[self.inside].sum(0)
        return NetworkFeatures(finest, foreground, structures, levels)

    def levels(self, images: torch.Tensor) -> dict[int, torch.Tensor]:
        """Return `NetworkFeatures.levels` of images (B, 1, I, J, K), counts multiples of the network's.

        The decoder stops at the finest matched level; the rest costs more than all levels together.
        """
        finest = min(self.config.matching.levels)
        images = images.contiguous(memory_format=torch.channels_last_3d)
        return self._matched(self.net.pyramid(images, finest), finest)

    def _matched(self, pyramid: list[torch.Tensor], finest: int) -> dict[int, torch.Tensor]:
        """Return the matched levels of a pyramid that begins at level `finest`, unit-length."""
        return {
            level: F.normalize(pyramid[level - finest], dim=1).contiguous() for level in self.config.matching.levels
        }

    def _structures(self, finest: torch.Tensor) -> torch.Tensor | None:
        if self.prototypes is None:
            return None
        prototypes = F.normalize(self.prototypes.weight, dim=1) / self.config.temperature
        logits = torch.einsum("lc,cijk->lijk", prototypes, finest)
        return torch.softmax(logits, 0)

    def velocity(self, fixed: dict[int, torch.Tensor], moving: dict[int, torch.Tensor], weight: float) -> torch.Tensor:
        """Return (1, 3, I/2, J/2, K/2), voxels of that grid. weight: regularisation, 1 as in the paper."""
        low, high = self.config.matching.weight_range
        strength = torch.full((1,), min(max(weight, low), high), device=next(self.parameters()).device)
        return self.matching(fixed, moving, strength)


def load_synthmorph(card: Card | None) -> SynthMorph | None:
    """Return the network of `card` from the cache; None without a card."""
    return None if card is None else load_network(SynthMorph, card)
