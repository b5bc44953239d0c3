"""Inpainting by the solution of Laplace's equation."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from SlicerSynthReg.spatial.sampling import resize
from SlicerSynthReg.spatial.smoothing import box_mean

SWEEPS, MIN_SIZE = 24, 4


def laplace_inpaint(field: torch.Tensor, hole: torch.Tensor, sweeps: int = SWEEPS) -> torch.Tensor:
    """Return `field` (I, J, K) with the voxels of `hole` (bool, same shape) replaced by the harmonic interpolant.

    Within the hole each voxel is the mean of its 26 neighbours, so that its values stay within those at the boundary.
    Solved from coarse to fine on the hole's bounding box, `sweeps` Jacobi iterations per level. The values of `field`
    within the hole are ignored; the result is 0 if the hole is everything.
    """
    if not bool(hole.any()):
        return field
    if bool(hole.all()):
        return torch.zeros_like(field)
    inside = hole.nonzero()
    low = (inside.min(0).values - 2).clamp_min(0).tolist()
    high = (inside.max(0).values + 3).tolist()
    box = tuple(slice(a, b) for a, b in zip(low, high))
    solved = field.clone()
    solved[box] = _solve(field[box], hole[box], sweeps)
    return solved


def _solve(field: torch.Tensor, hole: torch.Tensor, sweeps: int) -> torch.Tensor:
    known = (~hole).to(field)
    if not bool(hole.any()):
        return field
    if min(field.shape) >= 2 * MIN_SIZE and bool(known.any()):
        coarse_known = F.avg_pool3d(known[None, None], 2, ceil_mode=True)[0, 0]
        coarse = F.avg_pool3d((field * known)[None, None], 2, ceil_mode=True)[0, 0] / coarse_known.clamp_min(1e-6)
        coarse = _solve(coarse, coarse_known == 0, sweeps)
        start = resize(coarse[None, None], tuple(2 * n for n in coarse.shape))[0, 0]
        start = start[tuple(slice(n) for n in field.shape)]
    else:
        start = ((field * known).sum() / known.sum().clamp_min(1)).expand(field.shape)
    part = torch.where(hole, start, field)
    for _ in range(sweeps):
        part = torch.where(hole, (27 * box_mean(part[None, None], 1)[0, 0] - part) / 26, part)
    return part
