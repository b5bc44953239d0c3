"""Connected pieces of masks."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import label


def largest_piece(where: torch.Tensor) -> torch.Tensor:
    """(I, J, K) bool -> the same on the processor: the largest of its pieces (face to face); nothing of nothing."""
    pieces, count = label(where.cpu().numpy())
    if not count:
        return torch.zeros(where.shape, dtype=torch.bool)
    return torch.from_numpy(pieces == np.bincount(pieces.flat)[1:].argmax() + 1)


def without_crumbs(where: torch.Tensor, least: float) -> torch.Tensor:
    """(I, J, K) bool -> the same on the processor without its pieces (face to face) of fewer than `least` voxels."""
    pieces, _ = label(where.cpu().numpy())
    kept = np.bincount(pieces.flat) >= least
    kept[0] = False
    return torch.from_numpy(kept[pieces])
