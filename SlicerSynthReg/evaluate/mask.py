"""Where a score is taken."""

from __future__ import annotations

import torch

from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.volume.volume import Volume, VolumeError


def mask_on(grid: Grid, mask: Volume | None) -> torch.Tensor:
    """(I, J, K) bool: voxels of the label volume `mask` above zero, or every voxel where there is no mask.

    GeometryError unless the mask lies on `grid`; VolumeError where it holds no voxel.
    """
    if mask is None:
        return torch.ones(grid.shape, dtype=torch.bool)
    grid.require_same(mask.grid, "the mask")
    inside = (mask.data > 0).any(dim=0).cpu()
    if not inside.any():
        raise VolumeError("Found a mask without any voxel above zero, expected the region to score. Draw it first.")
    return inside
