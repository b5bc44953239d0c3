"""Losses of the reconstruction of healthy anatomy (UNA, equations 7 and 8)."""

from __future__ import annotations

import torch

GRADIENT_WEIGHT = 0.5
PATHOLOGY_WEIGHT = 1.0


def pathology_weights(
    p: torch.Tensor, real: bool, mask: torch.Tensor | None = None, pathology_weight: float = PATHOLOGY_WEIGHT
) -> torch.Tensor:
    """Return the voxel weights k of equation 7, times `mask`; p: pathology probability (B, 1, I, J, K).

    k = 1 + pathology_weight p for a synthetic image, whose healthy anatomy is known everywhere, and 1 - p for a `real`
    image, whose anatomy under the pathology is not. (So says the paper's text; its formula has the two cases swapped:
    as printed, healthy voxels would not count.)
    """
    k = 1 - p if real else 1 + pathology_weight * p
    return k if mask is None else k * mask


def reconstruction_loss(
    predicted: torch.Tensor, target: torch.Tensor, k: torch.Tensor, gradient_weight: float = GRADIENT_WEIGHT
) -> torch.Tensor:
    """Return the mean over voxels, weighted by k, of |predicted - target| + gradient_weight |grad predicted - grad
    target| (equation 7); all (B, 1, I, J, K)."""
    total = (k * (predicted - target).abs()).sum()
    for axis in (2, 3, 4):
        n = k.shape[axis]
        both = torch.minimum(k.narrow(axis, 0, n - 1), k.narrow(axis, 1, n - 1))
        difference = (predicted.diff(dim=axis) - target.diff(dim=axis)).abs()
        total = total + gradient_weight / 3 * (both * difference).sum()
    return total / k.sum().clamp_min(1.0)


def self_contrast_loss(
    predicted: torch.Tensor,
    counterpart: torch.Tensor,
    diseased: torch.Tensor,
    p: torch.Tensor,
    p_counterpart: torch.Tensor,
    temperatures: tuple[float, float, float] = (0.1, 0.1, 0.1),
) -> torch.Tensor:
    """Return the contrastive loss (equation 8): under the pathology the reconstruction is similar to the healthy
    counterpart of the other hemisphere and dissimilar to the pathology.

    -log( int exp(I~ . C / alpha) / int (exp(I~ . C / beta) + exp(I~ . I / gamma)) ) over the voxels that are diseased
    here and healthy at their counterpart; all (B, 1, I, J, K) in T1 units of 0..1. temperatures: alpha, beta, gamma.
    Departure: a product of two intensities is no similarity; each intensity is a unit vector at the angle pi I, whose
    product cos(pi (a - b)) is 1 for equal intensities and falls with their difference. 0 if no voxel qualifies.
    """
    selected = (p > 0.5) & (p_counterpart < 0.5)
    if not bool(selected.any()):
        return predicted.sum() * 0.0
    f, c, i = (values[selected] for values in (predicted, counterpart, diseased))
    similar, dissimilar = torch.cos(torch.pi * (f - c)), torch.cos(torch.pi * (f - i))
    alpha, beta, gamma = temperatures
    denominator = torch.cat([similar / beta, dissimilar / gamma])
    return torch.logsumexp(denominator, 0) - torch.logsumexp(similar / alpha, 0)
