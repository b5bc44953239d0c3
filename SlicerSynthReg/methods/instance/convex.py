"""Coupled convex search: every displacement within reach is tried at every place, and the field made smooth after.

Per block of voxels x the cost C(x, d) = sum_c w (f(x) - m(x + d))^2 of all displacements d is tabulated once. Then, for
a rising coupling theta: d(x) = argmin_d C(x, d) + theta |d - u(x)|^2 and u = smooth(d) (Heinrich 2014; the discrete
stage of ConvexAdam, Siebert 2021). Nothing is differentiated, so that no start is too far away.

Departures: steps and reach are millimetres, so that anisotropic voxels are searched alike along every axis; masks weigh
the costs; fixed to moving and moving to fixed are searched alike, and half the difference of both displacements, u and
w, is taken for a velocity: for u = exp(v), w = exp(-v) it is v up to the third order, and it changes its sign when the
images change places.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from SlicerSynthReg.methods.instance.channels import Channels, principal
from SlicerSynthReg.space.grid import as_shape, index_lattice
from SlicerSynthReg.space.sampling import resize_displacement, sample_displaced
from SlicerSynthReg.space.smoothing import gaussian
from SlicerSynthReg.space.transform import exponential


@dataclass(frozen=True)
class ConvexConfig:
    """levels: (step, reach) in mm, coarse to fine; each begins where the last ended. couplings: theta, against costs
    whose mean excess over the least is 1 and distances in steps. smooth: SD of the field's smoothing in steps.
    channels: principal ones that are compared. most: entries of the table; steps grow until it fits."""

    levels: tuple[tuple[float, float], ...] = ((8.0, 24.0), (4.0, 8.0))
    couplings: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    smooth: float = 1.0
    channels: int = 8
    most: int = 60_000_000


def convex_search(
    fixed: Channels,
    moving: Channels,
    config: ConvexConfig,
    start: torch.Tensor | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> torch.Tensor:
    """Velocity (3, I, J, K), voxels of the channels' grid, of which `fixed` and `moving` share one.

    start: such a velocity to begin with, or None for zero.
    """
    shape = tuple(fixed.weight.shape)
    v = fixed.values.new_zeros((3, *shape)) if start is None else start
    lattice = index_lattice(shape, v.device)
    f, m = principal((fixed, moving), config.channels, (fixed, moving))
    images = [torch.cat([one * c.weight, c.weight[None]])[None] for one, c in ((f, fixed), (m, moving))]
    for number, (step_mm, reach_mm) in enumerate(config.levels):
        table = _Table.planned(fixed, step_mm, reach_mm, config.most)
        ends = []
        for here, there, sign in ((images[0], images[1], 1.0), (images[1], images[0], -1.0)):
            seen = there
            if number or start is not None:
                seen = sample_displaced(there, exponential(sign * v[None], 6, lattice), lattice)
            ends.append(_field(table, here, seen, config))
            progress((2 * number + len(ends)) / (2 * len(config.levels)))
        half = (ends[0] - ends[1]) / 2
        v = v + resize_displacement(half[None], shape)[0]
    return v


@dataclass(frozen=True)
class _Table:
    """pool: voxels of a block along each axis. reach: blocks looked at to either side. ratio: millimetres of a block
    over the level's step, for distances."""

    pool: tuple[int, int, int]
    reach: tuple[int, int, int]
    ratio: tuple[float, float, float]

    @classmethod
    def planned(cls, fixed: Channels, step_mm: float, reach_mm: float, most: int) -> _Table:
        """Blocks of about `step_mm`, or more until the table has at most `most` entries; at least one voxel each."""
        spacing, shape = fixed.grid.spacing, fixed.weight.shape
        while True:
            pool = as_shape(min(n, max(1, round(step_mm / s))) for n, s in zip(shape, spacing))
            sides = [p * float(s) for p, s in zip(pool, spacing)]
            reach = as_shape(min(math.ceil(reach_mm / side - 1e-6), n // p) for side, n, p in zip(sides, shape, pool))
            entries = math.prod(n // p for n, p in zip(shape, pool)) * math.prod(2 * r + 1 for r in reach)
            if entries <= most:
                a, b, c = (side / step_mm for side in sides)
                return cls(pool, reach, (a, b, c))
            step_mm *= 1.15


def _field(table: _Table, here: torch.Tensor, there: torch.Tensor, config: ConvexConfig) -> torch.Tensor:
    """(3, i, j, k) displacement of `here` to `there` in blocks; both (1, C + 1, I, J, K), the last
    channel weight, the others times it, so that what does not count is not interpolated into what does."""
    f, f_weight = _blocks(here, table.pool)
    m, m_weight = _blocks(there, table.pool)
    costs = _costs(f, f_weight, m, m_weight, table.reach)
    shape, device = tuple(f.shape[1:]), f.device
    tries = torch.tensor(
        list(itertools.product(*(range(-r, r + 1) for r in table.reach))), dtype=torch.float32, device=device
    )
    ratio = torch.tensor(table.ratio, device=device)
    steps = tries * ratio
    square = (steps * steps).sum(1)
    costs = costs + 1e-4 * square  # where nothing is seen, nothing moves
    u = _smoothed(steps[costs.argmin(1)], f_weight, config.smooth)
    for theta in config.couplings:
        chosen = torch.cat(
            [
                (part + theta * (square - 2 * at @ steps.T)).argmin(1)
                for part, at in zip(costs.split(20_000), u.split(20_000))
            ]
        )
        u = _smoothed(steps[chosen], f_weight, config.smooth)
    return (u / ratio).T.reshape(3, *shape)


def _blocks(image: torch.Tensor, pool: tuple[int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted block means (C, i, j, k) and their weights (i, j, k)."""
    pooled = F.avg_pool3d(image, pool)[0]
    return pooled[:-1] / pooled[-1:].clamp_min(1e-4), pooled[-1]


def _costs(
    f: torch.Tensor, f_weight: torch.Tensor, m: torch.Tensor, m_weight: torch.Tensor, reach: tuple[int, int, int]
) -> torch.Tensor:
    """(i j k, D) weighted mean squared differences for every displacement in blocks, scaled to a mean excess of 1.

    Where `m` does not count, the difference is taken to be the typical one: leaving the image is no gain.
    """
    shape = f.shape[1:]
    pad = [r for r in reversed(reach) for _ in range(2)]
    wide, wide_weight = F.pad(m, pad), F.pad(m_weight[None], pad)[0]
    weight = f_weight.clamp(0, 1)
    table = f.new_empty((math.prod(2 * r + 1 for r in reach), *shape))
    total = missing = f.new_zeros(())
    counts = []
    for entry, start in zip(table, itertools.product(*(range(2 * r + 1) for r in reach))):
        window = tuple(slice(s, s + n) for s, n in zip(start, shape))
        both = weight * wide_weight[window]
        torch.mul((f - wide[(slice(None), *window)]).square_().sum(0), both, out=entry)
        total, missing = total + entry.sum(), missing + both.sum()
        counts.append(window)
    typical = total / missing.clamp_min(1e-6)
    for entry, window in zip(table, counts):
        entry += typical * weight * (1 - wide_weight[window])
    costs = table.flatten(1).T.contiguous()
    excess = (costs.mean(1) - costs.amin(1)).sum() / weight.sum().clamp_min(1e-6)
    return costs / excess.clamp_min(1e-12)


def _smoothed(steps: torch.Tensor, weight: torch.Tensor, sd: float) -> torch.Tensor:
    """Displacements (N, 3) on blocks of `weight` (i, j, k), averaged with their neighbours by what counts."""
    field = steps.T.reshape(1, 3, *weight.shape)
    known = weight.clamp_min(0.02)[None, None]
    return (gaussian(field * known, sd) / gaussian(known, sd))[0].flatten(1).T
