"""What instance optimisation may compare: one interface for squared differences of channels, NCC, NMI and others.

A similarity says what of an image is moved (`channels`: intensities, MIND, a network's features) and how badly two such
things agree (`loss`). Extraction before transform puts the work into `channels`, transform before extraction into
`loss`. DeepSim is the squared difference of the channels of an extractor whose levels have unit length
(nets/extractor.py), and so is `Described` by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from SlicerSynthReg.losses.mind import mind_ssc
from SlicerSynthReg.losses.similarity import local_ncc, nmi_loss

Describe = Callable[[torch.Tensor], torch.Tensor]
"""Image (1, 1, I, J, K) in [0, 1] -> channels (C, I, J, K)."""


class Similarity(Protocol):
    """How alike two images are, so that it can be optimised."""

    def channels(self, image: torch.Tensor) -> torch.Tensor:
        """(I, J, K) in [0, 1] -> (C, I, J, K), what is moved in its stead."""

    def loss(self, fixed: torch.Tensor, moved: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Scalar, lower for alike ones; channels (C, I, J, K), weight (I, J, K) how much each voxel counts."""


@dataclass(frozen=True)
class Described:
    """Squared differences of descriptions, each with its weight: extraction before transform."""

    parts: tuple[tuple[Describe, float], ...]

    def channels(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([describe(image[None, None]) * share for describe, share in self.parts])

    def loss(self, fixed: torch.Tensor, moved: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return _mean((fixed - moved).square().sum(0), weight)


@dataclass(frozen=True)
class LocalCorrelation:
    """1 - squared correlation in windows of 2 radius + 1 voxels."""

    radius: int = 3

    def channels(self, image: torch.Tensor) -> torch.Tensor:
        return image[None]

    def loss(self, fixed: torch.Tensor, moved: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return 1 - _mean(local_ncc(fixed[None], moved[None], self.radius)[0, 0], weight)


@dataclass(frozen=True)
class MutualInformation:
    """Normalised mutual information of at most `most` voxels, evenly chosen among those that count."""

    bins: int = 32
    most: int = 60_000

    def channels(self, image: torch.Tensor) -> torch.Tensor:
        return image[None]

    def loss(self, fixed: torch.Tensor, moved: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        where = (weight.detach().flatten() > 0.5).nonzero()[:, 0]
        where = where[:: max(1, len(where) // self.most)]
        if len(where) < 100:
            return moved.sum() * 0.0 + 1.0
        return nmi_loss(fixed.flatten()[None, None, where], moved.flatten()[None, None, where], self.bins)


def mind(image: torch.Tensor) -> torch.Tensor:
    """MIND-SSC as a description."""
    return mind_ssc(image)[0]


def intensities(image: torch.Tensor) -> torch.Tensor:
    """The image as its own description: squared differences of these are MSE."""
    return image[0]


def _mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (values * weight).sum() / weight.sum().clamp_min(1e-6)
