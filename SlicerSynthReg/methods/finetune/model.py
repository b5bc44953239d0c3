"""A feature network with one more convolution, whose outputs are the labels (anatomix, few-shot segmentation)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from SlicerSynthReg.nets.unet import UNet, UNetConfig
from SlicerSynthReg.weights.registry import Card, WeightsError, load_weights

METHOD = "Fine-tuned segmentation"


@dataclass(frozen=True)
class FineTunedConfig:
    """net: the feature network. labels: values of the classes beside the background, in the order of the outputs.
    knots: raw intensities that evenly become 0 to 1 (`volume.brightness`), None where each image keeps its own scale.
    """

    net: UNetConfig = field(default_factory=UNetConfig)
    labels: tuple[int, ...] = (1,)
    knots: tuple[float, ...] | None = None

    @classmethod
    def from_card(cls, values: dict[str, Any]) -> FineTunedConfig:
        knots = values.get("knots")
        return cls(net_config(values["net"]), tuple(values["labels"]), None if knots is None else tuple(knots))

    def to_card(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def net_config(values: dict[str, Any]) -> UNetConfig:
    """From a card's JSON, whose lists become tuples."""
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return UNetConfig(**plain)


class FineTuned(nn.Module):
    """(B, 1, I, J, K) in [0, 1] -> logits (B, 1 + labels, I, J, K), the background first."""

    def __init__(self, config: FineTunedConfig) -> None:
        super().__init__()
        self.config = config
        self.net = UNet(config.net)
        self.classes = nn.Conv3d(config.net.outputs, 1 + len(config.labels), 1)

    @classmethod
    def load(cls, card: Card) -> FineTuned:
        """The model of a card, ready for inference."""
        model = cls(FineTunedConfig.from_card(card.architecture))
        model.load_state_dict(load_weights(card))
        return model.eval().to(memory_format=torch.channels_last_3d)

    @classmethod
    def from_features(cls, card: Card, labels: tuple[int, ...], knots: tuple[float, ...] | None = None) -> FineTuned:
        """A model to be trained, whose features are those of a card; the last convolution is new. Errors:
        WeightsError for a card without features."""
        if card.features is None:
            raise WeightsError(
                f"Found the model {card.name}, which has no features to start from, expected a feature network, such "
                "as synthmorph-brains."
            )
        model = cls(FineTunedConfig(net_config(card.features), labels, knots))
        weights = {key[len("net.") :]: value for key, value in load_weights(card).items() if key.startswith("net.")}
        model.net.load_state_dict(weights)
        return model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.classes(self.net(image.contiguous(memory_format=torch.channels_last_3d)))

    def probabilities(self, image: torch.Tensor, most_voxels: int = 6_000_000, margin: int = 32) -> torch.Tensor:
        """image (I, J, K) -> (1 + labels, I, J, K). Images beyond `most_voxels` are halved along their longest axis, as
        often as needed, with `margin` voxels seen beyond each cut."""
        axis = max(range(3), key=lambda a: image.shape[a])
        size = image.shape[axis]
        if image.numel() <= most_voxels or size < 4 * margin:
            device = next(self.parameters()).device
            return torch.softmax(self(image[None, None].to(device))[0], 0).cpu()
        half = size // 2
        low = self.probabilities(image.narrow(axis, 0, half + margin), most_voxels, margin)
        high = self.probabilities(image.narrow(axis, half - margin, size - half + margin), most_voxels, margin)
        return torch.cat([low.narrow(1 + axis, 0, half), high.narrow(1 + axis, margin, size - half)], 1 + axis)
