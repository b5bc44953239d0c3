"""The last step of the network fitted to the examples, in closed form.

A network that learned many tasks answers each of them roughly; what it knows of a pixel tells more than its answer.
So every example is asked about by the others, and what the answers lack is regressed on all that the network knows of
those pixels, bent in random directions (a ridge regression on random features: Rahimi and Recht, 2007; its closed form
as the last step of a few-shot learner: Bertinetto et al., 2019). No step of training, a few seconds. Beyond the paper.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch.nn import functional as F

LIMIT = 6.0
"""Standard deviations beyond which a pixel is not told apart: nothing is known of what lies there."""


@dataclass(frozen=True)
class ReadoutConfig:
    """bends: random directions; bend: how strongly pixels differ along them. prior: weight of the answer as it was
    trained, against one example. looks: slices of examples asked about. pixels: drawn from them, near what masks show
    and elsewhere. near: pixels about a mask."""

    bends: int = 256
    bend: float = 1.5
    prior: float = 0.02
    looks: int = 48
    pixels: int = 12_000
    near: int = 4
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Readout:
    """mean, spread (F,) of what is known of pixels; directions (F, K), offsets (K,); weights (1 + F + K,)."""

    mean: torch.Tensor
    spread: torch.Tensor
    directions: torch.Tensor
    offsets: torch.Tensor
    weights: torch.Tensor

    def of(self, answer: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """answer (1, H, W) and columns (H, W, F) of `Neuralizer.columns` -> the answer with what it lacked."""
        z, bent = self.known(columns.flatten(0, 1))
        constant, straight, curved = self.weights.split([1, z.shape[1], bent.shape[1]])
        return answer + (constant + z @ straight + bent @ curved).view_as(answer)

    def known(self, columns: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(P, F) -> the same in standard deviations, and (P, K) bent."""
        z = ((columns - self.mean) / self.spread).clamp_(-LIMIT, LIMIT)
        return z, F.gelu(torch.addmm(self.offsets, z, self.directions))


def fit_readout(
    columns: torch.Tensor, lacking: torch.Tensor, stands_for: torch.Tensor, examples: int, config: ReadoutConfig
) -> Readout:
    """columns (P, F), and for each of the P pixels what the answer lacks, and how many pixels it stands for.

    argmin over w of the mean of (lacking - w . features)^2 + prior / examples |w|^2, the constant free.
    """
    generator = torch.Generator().manual_seed(config.seed)
    many = columns.shape[1]
    directions = torch.randn(many, config.bends, generator=generator) * config.bend / many**0.5
    offsets = torch.randn(config.bends, generator=generator)
    share = stands_for / stands_for.sum()
    mean = share @ columns
    spread = (share @ (columns - mean) ** 2).sqrt() + 1e-6
    unfitted = Readout(mean, spread, directions.to(columns), offsets.to(columns), columns.new_zeros(0))
    phi = torch.cat([torch.ones_like(columns[:, :1]), *unfitted.known(columns)], 1)
    shared = phi * share[:, None]
    gram = (shared.T @ phi).double()
    penalty = torch.full_like(gram[0], config.prior / examples)
    penalty[0] = 1e-9
    weights = torch.linalg.solve(gram + penalty.diag(), (shared.T @ lacking).double())
    return dataclasses.replace(unfitted, weights=weights.to(columns))


def drawn_pixels(
    y: torch.Tensor, count: int, near: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Answers (N, H, W) of all examples of a slice -> flat indices of up to `count` pixels within `near` of anything
    that a mask shows, and of as many elsewhere, and how many pixels each stands for. Images are drawn from alike."""
    masks = bool(((y == 0) | (y == 1)).all())
    about = F.max_pool2d(y.amax(0)[None], 2 * near + 1, 1, near)[0].flatten() > 0 if masks else y[0].flatten() < 0
    parts, stands_for = [], []
    for inside in (about, ~about):
        found = inside.nonzero()[:, 0]
        if len(found):
            parts.append(found[torch.randperm(len(found), generator=generator)[:count].to(found.device)])
            stands_for.append(torch.full((len(parts[-1]),), len(found) / len(parts[-1]), device=y.device))
    return torch.cat(parts), torch.cat(stands_for)
