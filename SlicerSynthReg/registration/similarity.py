"""Similarity measures of instance optimisation: squared feature differences, local NCC, NMI.

A similarity extracts the channels of an image that are warped (`channels`: intensities, MIND, features of a network)
and compares them (`loss`). DeepSim is `FeatureDifference` with an extractor whose levels have unit length
(networks/extractor.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from SlicerSynthReg.losses.mind import mind_ssc
from SlicerSynthReg.losses.similarity import local_ncc, nmi_loss
from SlicerSynthReg.spatial.intensity import subsample

FeatureExtractor = Callable[[torch.Tensor], torch.Tensor]
"""Maps an image (1, 1, I, J, K) in [0, 1] to channels (C, I, J, K)."""


class Similarity(Protocol):
    """A differentiable similarity measure."""

    def channels(self, image: torch.Tensor) -> torch.Tensor:
        """Return the channels (C, I, J, K) of an image (I, J, K) in [0, 1]; they are warped in its place."""

    def loss(self, fixed: torch.Tensor, moved: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Return the dissimilarity (scalar) of channels (C, I, J, K), weighted by `weight` (I, J, K)."""


@dataclass(frozen=True)
class FeatureDifference:
    """Weighted squared differences of features, extracted before warping. parts: (extractor, weight)."""

    parts: tuple[tuple[FeatureExtractor, float], ...]

    def channels(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([extract(image[None, None]) * weight for extract, weight in self.parts])

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
    """Normalised mutual information of at most 2 `min_samples` foreground voxels at an even stride."""

    bins: int = 32
    min_samples: int = 60_000

    def channels(self, image: torch.Tensor) -> torch.Tensor:
        return image[None]

    def loss(self, fixed: torch.Tensor, moved: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        where = (weight.detach().flatten() > 0.5).nonzero()[:, 0]
        where = subsample(where, self.min_samples, at_least=True)
        if len(where) < 100:
            return moved.sum() * 0.0 + 1.0
        return nmi_loss(fixed.flatten()[None, None, where], moved.flatten()[None, None, where], self.bins)


def mind_extractor(image: torch.Tensor) -> torch.Tensor:
    """Return MIND-SSC."""
    return mind_ssc(image)[0]


def intensity_extractor(image: torch.Tensor) -> torch.Tensor:
    """Return the intensities; their squared difference is MSE."""
    return image[0]


def _mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (values * weight).sum() / weight.sum().clamp_min(1e-6)
