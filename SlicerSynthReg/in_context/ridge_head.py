"""Ridge head: the last layer of the network, refitted to the support set in closed form.

The features that the network computes for a pixel carry more information than its prediction. Each example is
predicted from the others; the residual is regressed on the pixel features and their random nonlinear features by ridge
regression (random features: Rahimi and Recht, 2007; closed-form few-shot heads: Bertinetto et al., 2019). The ridge
penalty is chosen by cross-validation over examples. Takes a few seconds, no gradient steps. Not part of the paper.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

THRESHOLDS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
"""Mask thresholds that cross-validation tries."""
MAX_Z = 6.0
"""Standard scores are clamped to this magnitude, beyond which there is no training data."""


@dataclass(frozen=True)
class RidgeHeadConfig:
    """Parameters of the fit.

    random_features: number of random nonlinear features; random_scale: SD of their projection per unit of input.
    penalties: ridge penalties that cross-validation tries, relative to one example; a single example takes the last.
    folds: of the cross-validation. slices: of the support set, over all examples. pixels: sampled from them, near masks
    and elsewhere. near: distance in pixels that counts as near a mask.
    """

    random_features: int = 256
    random_scale: float = 1.5
    penalties: tuple[float, ...] = (0.02, 0.2, 2.0)
    folds: int = 8
    slices: int = 48
    pixels: int = 12_000
    near: int = 4
    seed: int = 0


@dataclass(frozen=True, eq=False)
class PixelSample:
    """Training pixels of a ridge head.

    features (P, F); prediction, target (P,): as trained, and true; weight (P,): pixels that each stands for; example
    (P,) long: index of the example, from 0.
    """

    features: torch.Tensor
    prediction: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor
    example: torch.Tensor


@dataclass(frozen=True, eq=False)
class RidgeHead:
    """Fitted head. mean, sd (F,) of the pixel features; projection (F, K) and offsets (K,) of the random features;
    weights (1 + F + K,); threshold: value of the corrected prediction that maps to 0.5, for masks."""

    mean: torch.Tensor
    sd: torch.Tensor
    projection: torch.Tensor
    offsets: torch.Tensor
    weights: torch.Tensor
    threshold: float = 0.5

    def predict(self, prediction: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Return the corrected prediction (1, H, W); prediction (1, H, W), features (H, W, F): those of
        `Neuralizer.pixel_features`."""
        z, random = self.expand(features.flatten(0, 1))
        constant, linear, nonlinear = self.weights.split([1, z.shape[1], random.shape[1]])
        return self.recalibrate(prediction + (constant + z @ linear + random @ nonlinear).view_as(prediction))

    def recalibrate(self, p: torch.Tensor) -> torch.Tensor:
        """Map p piecewise linearly: 0 to 0, `threshold` to 0.5, 1 to 1."""
        if self.threshold == 0.5:
            return p
        low, high = 0.5 * p / self.threshold, 0.5 + 0.5 * (p - self.threshold) / (1 - self.threshold)
        return torch.where(p < self.threshold, low, high).clamp(0, 1)

    def expand(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the standard scores (P, F) and random nonlinear features (P, K) of features (P, F)."""
        z = ((features - self.mean) / self.sd).clamp_(-MAX_Z, MAX_Z)
        return z, F.gelu(torch.addmm(self.offsets, z, self.projection))


def fit_ridge_head(sample: PixelSample, config: RidgeHeadConfig) -> RidgeHead:
    """Return the ridge head of a pixel sample.

    argmin over w of mean (target - prediction - w . features)^2 + penalty / examples |w|^2, the constant unpenalised.
    The penalty with the least cross-validated error is taken; if none improves on the trained prediction, w = 0. For
    masks the threshold maximises the cross-validated Dice.
    """
    features, weight = sample.features, sample.weight
    residual = sample.target - sample.prediction
    generator = torch.Generator().manual_seed(config.seed)
    count = features.shape[1]
    projection = torch.randn(count, config.random_features, generator=generator) * config.random_scale / count**0.5
    offsets = torch.randn(config.random_features, generator=generator)
    share = weight / weight.sum()
    mean = share @ features
    sd = (share @ (features - mean) ** 2).sqrt() + 1e-6
    head = RidgeHead(mean, sd, projection.to(features), offsets.to(features), features.new_zeros(0))
    phi = torch.cat([torch.ones_like(features[:, :1]), *head.expand(features)], 1)
    examples = int(sample.example.max()) + 1
    fold_count = min(examples, config.folds)
    folds = [sample.example % fold_count == fold for fold in range(fold_count)]
    parts = [_NormalEquations.of(phi[fold], residual[fold], share[fold]) for fold in folds]
    whole = _NormalEquations(
        sum(part.gram for part in parts), sum(part.moment for part in parts), sum(part.square for part in parts)
    )
    penalty, threshold = config.penalties[-1], 0.5
    if len(parts) > 1:
        tried = {p: [(whole - part).solve(p / examples) for part in parts] for p in (math.inf, *config.penalties)}
        penalty = min(tried, key=lambda p: float(sum(part.error(w) for part, w in zip(parts, tried[p]))))
        if is_mask(sample.target):
            held_out = sample.prediction.clone()
            for fold, weights in zip(folds, tried[penalty]):
                held_out[fold] += phi[fold] @ weights.to(features)
            threshold = _best_threshold(held_out, sample)
    return dataclasses.replace(head, weights=whole.solve(penalty / examples).to(features), threshold=threshold)


def is_mask(y: torch.Tensor) -> bool:
    """Return whether every value of `y` (any shape) is 0 or 1."""
    return bool(((y == 0) | (y == 1)).all())


def _best_threshold(prediction: torch.Tensor, sample: PixelSample) -> float:
    """Return the threshold with the largest weighted Dice, the one nearest to 0.5 among equals."""
    y, weight = sample.target, sample.weight

    def dice(mask: torch.Tensor) -> float:
        intersection = (weight * mask * y).sum()
        return float(2 * intersection / (weight * (mask + y)).sum().clamp_min(1e-9))

    return max(THRESHOLDS, key=lambda value: (dice(prediction > value), -abs(value - 0.5)))


@dataclass(frozen=True, eq=False)
class _NormalEquations:
    """Weighted sums over some pixels, in double precision: features' products (F, F), features times residual (F,), and
    the squared residual."""

    gram: torch.Tensor
    moment: torch.Tensor
    square: torch.Tensor

    @classmethod
    def of(cls, phi: torch.Tensor, residual: torch.Tensor, share: torch.Tensor) -> _NormalEquations:
        weighted = phi * share[:, None]
        return cls((weighted.T @ phi).double(), (weighted.T @ residual).double(), (share @ residual.square()).double())

    def __sub__(self, other: _NormalEquations) -> _NormalEquations:
        return _NormalEquations(self.gram - other.gram, self.moment - other.moment, self.square - other.square)

    def solve(self, penalty: float) -> torch.Tensor:
        """Return the ridge weights; zeros for an infinite penalty. The first feature is the constant 1, so that
        gram[0, 0] is the share of these pixels among all."""
        if math.isinf(penalty):
            return torch.zeros_like(self.moment)
        diagonal = torch.full_like(self.moment, penalty * float(self.gram[0, 0]))
        diagonal[0] = 1e-9
        return torch.linalg.solve(self.gram + diagonal.diag(), self.moment)

    def error(self, weights: torch.Tensor) -> torch.Tensor:
        """Return the sum of squared residuals that `weights` leave on these pixels."""
        return self.square - 2 * weights @ self.moment + weights @ self.gram @ weights


def sample_pixels(
    y: torch.Tensor, count: int, near: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return flat indices (P,) of sampled pixels of a slice and the number of pixels that each stands for.

    y (N, H, W): outputs of all examples in the slice. Up to `count` pixels within `near` of any mask, and as many
    elsewhere; images are sampled uniformly.
    """
    mask = y.amax(0) if is_mask(y) else torch.zeros_like(y[0])
    close = F.max_pool2d(mask[None], 2 * near + 1, 1, near)[0].flatten() > 0
    indices, weights = [], []
    for region in (close, ~close):
        found = region.nonzero()[:, 0]
        if len(found):
            indices.append(found[torch.randperm(len(found), generator=generator)[:count].to(found.device)])
            weights.append(torch.full((len(indices[-1]),), len(found) / len(indices[-1]), device=y.device))
    return torch.cat(indices), torch.cat(weights)
