"""What a segmentation's samples say of its uncertainty, and whether that is true (thesis paper 4, section 4).

Samples are (S, L, ...) class probabilities of one case; entropies are in bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

ENERGY_COUNTS = (1, 2, 4, 8, 16)
"""Numbers of samples in the paper's figure 6."""


def entropy(p: torch.Tensor, dim: int = 0) -> torch.Tensor:
    """sum_c p_c log2(1 / p_c) over the classes along `dim`."""
    return -(p * p.clamp_min(1e-12).log2()).sum(dim)


@dataclass(frozen=True, eq=False)
class Doubt:
    """Maps (...,) in bits. total = expected + epistemic: entropy of the mean; mean of the samples' entropies (what each
    sample is unsure of); what the samples disagree about (mutual information), 0 for a single one."""

    total: torch.Tensor
    expected: torch.Tensor
    epistemic: torch.Tensor


def doubt(samples: torch.Tensor) -> Doubt:
    """samples (S, L, ...)."""
    total = entropy(samples.mean(0))
    expected = entropy(samples, 1).mean(0)
    return Doubt(total, expected, (total - expected).clamp_min(0))


def masks_of(samples: torch.Tensor) -> torch.Tensor:
    """(S, L, ...) probabilities -> (S, ...) the likeliest class of each sample: coherent masks, not pixelwise draws."""
    return samples.argmax(1)


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """1 - IoU of what is not background (label 0), averaged over the labels in either; two empty masks are the same."""
    count = 1 + int(max(a.max(), b.max()))
    joint = torch.bincount(a.flatten().long() * count + b.flatten().long(), minlength=count**2).view(count, count)
    both = joint.diagonal()[1:]
    either = (joint.sum(0) + joint.sum(1))[1:] - both
    there = either > 0
    return 1 - float((both[there] / either[there]).mean()) if bool(there.any()) else 0.0


def diversity(masks: Sequence[torch.Tensor] | torch.Tensor) -> float:
    """Mean distance of two samples drawn with replacement: the last term of the generalized energy distance."""
    return float(_distances(masks, masks).mean())


def energy_distance(
    annotations: Sequence[torch.Tensor] | torch.Tensor, masks: Sequence[torch.Tensor] | torch.Tensor
) -> float:
    """D^2 = 2 E d(y, y^) - E d(y, y') - E d(y^, y^'), equation 3; expectations over all pairs, with replacement."""
    return 2 * float(_distances(annotations, masks).mean()) - diversity(annotations) - diversity(masks)


def energy_curve(annotations: torch.Tensor, masks: torch.Tensor, counts: Sequence[int] = ENERGY_COUNTS) -> list[float]:
    """D^2 when the model is known by its first 1, 2, ... samples; fewer distinct ones are used again in turn."""
    apart, among, own = _distances(annotations, masks), _distances(masks, masks), diversity(annotations)
    curve = []
    for count in counts:
        used = [n % len(masks) for n in range(count)]
        curve.append(2 * float(apart[:, used].mean()) - own - float(among[used][:, used].mean()))
    return curve


def _distances(
    some: Sequence[torch.Tensor] | torch.Tensor, others: Sequence[torch.Tensor] | torch.Tensor
) -> torch.Tensor:
    """Of each to each."""
    return torch.tensor([[distance(a, b) for b in others] for a in some], dtype=torch.float64)


@dataclass(frozen=True)
class Calibration:
    """By bin of confidence: its mean confidence, how often it was right, and the share of voxels in it. error: the mean
    of |confidence - right| weighted by these shares (expected calibration error). Empty bins are left out."""

    confidence: tuple[float, ...]
    right: tuple[float, ...]
    share: tuple[float, ...]
    error: float


def calibration(p: torch.Tensor, truth: torch.Tensor, bins: int = 10) -> Calibration:
    """p (L, ...) probabilities, truth (...) class indices: is what is said with confidence 0.8 right 8 times in 10?"""
    best, which = p.max(0)
    right = (which == truth).float().flatten()
    best = best.flatten()
    place = (best * bins).long().clamp(0, bins - 1)
    rows = []
    for n in range(bins):
        inside = place == n
        if bool(inside.any()):
            rows.append((float(best[inside].mean()), float(right[inside].mean()), float(inside.float().mean())))
    confidence, correct, share = zip(*rows)
    error = sum(s * abs(c - r) for c, r, s in rows)
    return Calibration(confidence, correct, share, error)


def error_correlation(total: torch.Tensor, found: torch.Tensor, truth: torch.Tensor) -> float:
    """Pearson's correlation over voxels of the entropy map with whether the class is wrong; NaN where nothing is."""
    wrong = (found != truth).float().flatten().numpy()
    values = total.flatten().numpy()
    if wrong.std() == 0 or values.std() == 0:
        return float("nan")
    return float(np.corrcoef(values, wrong)[0, 1])
