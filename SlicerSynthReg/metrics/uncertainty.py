"""Uncertainty of a segmentation from samples, and its evaluation (thesis paper 4, section 4).

Samples are class probabilities (S, L, ...) of one case; entropies are in bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

ENERGY_COUNTS = (1, 2, 4, 8, 16)
"""Numbers of samples in the paper's figure 6."""


def entropy(p: torch.Tensor, dim: int = 0) -> torch.Tensor:
    """Return the entropy sum_c p_c log2(1 / p_c) over the classes along `dim`."""
    return -(p * p.clamp_min(1e-12).log2()).sum(dim)


def binary_entropy(p: torch.Tensor) -> torch.Tensor:
    """Return the entropy in bits of a binary variable of probability `p` (any shape): 0 if certain, 1 at one half."""
    p = p.clamp(1e-6, 1 - 1e-6)
    return -(p * p.log2() + (1 - p) * (1 - p).log2())


@dataclass(frozen=True, eq=False)
class EntropyMaps:
    """Maps (...,) in bits, total = expected + epistemic. total: entropy of the mean. expected: mean entropy of the
    samples (aleatoric). epistemic: mutual information, the disagreement of the samples; 0 for a single one."""

    total: torch.Tensor
    expected: torch.Tensor
    epistemic: torch.Tensor


def decompose_entropy(samples: torch.Tensor) -> EntropyMaps:
    """Return the entropy maps of samples (S, L, ...)."""
    total = entropy(samples.mean(0))
    expected = entropy(samples, 1).mean(0)
    return EntropyMaps(total, expected, (total - expected).clamp_min(0))


def argmax_masks(samples: torch.Tensor) -> torch.Tensor:
    """Return the most probable class (S, ...) of samples (S, L, ...): coherent masks, not pixelwise draws."""
    return samples.argmax(1)


def iou_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return 1 - IoU, averaged over the labels other than 0 in either label map; 0 for two empty ones."""
    count = 1 + int(max(a.max(), b.max()))
    joint = torch.bincount(a.flatten().long() * count + b.flatten().long(), minlength=count**2).view(count, count)
    both = joint.diagonal()[1:]
    either = (joint.sum(0) + joint.sum(1))[1:] - both
    there = either > 0
    return 1 - float((both[there] / either[there]).mean()) if bool(there.any()) else 0.0


def sample_diversity(masks: Sequence[torch.Tensor] | torch.Tensor) -> float:
    """Return the mean distance of two samples drawn with replacement: last term of the energy distance."""
    return float(_distances(masks, masks).mean())


def generalised_energy_distance(
    annotations: Sequence[torch.Tensor] | torch.Tensor, masks: Sequence[torch.Tensor] | torch.Tensor
) -> float:
    """Return D^2 = 2 E d(y, y^) - E d(y, y') - E d(y^, y^') (equation 3), over all pairs with replacement."""
    return 2 * float(_distances(annotations, masks).mean()) - sample_diversity(annotations) - sample_diversity(masks)


def energy_distance_curve(
    annotations: torch.Tensor, masks: torch.Tensor, counts: Sequence[int] = ENERGY_COUNTS
) -> list[float]:
    """Return D^2 for the first 1, 2, ... samples; if there are fewer distinct ones, they repeat cyclically."""
    apart, among, own = _distances(annotations, masks), _distances(masks, masks), sample_diversity(annotations)
    curve = []
    for count in counts:
        used = [n % len(masks) for n in range(count)]
        curve.append(2 * float(apart[:, used].mean()) - own - float(among[used][:, used].mean()))
    return curve


def _distances(
    some: Sequence[torch.Tensor] | torch.Tensor, others: Sequence[torch.Tensor] | torch.Tensor
) -> torch.Tensor:
    """Return the distances (A, B) of all pairs."""
    return torch.tensor([[iou_distance(a, b) for b in others] for a in some], dtype=torch.float64)


@dataclass(frozen=True)
class Calibration:
    """By non-empty confidence bin: mean confidence, accuracy, and share of voxels. error: expected calibration error,
    the mean of |confidence - accuracy| weighted by the shares."""

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    share: tuple[float, ...]
    error: float


def calibration(p: torch.Tensor, truth: torch.Tensor, bins: int = 10) -> Calibration:
    """Return the reliability of probabilities p (L, ...) against class indices `truth` (...)."""
    best, which = p.max(0)
    correct = (which == truth).float().flatten()
    best = best.flatten()
    index = (best * bins).long().clamp(0, bins - 1)
    rows = []
    for n in range(bins):
        inside = index == n
        if bool(inside.any()):
            rows.append((float(best[inside].mean()), float(correct[inside].mean()), float(inside.float().mean())))
    confidence, accuracy, share = zip(*rows)
    error = sum(s * abs(c - r) for c, r, s in rows)
    return Calibration(confidence, accuracy, share, error)


def error_correlation(total: torch.Tensor, prediction: torch.Tensor, truth: torch.Tensor) -> float:
    """Return Pearson's correlation over voxels of the entropy map `total` with the error of `prediction` (class
    indices); NaN if either is constant."""
    wrong = (prediction != truth).float().flatten().numpy()
    values = total.flatten().numpy()
    if wrong.std() == 0 or values.std() == 0:
        return float("nan")
    return float(np.corrcoef(values, wrong)[0, 1])
