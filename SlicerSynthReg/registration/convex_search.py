"""Coupled convex search: exhaustive search of displacements per block, coupled to a smooth field.

Per block of voxels x the cost C(x, d) = sum_c w (f(x) - m(x + d))^2 of all displacements d is tabulated once. Then, for
a rising coupling theta: d(x) = argmin_d C(x, d) + theta |d - u(x)|^2 and u = smooth(d) (Heinrich 2014; the discrete
stage of ConvexAdam, Siebert 2021). No gradient is used, so that large displacements are found from any start.

Departures: steps and reach are in mm, so that the search is isotropic on anisotropic voxels; masks weight the costs;
both directions are searched, and half the difference of both displacements u and w is used as a velocity: for u =
exp(v), w = exp(-v) it is v up to third order, and it changes sign when the images are exchanged.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from SlicerSynthReg.registration.feature_image import FeatureImage, pca_project
from SlicerSynthReg.spatial.grid import as_shape, index_lattice
from SlicerSynthReg.spatial.sampling import resize_displacement, sample_displaced
from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.spatial.transform import exponential


@dataclass(frozen=True)
class ConvexConfig:
    """levels: (step, reach) in mm, coarse to fine; each starts from the last. couplings: theta, for costs whose mean
    excess over the minimum is 1 and distances in steps. smooth: SD of the smoothing of the field in steps. channels:
    principal components that are compared. max_entries: of the cost table; steps grow until it fits."""

    levels: tuple[tuple[float, float], ...] = ((8.0, 24.0), (4.0, 8.0))
    couplings: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    smooth: float = 1.0
    channels: int = 8
    max_entries: int = 60_000_000


def convex_search(
    fixed: FeatureImage,
    moving: FeatureImage,
    config: ConvexConfig,
    start: torch.Tensor | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> torch.Tensor:
    """Return the velocity (3, I, J, K), voxels of the grid that `fixed` and `moving` share.

    start: initial velocity, or None for zero.
    """
    shape = tuple(fixed.weight.shape)
    v = fixed.values.new_zeros((3, *shape)) if start is None else start
    lattice = index_lattice(shape, v.device)
    f, m = pca_project((fixed, moving), config.channels, (fixed, moving))
    images = [torch.cat([item * c.weight, c.weight[None]])[None] for item, c in ((f, fixed), (m, moving))]
    for number, (step_mm, reach_mm) in enumerate(config.levels):
        table = _Table.planned(fixed, step_mm, reach_mm, config.max_entries)
        ends = []
        for here, there, sign in ((images[0], images[1], 1.0), (images[1], images[0], -1.0)):
            warped = there
            if number or start is not None:
                warped = sample_displaced(there, exponential(sign * v[None], 6, lattice), lattice)
            ends.append(_field(table, here, warped, config))
            progress((2 * number + len(ends)) / (2 * len(config.levels)))
        half = (ends[0] - ends[1]) / 2
        v = v + resize_displacement(half[None], shape)[0]
    return v


@dataclass(frozen=True)
class _Table:
    """pool: voxels of a block along each axis. reach: blocks searched on either side. ratio: size of a block in steps,
    for distances."""

    pool: tuple[int, int, int]
    reach: tuple[int, int, int]
    ratio: tuple[float, float, float]

    @classmethod
    def planned(cls, fixed: FeatureImage, step_mm: float, reach_mm: float, max_entries: int) -> _Table:
        """Return the table with blocks of about `step_mm`, larger until it has at most `max_entries` entries."""
        spacing, shape = fixed.grid.spacing, fixed.weight.shape
        while True:
            pool = as_shape(min(n, max(1, round(step_mm / s))) for n, s in zip(shape, spacing))
            sides = [p * float(s) for p, s in zip(pool, spacing)]
            reach = as_shape(min(math.ceil(reach_mm / side - 1e-6), n // p) for side, n, p in zip(sides, shape, pool))
            entries = math.prod(n // p for n, p in zip(shape, pool)) * math.prod(2 * r + 1 for r in reach)
            if entries <= max_entries:
                a, b, c = (side / step_mm for side in sides)
                return cls(pool, reach, (a, b, c))
            step_mm *= 1.15


def _field(table: _Table, here: torch.Tensor, there: torch.Tensor, config: ConvexConfig) -> torch.Tensor:
    """Return the displacement (3, i, j, k) from `here` to `there`, in blocks.

    Both are (1, C + 1, I, J, K): the last channel is the weight, the others are multiplied by it, so that the
    background is not interpolated into the foreground.
    """
    f, f_weight = _blocks(here, table.pool)
    m, m_weight = _blocks(there, table.pool)
    costs = _costs(f, f_weight, m, m_weight, table.reach)
    shape, device = tuple(f.shape[1:]), f.device
    displacements = torch.tensor(
        list(itertools.product(*(range(-r, r + 1) for r in table.reach))), dtype=torch.float32, device=device
    )
    ratio = torch.tensor(table.ratio, device=device)
    steps = displacements * ratio
    square = (steps * steps).sum(1)
    costs = costs + 1e-4 * square  # no displacement without information
    u = _smooth(steps[costs.argmin(1)], f_weight, config.smooth)
    for theta in config.couplings:
        chosen = torch.cat(
            [
                (part + theta * (square - 2 * at @ steps.T)).argmin(1)
                for part, at in zip(costs.split(20_000), u.split(20_000))
            ]
        )
        u = _smooth(steps[chosen], f_weight, config.smooth)
    return (u / ratio).T.reshape(3, *shape)


def _blocks(image: torch.Tensor, pool: tuple[int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weighted block means (C, i, j, k) and their weights (i, j, k)."""
    pooled = F.avg_pool3d(image, pool)[0]
    return pooled[:-1] / pooled[-1:].clamp_min(1e-4), pooled[-1]


def _costs(
    f: torch.Tensor, f_weight: torch.Tensor, m: torch.Tensor, m_weight: torch.Tensor, reach: tuple[int, int, int]
) -> torch.Tensor:
    """Return (i j k, D) the weighted mean squared differences of every displacement, scaled to a mean excess of 1.

    Outside the foreground of `m` the mean difference is used, so that leaving the image does not reduce the cost.
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


def _smooth(steps: torch.Tensor, weight: torch.Tensor, sd: float) -> torch.Tensor:
    """Return displacements (N, 3) on blocks of `weight` (i, j, k), smoothed by normalised convolution."""
    field = steps.T.reshape(1, 3, *weight.shape)
    known = weight.clamp_min(0.02)[None, None]
    return (gaussian(field * known, sd) / gaussian(known, sd))[0].flatten(1).T
