"""Feature extractors: networks that map an image of any contrast to feature channels for registration.

Two networks: the project's U-Net, and the published network of anatomix (Dey et al. 2025). The features are the
network's output, or levels of its encoder as DeepSim compares them: each level at unit length, interpolated to the
image's voxels and concatenated, so that the squared difference of two images' channels is 2 (1 - DeepSim) at every
voxel (losses/deepsim.py, features extracted before the warp). Large images are processed in overlapping windows that
are blended: normalisation layers then see statistics as in training, and memory stays small.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.errors import WeightsError
from SlicerSynthReg.networks.unet import UNet, UNetConfig, pad_to_multiple
from SlicerSynthReg.spatial.sampling import resize
from SlicerSynthReg.weights.registry import Card, load_weights

METHOD = "Features"
"""Method of a card whose network is an extractor."""
DEEPSIM_LEVELS = (1, 2, 3)
"""Encoder levels that DeepSim compares by default: 1/2 to 1/8 of the resolution, as the paper's three stages."""


@dataclass(frozen=True)
class ExtractorConfig:
    """unet: the project's network, None for AnatomixNet. encoder_levels: encoder levels that are the features, powers
    of two of the voxel; none: the output. unit_length: scale features to unit length, as in training. window, overlap:
    voxels of a window's side, and the fraction of it that adjacent windows share."""

    unet: UNetConfig | None = field(default_factory=UNetConfig)
    encoder_levels: tuple[int, ...] = ()
    unit_length: bool = True
    window: int = 96
    overlap: float = 0.4

    @classmethod
    def from_card(cls, values: dict[str, Any]) -> ExtractorConfig:
        unet = UNetConfig(**_tuples(values["unet"])) if values["unet"] else None
        return cls(**{**_tuples(values), "unet": unet})

    def to_card(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


class Extractor(nn.Module):
    """Map an image (1, 1, I, J, K) in [0, 1] to features (C, I, J, K)."""

    def __init__(self, config: ExtractorConfig) -> None:
        super().__init__()
        self.config = config
        self.net: nn.Module = AnatomixNet() if config.unet is None else UNet(config.unet)

    @classmethod
    def load(cls, card: Card) -> Extractor:
        """Return the extractor of a card, ready for inference; for a registration model, the encoder of its U-Net.
        Raises WeightsError for a model without features."""
        state = load_weights(card)
        if card.method == METHOD:
            config = ExtractorConfig.from_card(card.architecture)
        elif "features" in card.architecture:
            config = ExtractorConfig(UNetConfig(**_tuples(card.architecture["features"])), DEEPSIM_LEVELS)
            state = {key: value for key, value in state.items() if key.startswith("net.")}
        else:
            raise WeightsError(f"Found {card.name!r}, a model for {card.method}, expected one with features.")
        extractor = cls(config)
        extractor.load_state_dict(state)
        return extractor.eval().to(memory_format=torch.channels_last_3d)

    def levels(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Return encoder features (B, C, I / 2^level, ...) of images (B, 1, I, J, K). Slices (K = 1) stay slices: the
        replicate padding continues them on either side."""
        if not isinstance(self.net, UNet) or not self.config.encoder_levels:
            raise WeightsError("Found an extractor without encoder levels, expected one for semantic similarity.")
        flat = image.shape[4] == 1
        padded = pad_to_multiple(image[..., 0] if flat else image, self.net.multiple)
        padded = (padded[..., None] if flat else padded).contiguous(memory_format=torch.channels_last_3d)
        encoded = self.net.encoded(padded, max(self.config.encoder_levels))
        return [encoded[level] for level in self.config.encoder_levels]

    @torch.no_grad()
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        shape = tuple(image.shape[2:])
        size = tuple(min(n, self.config.window) for n in shape)
        step = [max(1, int(n * (1 - self.config.overlap))) for n in size]
        starts = [_starts(n, w, s) for n, w, s in zip(shape, size, step)]
        if all(len(s) == 1 for s in starts):
            return self._features(image)[0]
        total, weight, blend = None, image.new_zeros(shape), _blend(size).to(image.device)
        for i, j, k in itertools.product(*starts):
            part = slice(i, i + size[0]), slice(j, j + size[1]), slice(k, k + size[2])
            features = self._features(image[:, :, part[0], part[1], part[2]])[0]
            total = image.new_zeros((len(features), *shape)) if total is None else total
            total[:, part[0], part[1], part[2]] += features * blend
            weight[part] += blend
        assert total is not None  # there is one window at least
        total /= weight
        return F.normalize(total, dim=0) if self.config.unit_length and not self.config.encoder_levels else total

    def _features(self, image: torch.Tensor) -> torch.Tensor:
        i, j, k = image.shape[2:]
        if self.config.encoder_levels:
            scale = len(self.config.encoder_levels) ** -0.5
            whole = tuple(n + -n % 2 ** max(self.config.encoder_levels) for n in (i, j, k))
            resized = [resize(F.normalize(level, dim=1) * scale, whole) for level in self.levels(image)]
            return torch.cat(resized, 1)[:, :, :i, :j, :k]
        least = [amount for n in (k, j, i) for amount in (0, max(0, 32 - n))]  # the coarsest level needs two voxels
        padded = pad_to_multiple(F.pad(image, least, mode="replicate"), 16)
        padded = padded.contiguous(memory_format=torch.channels_last_3d)
        features = self.net(padded)[:, :, :i, :j, :k]
        return F.normalize(features, dim=1) if self.config.unit_length else features


def _starts(count: int, window: int, step: int) -> list[int]:
    """Return the first voxels of windows that cover `count` voxels; the last window ends with them."""
    return sorted({min(start, count - window) for start in range(0, max(count - window, 0) + step, step)})


def _blend(size: tuple[int, ...]) -> torch.Tensor:
    """Return blending weights (I, J, K): a Gaussian about the window's centre, SD 1/8 of its side, at least 1e-3."""
    i, j, k = (torch.exp(-0.5 * ((torch.arange(n) - (n - 1) / 2) / (n / 8)) ** 2).clamp_min(1e-3) for n in size)
    return i[:, None, None] * j[:, None] * k


class AnatomixNet(nn.Module):
    """U-Net of Dey et al. 2025 (anatomix, table 7) at its published width 16, as one list of layers, "model.0" to
    "model.65", so that the authors' file loads: convolution, batch norm and ReLU; max pooling, nearest upsampling; no
    biases. Row 12 of the table says 16 n_c; the published 5.9 million parameters are those of 8 n_c.
    """

    WIDTHS = ((1, 16, 16, 16), (16, 32, 32), (32, 64, 64), (64, 128, 128), (128, 256, 256))
    UP = ((384, 128, 128), (192, 64, 64), (96, 32, 32), (48, 16, 16))

    def __init__(self, outputs: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.saved: list[int] = []  # layers whose outputs are skip connections
        for level, widths in enumerate(self.WIDTHS):
            layers += [nn.MaxPool3d(2)] if level else []
            layers += _row(widths)
            self.saved.append(len(layers) - 1)
        for widths in self.UP:
            layers += [nn.Upsample(scale_factor=2, mode="nearest"), *_row(widths)]
        self.model = nn.Sequential(*layers, _convolution(16, outputs))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map (B, 1, I, J, K), counts multiples of 16, to (B, outputs, I, J, K)."""
        features = image
        skips: list[torch.Tensor] = []
        for n, layer in enumerate(self.model):
            features = layer(features)
            if isinstance(layer, nn.Upsample):
                features = torch.cat([skips.pop(), features], 1)
            elif n in self.saved[:-1]:
                skips.append(features)
        return features


def _row(widths: tuple[int, ...]) -> list[nn.Module]:
    row: list[nn.Module] = []
    for a, b in zip(widths, widths[1:]):
        row += [_convolution(a, b), nn.BatchNorm3d(b), nn.ReLU(inplace=True)]
    return row


def _convolution(inputs: int, outputs: int) -> nn.Conv3d:
    return nn.Conv3d(inputs, outputs, 3, padding=1, padding_mode="reflect", bias=False)
