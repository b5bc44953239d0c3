"""The network that does what its examples show (Neuralizer, figure 3).

Seven pairwise blocks as a U-Net of four stages and constant width, 1x1 embeddings before, a residual unit and a 1x1
convolution behind. The paper does not say how skips join; a 1x1 convolution of both gives its 1.27 M parameters.

Beyond the paper, with `one_way` the examples' path does not look at the target: `encode` runs once for a set of
examples, in as many parts as memory asks for, and `answer` alone runs for each image.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from SlicerSynthReg.nets.pairwise import PairwiseConvAvg, ResidualUnit, SplitConv
from SlicerSynthReg.nets.unet import pad_to_multiple
from SlicerSynthReg.weights.registry import Card, load_weights

Representations = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class NeuralizerConfig:
    """width: channels everywhere (the paper's 64). stages: resolutions. inputs, outputs: channels of x and of y."""

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
class Encoded:
    """A set of examples as a `one_way` network remembers it: for each block the mean (B, C, h, w) of its examples."""

    means: tuple[torch.Tensor, ...]
    shape: tuple[int, int]

    def rows(self, start: int, end: int) -> Encoded:
        """Those of batch elements start..end-1."""
        return Encoded(tuple(mean[start:end] for mean in self.means), self.shape)

    @staticmethod
    def stacked(parts: Sequence[Encoded]) -> Encoded:
        """The batch elements of all parts, one after the other."""
        return Encoded(tuple(torch.cat(means) for means in zip(*(part.means for part in parts))), parts[0].shape)

    @staticmethod
    def pooled(parts: Sequence[Encoded], counts: Sequence[int]) -> Encoded:
        """Of all examples together, of which each part has `counts`: a mean of means."""
        if len(parts) == 1:
            return parts[0]
        shares = [count / sum(counts) for count in counts]
        blocks = zip(*(part.means for part in parts))
        return Encoded(tuple(sum(s * m for s, m in zip(shares, ms)) for ms in blocks), parts[0].shape)


class Neuralizer(nn.Module):
    """x (B, inputs, H, W) and examples (B, N, inputs + outputs, H, W) -> y (B, outputs, H, W), any N, H, W."""

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
        with torch.no_grad():  # nothing normalises on the way here: answers begin near 0, not far beyond 1
            self.head.weight.mul_(0.1)

    @classmethod
    def load(cls, card: Card) -> Neuralizer:
        """The model of a card, ready for inference."""
        model = cls(NeuralizerConfig.from_card(card.architecture))
        model.load_state_dict(load_weights(card))
        return model.eval().to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        if self.config.one_way:
            return self.answer(x, self.encode(context))
        r_x = self.embed_x(self._padded(x))
        r_c = self.embed_c(self._padded(context.flatten(0, 1)))
        joins = (self.join_x, self.join_c)
        r_x, _ = self._walk((r_x, r_c), joins, lambda n, both: self.blocks[n](*both))
        return self.head(self.last(r_x))[..., : x.shape[-2], : x.shape[-1]]

    def encode(self, context: torch.Tensor, at_once: int = 32) -> Encoded:
        """What a `one_way` network remembers of examples (B, N, inputs + outputs, H, W), `at_once` in memory."""
        if not self.config.one_way:
            raise ValueError("Found a network whose examples look at the target, expected a one-way network.")
        elements, count = context.shape[:2]
        totals: list[torch.Tensor] = []
        for part in context.split(max(1, at_once // elements), dim=1):
            share = part.shape[1] / count
            means: list[torch.Tensor] = []

            def step(n: int, r: Representations, found: list[torch.Tensor] = means) -> Representations:
                mean, r_c = self.blocks[n].encode(r[0], elements)
                found.append(mean)
                return (r_c,)

            self._walk((self.embed_c(self._padded(part.flatten(0, 1))),), (self.join_c,), step)
            totals = [a + share * b for a, b in zip(totals, means)] if totals else [share * b for b in means]
        return Encoded(tuple(totals), (context.shape[-2], context.shape[-1]))

    def answer(self, x: torch.Tensor, encoded: Encoded) -> torch.Tensor:
        """y for x (B, inputs, H, W) after `encode`; encoded: of B elements, or of one for all."""
        return self.head(self._known(x, encoded)[-1])[..., : x.shape[-2], : x.shape[-1]]

    def columns(self, x: torch.Tensor, encoded: Encoded) -> tuple[torch.Tensor, torch.Tensor]:
        """The answer, and (B, H, W, F) all that the network knows of each pixel: what every block and the last unit
        made of it, the latter bent once more, and the 3x3 pixels of the images about it."""
        height, width = x.shape[-2:]
        *blocks, last = self._known(x, encoded)
        finest = [one if one.shape == last.shape else _as_fine_as(last, one) for one in blocks]
        about = F.unfold(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3).unflatten(2, (height, width))
        known = [one[..., :height, :width] for one in (*finest, last, F.gelu(last))]
        columns = torch.cat([one.permute(0, 2, 3, 1) for one in (*known, about)], -1)
        return self.head(last)[..., :height, :width], columns

    def _known(self, x: torch.Tensor, encoded: Encoded) -> list[torch.Tensor]:
        """The target's representation behind each block, at its resolution, and behind the last unit."""
        known: list[torch.Tensor] = []

        def step(n: int, r: Representations) -> Representations:
            known.append(self.blocks[n].answer(r[0], encoded.means[n]))
            return (known[-1],)

        self._walk((self.embed_x(self._padded(x)),), (self.join_x,), step)
        return [*known, self.last(known[-1])]

    def _walk(
        self,
        r: Representations,
        joins: tuple[nn.ModuleList, ...],
        step: Callable[[int, Representations], Representations],
    ) -> Representations:
        """`step` at every block, the representations resized between them; coarser levels join their skips going up."""
        stages = self.config.stages
        skips: list[Representations] = []
        for n in range(2 * stages - 1):
            if n >= stages:
                finer = [F.interpolate(one, scale_factor=2.0, mode="bilinear", align_corners=False) for one in r]
                level = 2 * stages - 2 - n
                r = tuple(join[level](one, skip) for join, one, skip in zip(joins, finer, skips.pop()))
            r = step(n, r)
            if n < stages - 1:
                skips.append(r)
                r = tuple(F.max_pool2d(one, 2) for one in r)
        return r

    def _padded(self, image: torch.Tensor) -> torch.Tensor:
        padded = pad_to_multiple(image, 2 ** (self.config.stages - 1))
        return padded.contiguous(memory_format=torch.channels_last)


def _as_fine_as(finest: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
    return F.interpolate(r, size=finest.shape[-2:], mode="bilinear", align_corners=False)
