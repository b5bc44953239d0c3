"""The last step of the network fitted to the examples, in closed form.

A network that learned many tasks answers each of them roughly; what it knows of a pixel tells more than its answer.
So every example is asked about by the others, and what the answers lack is regressed on all that the network knows of
those pixels, bent in random directions (a ridge regression on random features: Rahimi and Recht, 2007; its closed form
as the last step of a few-shot learner: Bertinetto et al., 2019). How far the examples are followed is what foretold one
of them best from the others. No step of training, a few seconds. Beyond the paper.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

HALVES = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
"""Answers that are tried as the one from which on a mask is drawn."""
LIMIT = 6.0
"""Standard deviations beyond which a pixel is not told apart: nothing is known of what lies there."""


@dataclass(frozen=True)
class ReadoutConfig:
    """bends: random directions; bend: how strongly pixels differ along them. priors: weights of the answer as it was
    trained, against one example, that are tried; a single example takes the last. folds: parts in which examples are
    left out to try them. looks: slices of examples asked about. pixels: drawn from them, near what masks show
    and elsewhere. near: pixels about a mask."""

    bends: int = 256
    bend: float = 1.5
    priors: tuple[float, ...] = (0.02, 0.2, 2.0)
    folds: int = 8
    looks: int = 48
    pixels: int = 12_000
    near: int = 4
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Readout:
    """mean, spread (F,) of what is known of pixels; directions (F, K), offsets (K,); weights (1 + F + K,). half: the
    sum of answer and weighted features that becomes 0.5, of masks."""

    mean: torch.Tensor
    spread: torch.Tensor
    directions: torch.Tensor
    offsets: torch.Tensor
    weights: torch.Tensor
    half: float = 0.5

    def of(self, answer: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """answer (1, H, W) and columns (H, W, F) of `Neuralizer.columns` -> the answer with what it lacked."""
        z, bent = self.known(columns.flatten(0, 1))
        constant, straight, curved = self.weights.split([1, z.shape[1], bent.shape[1]])
        return self.halved(answer + (constant + z @ straight + bent @ curved).view_as(answer))

    def halved(self, found: torch.Tensor) -> torch.Tensor:
        """0 stays 0, `half` becomes 0.5, 1 stays 1."""
        if self.half == 0.5:
            return found
        low, high = 0.5 * found / self.half, 0.5 + 0.5 * (found - self.half) / (1 - self.half)
        return torch.where(found < self.half, low, high).clamp(0, 1)

    def known(self, columns: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(P, F) -> the same in standard deviations, and (P, K) bent."""
        z = ((columns - self.mean) / self.spread).clamp_(-LIMIT, LIMIT)
        return z, F.gelu(torch.addmm(self.offsets, z, self.directions))


def fit_readout(
    columns: torch.Tensor,
    answer: torch.Tensor,
    y: torch.Tensor,
    stands_for: torch.Tensor,
    example: torch.Tensor,
    config: ReadoutConfig,
) -> Readout:
    """columns (P, F), and for each of the P pixels the answer as trained, the true one, how many pixels it stands for,
    and of which example it is (long, from 0 on).

    argmin over w of the mean of (y - answer - w . features)^2 + prior / examples |w|^2, the constant free. The prior is
    that whose fit to the others errs least on examples left out; where none is better than nothing, w is 0. Of masks
    the half is found on examples left out, too: where their Dice is highest.
    """
    lacking = y - answer
    generator = torch.Generator().manual_seed(config.seed)
    many = columns.shape[1]
    directions = torch.randn(many, config.bends, generator=generator) * config.bend / many**0.5
    offsets = torch.randn(config.bends, generator=generator)
    share = stands_for / stands_for.sum()
    mean = share @ columns
    spread = (share @ (columns - mean) ** 2).sqrt() + 1e-6
    unfitted = Readout(mean, spread, directions.to(columns), offsets.to(columns), columns.new_zeros(0))
    phi = torch.cat([torch.ones_like(columns[:, :1]), *unfitted.known(columns)], 1)
    examples = int(example.max()) + 1
    count = min(examples, config.folds)
    folds = [example % count == fold for fold in range(count)]
    parts = [_Part.of(phi[fold], lacking[fold], share[fold]) for fold in folds]
    whole = _Part(sum(one.gram for one in parts), sum(one.moment for one in parts), sum(one.square for one in parts))
    prior, half = config.priors[-1], 0.5
    if len(parts) > 1:
        tried = {p: [(whole - one).solved(p / examples) for one in parts] for p in (math.inf, *config.priors)}
        prior = min(tried, key=lambda p: float(sum(one.error(w) for one, w in zip(parts, tried[p]))))
        if is_mask(y):
            left_out = answer.clone()
            for fold, weights in zip(folds, tried[prior]):
                left_out[fold] += phi[fold] @ weights.to(columns)
            half = max(HALVES, key=lambda value: (_dice(left_out > value, y, stands_for), -abs(value - 0.5)))
    return dataclasses.replace(unfitted, weights=whole.solved(prior / examples).to(columns), half=half)


def is_mask(y: torch.Tensor) -> bool:
    """Whether an answer of any shape is 0 or 1 everywhere."""
    return bool(((y == 0) | (y == 1)).all())


def _dice(found: torch.Tensor, y: torch.Tensor, stands_for: torch.Tensor) -> float:
    both = (stands_for * found * y).sum()
    return float(2 * both / (stands_for * (found + y)).sum().clamp_min(1e-9))


@dataclass(frozen=True, eq=False)
class _Part:
    """What a ridge needs of some pixels, in double precision: sums over them of features' products (F, F), of features
    and what lacks (F,), and of its square."""

    gram: torch.Tensor
    moment: torch.Tensor
    square: torch.Tensor

    @classmethod
    def of(cls, phi: torch.Tensor, lacking: torch.Tensor, share: torch.Tensor) -> _Part:
        shared = phi * share[:, None]
        return cls((shared.T @ phi).double(), (shared.T @ lacking).double(), (share @ lacking.square()).double())

    def __sub__(self, other: _Part) -> _Part:
        return _Part(self.gram - other.gram, self.moment - other.moment, self.square - other.square)

    def solved(self, penalty: float) -> torch.Tensor:
        """The ridge's weights, 0 for an infinite penalty; the first feature is the constant 1, whose sum is the pixels'
        share of all."""
        if math.isinf(penalty):
            return torch.zeros_like(self.moment)
        penalties = torch.full_like(self.moment, penalty * float(self.gram[0, 0]))
        penalties[0] = 1e-9
        return torch.linalg.solve(self.gram + penalties.diag(), self.moment)

    def error(self, weights: torch.Tensor) -> torch.Tensor:
        """Sum of squares that `weights` leave lacking here."""
        return self.square - 2 * weights @ self.moment + weights @ self.gram @ weights


def drawn_pixels(
    y: torch.Tensor, count: int, near: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Answers (N, H, W) of all examples of a slice -> flat indices of up to `count` pixels within `near` of anything
    that a mask shows, and of as many elsewhere, and how many pixels each stands for. Images are drawn from alike."""
    shown = y.amax(0) if is_mask(y) else torch.zeros_like(y[0])
    about = F.max_pool2d(shown[None], 2 * near + 1, 1, near)[0].flatten() > 0
    parts, stands_for = [], []
    for inside in (about, ~about):
        found = inside.nonzero()[:, 0]
        if len(found):
            parts.append(found[torch.randperm(len(found), generator=generator)[:count].to(found.device)])
            stands_for.append(torch.full((len(parts[-1]),), len(found) / len(parts[-1]), device=y.device))
    return torch.cat(parts), torch.cat(stands_for)
