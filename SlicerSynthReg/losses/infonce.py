"""Contrastive losses between two views of the same points: InfoNCE and its multi-positive form (Khosla et al. 2020)."""

from __future__ import annotations

import torch


def multi_positive_infonce(
    z1: torch.Tensor, z2: torch.Tensor, positive: torch.Tensor, ignored: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Return the mean over anchors of -1/|P| sum_{p in P} log softmax(z1 . z2 / temperature)[p].

    z1, z2: (N, C) unit vectors of two views. positive, ignored: (N, N) bool; ignored pairs are neither positive nor
    negative. Anchors without positives do not count.
    """
    logits = (z1 @ z2.T / temperature).masked_fill(ignored & ~positive, -torch.inf)
    log_p = logits - torch.logsumexp(logits, dim=1, keepdim=True)
    count = positive.sum(1)
    anchor = -(log_p.masked_fill(~positive, 0.0)).sum(1) / count.clamp_min(1)
    return anchor[count > 0].mean()


def position_infonce(
    z1: torch.Tensor, z2: torch.Tensor, points: torch.Tensor, min_distance: float, temperature: float
) -> torch.Tensor:
    """Return InfoNCE of each point with itself in the other view, against all points farther than `min_distance`
    voxels.

    z1, z2: (N, C) unit vectors; points: (N, 3) voxels.
    """
    ignored = torch.cdist(points, points) < min_distance
    self_pair = torch.eye(len(z1), dtype=torch.bool, device=z1.device)
    return multi_positive_infonce(z1, z2, self_pair, ignored, temperature)


def label_infonce(
    z: torch.Tensor, labels: torch.Tensor, temperature: float, views: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the supervised contrastive loss: points of one label attract, others repel (Dey et al. 2025, equation 1).

    z: (N, C) unit vectors of all views together; labels: (N,). A point is neither positive nor negative of itself.
    views: (N,), number of each point's view; if given, points of one view are ignored too, since within a view one
    label has one intensity.
    """
    ignored = torch.eye(len(z), dtype=torch.bool, device=z.device) if views is None else views[:, None] == views[None]
    return multi_positive_infonce(z, z, (labels[:, None] == labels[None]) & ~ignored, ignored, temperature)
