"""The smoothest field that meets what is known about a hole: the solution of Laplace's equation."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from SlicerSynthReg.space.sampling import resize
from SlicerSynthReg.space.smoothing import box_mean

SWEEPS, SMALLEST = 24, 4


def harmonic(field: torch.Tensor, hole: torch.Tensor, sweeps: int = SWEEPS) -> torch.Tensor:
    """`field` (I, J, K) outside `hole` (bool, same shape); inside, the mean of the 26 neighbours everywhere: a straight
    ramp between two walls, never above or below what surrounds it. What `field` holds inside is not read.

    Solved from coarse to fine, `sweeps` Jacobi steps a level, on the hole's box. Where nothing is known: 0.
    """
    if not bool(hole.any()):
        return field
    if bool(hole.all()):
        return torch.zeros_like(field)
    where = hole.nonzero()
    low = (where.min(0).values - 2).clamp_min(0).tolist()
    high = (where.max(0).values + 3).tolist()
    box = tuple(slice(a, b) for a, b in zip(low, high))
    solved = field.clone()
    solved[box] = _solved(field[box], hole[box], sweeps)
    return solved


def _solved(field: torch.Tensor, hole: torch.Tensor, sweeps: int) -> torch.Tensor:
    known = (~hole).to(field)
    if not bool(hole.any()):
        return field
    if min(field.shape) >= 2 * SMALLEST and bool(known.any()):
        coarse_known = F.avg_pool3d(known[None, None], 2, ceil_mode=True)[0, 0]
        coarse = F.avg_pool3d((field * known)[None, None], 2, ceil_mode=True)[0, 0] / coarse_known.clamp_min(1e-6)
        coarse = _solved(coarse, coarse_known == 0, sweeps)
        start = resize(coarse[None, None], tuple(2 * n for n in coarse.shape))[0, 0]
        start = start[tuple(slice(n) for n in field.shape)]
    else:
        start = ((field * known).sum() / known.sum().clamp_min(1)).expand(field.shape)
    part = torch.where(hole, start, field)
    for _ in range(sweeps):
        part = torch.where(hole, (27 * box_mean(part[None, None], 1)[0, 0] - part) / 26, part)
    return part
