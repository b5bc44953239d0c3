"""A network that turns any image into channels which look alike wherever the same is seen: registration's features.

Two networks serve: the project's U-Net, and the published one of anatomix's authors (their layers, so that their file
can be read). What is read is the output, or levels of the encoder, as DeepSim compares them: each level's features at
unit length, interpolated to the image's voxels and beside one another, so that the squared difference of two images'
channels is 2 (1 - DeepSim) at every voxel (losses/semantic.py, with extraction before transform). Large images are
seen through overlapping windows and blended, which keeps what normalises the features near to what it was in training,
and memory small.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.nets.unet import UNet, UNetConfig, pad_to_multiple
from SlicerSynthReg.space.sampling import resize
from SlicerSynthReg.weights.registry import Card, WeightsError, load_weights

METHOD = "Features"
"""A card's method where its network is an extractor."""
SEMANTIC_LEVELS = (1, 2, 3)
"""Encoder levels that DeepSim compares by default: half to an eighth of the resolution, as the paper's three stages."""


@dataclass(frozen=True)
class ExtractorConfig:
    """unet: the project's network, None for that of anatomix's authors. encoder: the U-Net's encoder levels to be read,
    powers of two of the voxel; none: its output. unit: features are scaled to unit length, as they were compared in
    training. window, overlap: voxels of a window's side, and the share of it that neighbours see as well."""

    unet: UNetConfig | None = field(default_factory=UNetConfig)
    encoder: tuple[int, ...] = ()
    unit: bool = True
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
    """image (1, 1, I, J, K) in [0, 1] -> channels (C, I, J, K)."""

    def __init__(self, config: ExtractorConfig) -> None:
        super().__init__()
        self.config = config
        self.net: nn.Module = AnatomixNet() if config.unet is None else UNet(config.unet)

    @classmethod
    def load(cls, card: Card) -> Extractor:
        """The extractor of a card, ready for inference; of a registration's card, the encoder of the U-Net that looks
        at its scans, which was trained to tell structures apart."""
        state = load_weights(card)
        if card.method == METHOD:
            config = ExtractorConfig.from_card(card.architecture)
        elif "features" in card.architecture:
            config = ExtractorConfig(UNetConfig(**_tuples(card.architecture["features"])), SEMANTIC_LEVELS)
            state = {key: value for key, value in state.items() if key.startswith("net.")}
        else:
            raise WeightsError(f"Found {card.name!r}, a model for {card.method}, expected one with features.")
        extractor = cls(config)
        extractor.load_state_dict(state)
        return extractor.eval().to(memory_format=torch.channels_last_3d)

    def levels(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Encoder features (B, C, I / 2^level, ...) of images (B, 1, I, J, K), as the network gives them. Slices, of
        K = 1, stay slices: each is seen as a body that goes on unchanged on either side of it."""
        if not isinstance(self.net, UNet) or not self.config.encoder:
            raise WeightsError("Found an extractor without encoder levels, expected one for semantic similarity.")
        flat = image.shape[4] == 1
        padded = pad_to_multiple(image[..., 0] if flat else image, self.net.multiple)
        padded = (padded[..., None] if flat else padded).contiguous(memory_format=torch.channels_last_3d)
        encoded = self.net.encoded(padded, max(self.config.encoder))
        return [encoded[level] for level in self.config.encoder]

    @torch.no_grad()
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        shape = tuple(image.shape[2:])
        size = tuple(min(n, self.config.window) for n in shape)
        step = [max(1, int(n * (1 - self.config.overlap))) for n in size]
        starts = [_starts(n, w, s) for n, w, s in zip(shape, size, step)]
        if all(len(s) == 1 for s in starts):
            return self._channels(image)[0]
        total, weight, blend = None, image.new_zeros(shape), _blend(size).to(image.device)
        for i, j, k in itertools.product(*starts):
            part = slice(i, i + size[0]), slice(j, j + size[1]), slice(k, k + size[2])
            seen = self._channels(image[:, :, part[0], part[1], part[2]])[0]
            total = image.new_zeros((len(seen), *shape)) if total is None else total
            total[:, part[0], part[1], part[2]] += seen * blend
            weight[part] += blend
        assert total is not None  # there is one window at least
        total /= weight
        return F.normalize(total, dim=0) if self.config.unit and not self.config.encoder else total

    def _channels(self, image: torch.Tensor) -> torch.Tensor:
        i, j, k = image.shape[2:]
        if self.config.encoder:
            share = len(self.config.encoder) ** -0.5
            whole = tuple(n + -n % 2 ** max(self.config.encoder) for n in (i, j, k))
            raised = [resize(F.normalize(level, dim=1) * share, whole) for level in self.levels(image)]
            return torch.cat(raised, 1)[:, :, :i, :j, :k]
        least = [amount for n in (k, j, i) for amount in (0, max(0, 32 - n))]  # the coarsest level needs two voxels
        padded = pad_to_multiple(F.pad(image, least, mode="replicate"), 16)
        padded = padded.contiguous(memory_format=torch.channels_last_3d)
        seen = self.net(padded)[:, :, :i, :j, :k]
        return F.normalize(seen, dim=1) if self.config.unit else seen


def _starts(count: int, window: int, step: int) -> list[int]:
    """First voxels of windows that cover `count` voxels, the last one ending with them."""
    return sorted({min(start, count - window) for start in range(0, max(count - window, 0) + step, step)})


def _blend(size: tuple[int, ...]) -> torch.Tensor:
    """(I, J, K) Gaussian about a window's middle, SD an eighth of its side, never nothing."""
    i, j, k = (torch.exp(-0.5 * ((torch.arange(n) - (n - 1) / 2) / (n / 8)) ** 2).clamp_min(1e-3) for n in size)
    return i[:, None, None] * j[:, None] * k


class AnatomixNet(nn.Module):
    """The network of anatomix's table 7 at its published width, 16, as one numbered list of layers, "model.0" to
    "model.65": convolution, batch norm and ReLU each; max pools down, nearest upsampling up; no bias, nothing after the
    last convolution. The table's row 12 says 16 n_c; the published parameters, 5.9 million, are those of 8 n_c.
    """

    WIDTHS = ((1, 16, 16, 16), (16, 32, 32), (32, 64, 64), (64, 128, 128), (128, 256, 256))
    UP = ((384, 128, 128), (192, 64, 64), (96, 32, 32), (48, 16, 16))

    def __init__(self, outputs: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.saved: list[int] = []  # layers whose outputs the decoder sees again
        for level, widths in enumerate(self.WIDTHS):
            layers += [nn.MaxPool3d(2)] if level else []
            layers += _row(widths)
            self.saved.append(len(layers) - 1)
        for widths in self.UP:
            layers += [nn.Upsample(scale_factor=2, mode="nearest"), *_row(widths)]
        self.model = nn.Sequential(*layers, _convolution(16, outputs))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 1, I, J, K), counts multiples of 16 -> (B, outputs, I, J, K)."""
        seen = image
        skips: list[torch.Tensor] = []
        for n, layer in enumerate(self.model):
            seen = layer(seen)
            if isinstance(layer, nn.Upsample):
                seen = torch.cat([skips.pop(), seen], 1)
            elif n in self.saved[:-1]:
                skips.append(seen)
        return seen


def _row(widths: tuple[int, ...]) -> list[nn.Module]:
    row: list[nn.Module] = []
    for a, b in zip(widths, widths[1:]):
        row += [_convolution(a, b), nn.BatchNorm3d(b), nn.ReLU(inplace=True)]
    return row


def _convolution(inputs: int, outputs: int) -> nn.Conv3d:
    return nn.Conv3d(inputs, outputs, 3, padding=1, padding_mode="reflect", bias=False)
