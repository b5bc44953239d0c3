"""Diffeomorphic demons: Gauss-Newton forces on many channels, accumulated in a stationary velocity field.

At each level: m = moving o exp(v); per voxel the force d solves (sum_c w g g' + alpha I) d = sum_c w g (f - m) with g
the slope of (f + m) / 2 (the symmetric form of Thirion's force; Vercauteren 2009 for the log domain); then
v <- S_elastic(v + S_fluid(d)). Because the map is exp(v), exp(-v) is its inverse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.spatial.differential import gradient
from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.spatial.sampling import chunks, resize_displacement, sample, sample_displaced
from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.spatial.transform import exponential


@dataclass(frozen=True)
class DemonsConfig:
    """factors, iterations: levels as multiples of the feature image's voxel, coarse to fine, and their iterations.

    finest: finest grid of the velocity, as such a multiple. elastic: SD of the smoothing of the velocity in voxels of
    its grid (the regularisation strength). fluid: SD of the smoothing of each update. alpha: damping relative to the
    mean squared gradient. step: longest update, voxels. exact_every: period of the iterations that integrate the
    velocity by scaling and squaring, with `squarings` steps; the others update its exponential to first order.
    """

    factors: tuple[int, ...] = (4, 2, 1)
    iterations: tuple[int, ...] = (10, 10, 12)
    finest: int = 1
    elastic: float = 0.5
    fluid: float = 0.7
    alpha: float = 1.0
    step: float = 1.0
    squarings: int = 4
    exact_every: int = 4


def refine_velocity(
    fixed: FeatureImage,
    moving: FeatureImage,
    start: torch.Tensor | None,
    config: DemonsConfig,
    progress: Callable[[float], None] = lambda share: None,
) -> torch.Tensor:
    """Return the velocity (3, I/finest, J/finest, K/finest), voxels of that grid.

    fixed, moving: on one grid whose counts divide by max(factors). start: velocity over the same box, voxels of its own
    grid, or None for zero.
    """
    shape = fixed.weight.shape
    v = fixed.values.new_zeros((1, 3, *(n // config.factors[0] for n in shape))) if start is None else start[None]
    total, done = sum(config.iterations), 0
    for factor, iterations in zip(config.factors, config.iterations):
        v_factor = max(factor, config.finest)
        v = resize_displacement(v, tuple(n // v_factor for n in shape))
        border = _border_window(tuple(v.shape[2:])).to(v.device)
        level = _Level(fixed.pooled(factor), moving.pooled(factor), config)
        flow = _Flow(v, config)
        for _ in range(iterations):
            force = resize_displacement(level.force(flow.u), tuple(v.shape[2:]))
            flow.update(gaussian(flow.v + gaussian(force, config.fluid), config.elastic) * border)
            done += 1
            progress(done / total)
        v = flow.v
    return resize_displacement(v, tuple(n // config.finest for n in shape))[0]


def _border_window(shape: tuple[int, ...]) -> torch.Tensor:
    """Return (I, J, K): 1 inside, falling to 0 at the faces over two voxels, since maps are the identity outside."""
    i, j, k = ((torch.minimum(torch.arange(n), torch.arange(n).flip(0)) / 2).clamp_max(1.0) for n in shape)
    return i[:, None, None] * j[:, None] * k


class _Flow:
    """Velocity v (1, 3, I, J, K) and u = exp(v). Small changes d of v update u by exp(v + d) = exp(v) o exp(d) to first
    order (one interpolation instead of `squarings`); every `exact_every` changes u is integrated again."""

    def __init__(self, v: torch.Tensor, config: DemonsConfig) -> None:
        self.config, self.changes = config, 0
        self.lattice = index_lattice(tuple(v.shape[2:]), v.device)
        self.v, self.u = v, exponential(v, config.squarings, self.lattice)

    def update(self, v: torch.Tensor) -> None:
        self.changes += 1
        if self.changes % self.config.exact_every:
            step = v - self.v
            self.u = step + sample_displaced(self.u, step, self.lattice)
        else:
            self.u = exponential(v, self.config.squarings, self.lattice)
        self.v = v


class _Level:
    """One resolution level: quantities that do not change between iterations."""

    def __init__(self, fixed: FeatureImage, moving: FeatureImage, config: DemonsConfig) -> None:
        self.config = config
        self.fixed, self.weight = fixed.values[None], fixed.weight
        self.moving = torch.cat([moving.values, moving.weight[None]])[None]
        self.lattice = index_lattice(tuple(fixed.weight.shape), fixed.values.device)
        square = torch.stack([(h[[0, 3, 5]].sum(0) * self.weight).sum() for h, _ in self._sums(self.fixed, self.fixed)])
        self.damping = config.alpha * square.sum() / (3 * self.weight.sum() + 1e-6) + 1e-8

    def force(self, u: torch.Tensor) -> torch.Tensor:
        """Return the update (1, 3, I, J, K), voxels of this level. u: displacement so far, voxels of its own grid."""
        if u.shape[2:] != self.fixed.shape[2:]:
            u = resize_displacement(u, tuple(self.fixed.shape[2:]))
        force = torch.empty_like(u)
        last = len(self.weight)
        for part in chunks(tuple(self.weight.shape)):
            wide = slice(
                max(part.start - 1, 0), min(part.stop + 1, last)
            )  # gradients need a further plane on either side
            inner = slice(part.start - wide.start, part.stop - wide.start)
            force[0, :, part] = self._force(u[:, :, wide], wide)[:, inner]
        return force

    def _force(self, u: torch.Tensor, part: slice) -> torch.Tensor:
        """Return (3, I, J, K) in the planes `part`; correct in all but its outermost planes inside the image."""
        warped = sample(self.moving, self.lattice[None, :, part] + u, padding="border")
        weight = self.weight[part] * warped[0, -1]
        h, b = weight.new_zeros(6, *weight.shape), weight.new_zeros(3, *weight.shape)
        for h_part, b_part in self._sums(self.fixed[:, :, part], warped[:, :-1]):
            h += h_part
            b += b_part
        d = solve3(h * weight, self.damping, b * weight)
        return d * (self.config.step / d.square().sum(0, keepdim=True).sqrt().clamp_min(self.config.step))

    @staticmethod
    def _sums(f: torch.Tensor, m: torch.Tensor, chunk: int = 4) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield, for `chunk` channels at a time, sum_c g g' as xx, xy, xz, yy, yz, zz (6, I, J, K) and sum_c g (f -
        m)."""
        for start in range(0, f.shape[1], chunk):
            fc, mc = f[:, start : start + chunk], m[:, start : start + chunk]
            x, y, z = gradient((fc + mc) * 0.5)[0].unbind(1)
            r = (fc - mc)[0]
            h = [(a * b).sum(0) for a, b in ((x, x), (x, y), (x, z), (y, y), (y, z), (z, z))]
            yield torch.stack(h), torch.stack([(x * r).sum(0), (y * r).sum(0), (z * r).sum(0)])


def solve3(h: torch.Tensor, damping: torch.Tensor | float, b: torch.Tensor) -> torch.Tensor:
    """Return (h + damping I)^-1 b per voxel (3, ...). h: (6, ...) entries xx, xy, xz, yy, yz, zz. b: (3, ...)."""
    xx, xy, xz, yy, yz, zz = h[0] + damping, h[1], h[2], h[3] + damping, h[4], h[5] + damping
    c_xx, c_xy, c_xz = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    c_yy, c_yz, c_zz = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    determinant = xx * c_xx + xy * c_xy + xz * c_xz
    x = c_xx * b[0] + c_xy * b[1] + c_xz * b[2]
    y = c_xy * b[0] + c_yy * b[1] + c_yz * b[2]
    z = c_xz * b[0] + c_yz * b[1] + c_zz * b[2]
    return torch.stack([x, y, z]) / determinant
