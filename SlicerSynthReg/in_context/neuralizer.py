"""Neuralizer: a network that performs the task shown by its support set (Neuralizer, figure 3).

Seven pairwise blocks form a U-Net of four stages and constant width, with 1x1 embeddings before and a residual unit and
a 1x1 convolution behind. The paper does not say how skips join; a 1x1 convolution of both gives its 1.27 M parameters.

Departure from the paper: with `one_way` the support path does not depend on the target. `encode` then runs once per
support set, in chunks that fit into memory, and only `predict` runs for each image.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.networks.pairwise import PairwiseConvAvg, ResidualUnit, SplitConv
from SlicerSynthReg.networks.unet import pad_to_multiple
from SlicerSynthReg.weights.registry import Card, load_weights

METHOD = "Neuralizer"
"""Method in the cards of these networks."""
Representations = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class NeuralizerConfig:
    """width: channels of every layer (64 in the paper). stages: resolutions. inputs, outputs: channels of x and of y.
    one_way: whether the support path is independent of the target."""

    width: int = 64
    stages: int = 4
    inputs: int = 3
    outputs: int = 1
    one_way: bool = False

    @classmethod
    def from_card(cls, values: dict[str, Any]) -> NeuralizerConfig:
        return cls(**values)

    def to_card(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, eq=False)
class SupportEncoding:
    """Encoding of a support set by a `one_way` network: per block the mean (B, C, h, w) over the examples."""

    means: tuple[torch.Tensor, ...]
    shape: tuple[int, int]

    def rows(self, start: int, end: int) -> SupportEncoding:
        """Return the encoding of batch elements start..end-1."""
        return SupportEncoding(tuple(mean[start:end] for mean in self.means), self.shape)

    @staticmethod
    def concatenate(parts: Sequence[SupportEncoding]) -> SupportEncoding:
        """Return the batch elements of all parts in order."""
        return SupportEncoding(
            tuple(torch.cat(means) for means in zip(*(part.means for part in parts))), parts[0].shape
        )

    @staticmethod
    def pool(parts: Sequence[SupportEncoding], counts: Sequence[int]) -> SupportEncoding:
        """Return the encoding of the union of the parts' examples, `counts` of each: the weighted mean of the means."""
        if len(parts) == 1:
            return parts[0]
        weights = [count / sum(counts) for count in counts]
        blocks = zip(*(part.means for part in parts))
        return SupportEncoding(tuple(sum(w * m for w, m in zip(weights, ms)) for ms in blocks), parts[0].shape)


class Neuralizer(nn.Module):
    """x (B, inputs, H, W) and support set (B, N, inputs + outputs, H, W) -> y (B, outputs, H, W); any N, H, W."""

    def __init__(self, config: NeuralizerConfig) -> None:
        super().__init__()
        self.config = config
        c, steps = config.width, 2 * config.stages - 1
        self.embed_x = nn.Conv2d(config.inputs, c, 1)
        self.embed_c = nn.Conv2d(config.inputs + config.outputs, c, 1)
        self.blocks = nn.ModuleList(PairwiseConvAvg(c, n == steps - 1, config.one_way) for n in range(steps))
        self.join_x = nn.ModuleList(SplitConv(c) for _ in range(config.stages - 1))
        self.join_c = nn.ModuleList(SplitConv(c) for _ in range(config.stages - 1))
        self.last = ResidualUnit(c)
        self.head = nn.Conv2d(c, config.outputs, 1)
        with torch.no_grad():  # no layer normalises: without it, initial outputs lie far beyond 1
            self.head.weight.mul_(0.1)

    @classmethod
    def load(cls, card: Card) -> Neuralizer:
        """Return the model of a card in evaluation mode. Raises WeightsError."""
        model = cls(NeuralizerConfig.from_card(card.architecture))
        model.load_state_dict(load_weights(card))
        return model.eval().to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor, support: torch.Tensor) -> torch.Tensor:
        if self.config.one_way:
            return self.predict(x, self.encode(support))
        r_x = self.embed_x(self._padded(x))
        r_c = self.embed_c(self._padded(support.flatten(0, 1)))
        joins = (self.join_x, self.join_c)
        r_x, _ = self._traverse((r_x, r_c), joins, lambda n, both: self.blocks[n](*both))
        return self.head(self.last(r_x))[..., : x.shape[-2], : x.shape[-1]]

    def encode(self, support: torch.Tensor, chunk_size: int = 32) -> SupportEncoding:
        """Return the encoding of a support set (B, N, inputs + outputs, H, W), `chunk_size` examples at a time. Raises
        ValueError unless the network is `one_way`."""
        if not self.config.one_way:
            raise ValueError("Found a network whose support path depends on the target, expected a one-way network.")
        elements, count = support.shape[:2]
        totals: list[torch.Tensor] = []
        for part in support.split(max(1, chunk_size // elements), dim=1):
            weight = part.shape[1] / count
            means: list[torch.Tensor] = []

            def step(n: int, r: Representations, found: list[torch.Tensor] = means) -> Representations:
                mean, r_c = self.blocks[n].encode(r[0], elements)
                found.append(mean)
                return (r_c,)

            self._traverse((self.embed_c(self._padded(part.flatten(0, 1))),), (self.join_c,), step)
            totals = [a + weight * b for a, b in zip(totals, means)] if totals else [weight * b for b in means]
        return SupportEncoding(tuple(totals), (support.shape[-2], support.shape[-1]))

    def predict(self, x: torch.Tensor, encoding: SupportEncoding) -> torch.Tensor:
        """Return y (B, outputs, H, W) for x (B, inputs, H, W); encoding: of B elements, or of one for all."""
        return self.head(self._target_features(x, encoding)[-1])[..., : x.shape[-2], : x.shape[-1]]

    def pixel_features(self, x: torch.Tensor, encoding: SupportEncoding) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the prediction (B, outputs, H, W) and features (B, H, W, F) of each pixel: the outputs of all blocks
        and of the last unit, GELU of the latter, and the 3x3 neighbourhood in the input."""
        height, width = x.shape[-2:]
        *blocks, last = self._target_features(x, encoding)
        full = [r if r.shape == last.shape else _resize_to(last, r) for r in blocks]
        patches = F.unfold(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3).unflatten(2, (height, width))
        maps = [r[..., :height, :width] for r in (*full, last, F.gelu(last))]
        features = torch.cat([r.permute(0, 2, 3, 1) for r in (*maps, patches)], -1)
        return self.head(last)[..., :height, :width], features

    def _target_features(self, x: torch.Tensor, encoding: SupportEncoding) -> list[torch.Tensor]:
        """Return the target representation after each block, at its resolution, and after the last unit."""
        features: list[torch.Tensor] = []

        def step(n: int, r: Representations) -> Representations:
            features.append(self.blocks[n].predict(r[0], encoding.means[n]))
            return (features[-1],)

        self._traverse((self.embed_x(self._padded(x)),), (self.join_x,), step)
        return [*features, self.last(features[-1])]

    def _traverse(
        self,
        r: Representations,
        joins: tuple[nn.ModuleList, ...],
        step: Callable[[int, Representations], Representations],
    ) -> Representations:
        """Apply `step` at every block of the U-Net, with pooling, upsampling and skip connections between them."""
        stages = self.config.stages
        skips: list[Representations] = []
        for n in range(2 * stages - 1):
            if n >= stages:
                finer = [F.interpolate(item, scale_factor=2.0, mode="bilinear", align_corners=False) for item in r]
                level = 2 * stages - 2 - n
                r = tuple(join[level](item, skip) for join, item, skip in zip(joins, finer, skips.pop()))
            r = step(n, r)
            if n < stages - 1:
                skips.append(r)
                r = tuple(F.max_pool2d(item, 2) for item in r)
        return r

    def _padded(self, image: torch.Tensor) -> torch.Tensor:
        padded = pad_to_multiple(image, 2 ** (self.config.stages - 1))
        return padded.contiguous(memory_format=torch.channels_last)


def _resize_to(finest: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    return F.interpolate(r, size=finest.shape[-2:], mode="bilinear", align_corners=False)
