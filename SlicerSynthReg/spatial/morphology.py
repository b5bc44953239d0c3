"""Connected components of masks (six-connected: voxels that share a face)."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import label


def largest_component(mask: torch.Tensor) -> torch.Tensor:
    """Return the largest connected component of `mask` (I, J, K) bool, on the CPU; an empty mask for an empty mask."""
    components, count = label(mask.cpu().numpy())
    if not count:
        return torch.zeros(mask.shape, dtype=torch.bool)
    return torch.from_numpy(components == np.bincount(components.flat)[1:].argmax() + 1)


def remove_small(mask: torch.Tensor, min_voxels: float) -> torch.Tensor:
    """Return `mask` (I, J, K) bool without its connected components of fewer than `min_voxels` voxels, on the CPU."""
    components, _ = label(mask.cpu().numpy())
    kept = np.bincount(components.flat) >= min_voxels
    kept[0] = False
    return torch.from_numpy(kept[components])
