"""Segmentation network: a feature network and a convolution to class logits (anatomix, few-shot segmentation)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from SlicerSynthReg.errors import WeightsError
from SlicerSynthReg.networks.unet import UNet, UNetConfig
from SlicerSynthReg.weights.registry import Card, load_weights

METHOD = "Fine-tuned segmentation"


@dataclass(frozen=True)
class SegmenterConfig:
    """net: the feature network. labels: label values of the classes other than the background, in the order of the
    outputs. knots: of the intensity mapping (`io.intensity_matching`), None for a linear one per image."""

    net: UNetConfig = field(default_factory=UNetConfig)
    labels: tuple[int, ...] = (1,)
    knots: tuple[float, ...] | None = None

    @classmethod
    def from_card(cls, values: dict[str, Any]) -> SegmenterConfig:
        knots = values.get("knots")
        return cls(unet_config(values["net"]), tuple(values["labels"]), None if knots is None else tuple(knots))

    def to_card(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def unet_config(values: dict[str, Any]) -> UNetConfig:
    """Return the configuration from a card's JSON."""
    tuples: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return UNetConfig(**tuples)


class FineTunedSegmenter(nn.Module):
    """Maps images (B, 1, I, J, K) in [0, 1] to logits (B, 1 + labels, I, J, K), background first."""

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__()
        self.config = config
        self.net = UNet(config.net)
        self.classes = nn.Conv3d(config.net.outputs, 1 + len(config.labels), 1)

    @classmethod
    def load(cls, card: Card) -> FineTunedSegmenter:
        """Return the model of a card in evaluation mode. Raises WeightsError."""
        model = cls(SegmenterConfig.from_card(card.architecture))
        model.load_state_dict(load_weights(card))
        return model.eval().to(memory_format=torch.channels_last_3d)

    @classmethod
    def from_features(
        cls, card: Card, labels: tuple[int, ...], knots: tuple[float, ...] | None = None
    ) -> FineTunedSegmenter:
        """Return a model with the feature network of a card and a new last convolution.

        Raises WeightsError (code "no-features") for a card without feature network.
        """
        if card.features is None:
            raise WeightsError(
                f"Found the model {card.name}, which has no feature network, expected a model with one. Choose "
                "another, such as synthmorph-brains.",
                code="no-features",
            )
        model = cls(SegmenterConfig(unet_config(card.features), labels, knots))
        weights = {key[len("net.") :]: value for key, value in load_weights(card).items() if key.startswith("net.")}
        model.net.load_state_dict(weights)
        return model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.classes(self.net(image.contiguous(memory_format=torch.channels_last_3d)))

    def probabilities(self, image: torch.Tensor, max_voxels: int = 6_000_000, margin: int = 32) -> torch.Tensor:
        """Return class probabilities (1 + labels, I, J, K) of an image (I, J, K) in [0, 1].

        Images of more than `max_voxels` are halved along their longest axis, recursively, with an overlap of `margin`
        voxels beyond each cut.
        """
        axis = max(range(3), key=lambda a: image.shape[a])
        size = image.shape[axis]
        if image.numel() <= max_voxels or size < 4 * margin:
            device = next(self.parameters()).device
            return torch.softmax(self(image[None, None].to(device))[0], 0).cpu()
        half = size // 2
        low = self.probabilities(image.narrow(axis, 0, half + margin), max_voxels, margin)
        high = self.probabilities(image.narrow(axis, half - margin, size - half + margin), max_voxels, margin)
        return torch.cat([low.narrow(1 + axis, 0, half), high.narrow(1 + axis, margin, size - half)], 1 + axis)
