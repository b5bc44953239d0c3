"""Instance optimisation by Adam on a velocity field, for any similarity (the continuous stage of ConvexAdam).

Minimised is (S(f, m o exp(v)) + S(m, f o exp(-v))) / (2 S_0) + lambda |grad v|^2, S_0 the value at the start and the
gradient in mm per mm, so that lambda means the same for every similarity and voxel. v is a smoothed control field, as a
B-spline's. Departures from ConvexAdam: a velocity in place of a displacement, and both directions, so that the result
has no folds, is exact to invert, and changes its sign when the images change places.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from SlicerSynthReg.methods.instance.channels import Channels
from SlicerSynthReg.methods.instance.similarity import Similarity
from SlicerSynthReg.space.grid import index_lattice
from SlicerSynthReg.space.sampling import resize_displacement, sample_displaced
from SlicerSynthReg.space.smoothing import gaussian
from SlicerSynthReg.space.transform import exponential


@dataclass(frozen=True)
class AdamConfig:
    """factors: levels as multiples of the channels' voxel, coarse to fine, with their iterations. rate: Adam's, in
    voxels of the level. smooth: SD in voxels of the control field's smoothing. diffusion: lambda. squarings: of exp(v)
    while it is sought."""

    factors: tuple[int, ...] = (4, 2)
    iterations: tuple[int, ...] = (40, 40)
    rate: float = 0.3
    smooth: float = 1.2
    diffusion: float = 1.0
    squarings: int = 4


def optimise(
    fixed: Channels,
    moving: Channels,
    similarity: Similarity,
    start: torch.Tensor | None,
    config: AdamConfig,
    progress: Callable[[float], None] = lambda share: None,
) -> torch.Tensor:
    """Velocity (3, I/f, J/f, K/f), voxels of its own grid, f the last of the factors.

    fixed, moving: the similarity's channels on one grid whose counts divide by every factor. start: a velocity over the
    same box, in voxels of its own grid, or None for zero.
    """
    shape, spacing = fixed.weight.shape, fixed.grid.spacing
    v = fixed.values.new_zeros((1, 3, *(n // config.factors[0] for n in shape))) if start is None else start[None]
    total, done = sum(config.iterations), 0
    with torch.inference_mode(False), torch.enable_grad():
        for factor, iterations in zip(config.factors, config.iterations):
            v = resize_displacement(v, tuple(n // factor for n in shape)).detach().clone()
            pair = _Pair(fixed.pooled(factor), moving.pooled(factor), similarity, config)
            sides = torch.tensor(spacing * factor, dtype=v.dtype, device=v.device)
            control = torch.zeros_like(v, requires_grad=True)
            optimizer = torch.optim.Adam([control], config.rate)
            with torch.no_grad():
                scale = float(pair.mismatch(torch.zeros_like(v)).clamp_min(1e-8))
            for _ in range(iterations):
                optimizer.zero_grad()
                now = v + gaussian(control, config.smooth)
                loss = pair.mismatch(now) / scale + config.diffusion * roughness(now, sides)
                loss.backward()
                optimizer.step()
                done += 1
                progress(done / total)
            v = (v + gaussian(control, config.smooth)).detach()
    return v[0]


class _Pair:
    """Two images at one level, and how badly they agree through a flow."""

    def __init__(self, fixed: Channels, moving: Channels, similarity: Similarity, config: AdamConfig) -> None:
        self.similarity, self.squarings = similarity, config.squarings
        self.fixed, self.moving = (torch.cat([one.values, one.weight[None]]).clone() for one in (fixed, moving))
        self.lattice = index_lattice(tuple(fixed.weight.shape), fixed.values.device)

    def mismatch(self, v: torch.Tensor) -> torch.Tensor:
        """Mean of both directions; v (1, 3, I, J, K)."""
        ends = ((self.fixed, self.moving, v), (self.moving, self.fixed, -v))
        return sum((self._one_way(*end) for end in ends), start=v.new_zeros(())) / 2

    def _one_way(self, here: torch.Tensor, there: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        moved = sample_displaced(there[None], exponential(v, self.squarings, self.lattice), self.lattice)[0]
        return self.similarity.loss(here[:-1], moved[:-1], here[-1] * moved[-1].detach())


def roughness(v: torch.Tensor, sides_mm: torch.Tensor) -> torch.Tensor:
    """Mean over voxels of |grad v|^2, mm per mm: v (1, 3, I, J, K) in voxels of `sides_mm` (3,)."""
    mm = v * sides_mm.view(1, 3, 1, 1, 1)
    return sum(
        (mm.diff(dim=2 + axis).square().sum(1).mean() / sides_mm[axis] ** 2 for axis in range(3)), v.new_zeros(())
    )
