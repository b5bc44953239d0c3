"""Contrastive losses between two views of the same places (InfoNCE; multi-positive form of Khosla et al. 2020)."""

from __future__ import annotations

import torch


def multi_positive(
    z1: torch.Tensor, z2: torch.Tensor, positive: torch.Tensor, ignored: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Mean over anchors of -1/|P| sum_{p in P} log softmax(z1 . z2 / temperature)[p].

    z1, z2: (N, C) unit vectors of two views. positive, ignored: (N, N) bool; ignored pairs are neither positive nor
    negative. Anchors without positives do not count.
    """
    logits = (z1 @ z2.T / temperature).masked_fill(ignored & ~positive, -torch.inf)
    log_p = logits - torch.logsumexp(logits, dim=1, keepdim=True)
    count = positive.sum(1)
    anchor = -(log_p.masked_fill(~positive, 0.0)).sum(1) / count.clamp_min(1)
    return anchor[count > 0].mean()


def same_place(
    z1: torch.Tensor, z2: torch.Tensor, places: torch.Tensor, near: float, temperature: float
) -> torch.Tensor:
    """Each place must find itself in the other view among all others farther than `near` voxels; places (N, 3)."""
    ignored = torch.cdist(places, places) < near
    self_pair = torch.eye(len(z1), dtype=torch.bool, device=z1.device)
    return multi_positive(z1, z2, self_pair, ignored, temperature)


def same_label(
    z: torch.Tensor, labels: torch.Tensor, temperature: float, views: torch.Tensor | None = None
) -> torch.Tensor:
    """Places of one label attract, others repel, wherever they were seen (anatomix eq. 1): z (N, C) unit vectors of
    all views together, labels (N,); a place is no positive and no negative of itself. views (N,): where they are given,
    nor is any place of its own view, in which one label has one brightness."""
    ignored = torch.eye(len(z), dtype=torch.bool, device=z.device) if views is None else views[:, None] == views[None]
    return multi_positive(z, z, (labels[:, None] == labels[None]) & ~ignored, ignored, temperature)
