"""What is lost between a reconstructed healthy anatomy and the true one (UNA, equation 7)."""

from __future__ import annotations

import torch


def reconstruction_loss(
    found: torch.Tensor,
    target: torch.Tensor,
    p: torch.Tensor,
    real: bool,
    where: torch.Tensor | None = None,
    gradient_weight: float = 0.5,
    pathology_weight: float = 1.0,
) -> torch.Tensor:
    """Mean over voxels of k (|found - target| + gradient_weight |grad found - grad target|), all (B, 1, I, J, K).

    k = 1 + pathology_weight p for a synthetic image, whose healthy anatomy is known everywhere, and 1 - p for a `real`
    one, whose anatomy under the pathology p is not. (The paper's text says so; its formula has the two cases swapped:
    as printed, healthy voxels would not count.) where: further weights, such as what was scanned.
    """
    k = 1 - p if real else 1 + pathology_weight * p
    k = k if where is None else k * where
    total = (k * (found - target).abs()).sum()
    for axis in (2, 3, 4):
        n = k.shape[axis]
        both = torch.minimum(k.narrow(axis, 0, n - 1), k.narrow(axis, 1, n - 1))
        total = total + gradient_weight / 3 * (both * (found.diff(dim=axis) - target.diff(dim=axis)).abs()).sum()
    return total / k.sum().clamp_min(1.0)


def self_contrast_loss(
    found: torch.Tensor,
    counterpart: torch.Tensor,
    diseased: torch.Tensor,
    p: torch.Tensor,
    p_counterpart: torch.Tensor,
    temperatures: tuple[float, float, float] = (0.1, 0.1, 0.1),
) -> torch.Tensor:
    """The reconstruction under the pathology is like the healthy counterpart, unlike the pathology (UNA, equation 8).

    -log( int exp(I~ . C / alpha) / int (exp(I~ . C / beta) + exp(I~ . I / gamma)) ) over the voxels that are sick here
    and not at their counterpart; all (B, 1, I, J, K) in T1 units of 0..1. temperatures: alpha, beta, gamma. The product
    of two intensities is no likeness (the brighter the larger); here each is a unit vector at the angle pi I, whose
    product cos(pi (a - b)) is 1 for equal ones and falls with their distance. 0 where no voxel qualifies.
    """
    where = (p > 0.5) & (p_counterpart < 0.5)
    if not bool(where.any()):
        return found.sum() * 0.0
    f, c, i = (values[where] for values in (found, counterpart, diseased))
    like, unlike = torch.cos(torch.pi * (f - c)), torch.cos(torch.pi * (f - i))
    alpha, beta, gamma = temperatures
    below = torch.cat([like / beta, unlike / gamma])
    return torch.logsumexp(below, 0) - torch.logsumexp(like / alpha, 0)
