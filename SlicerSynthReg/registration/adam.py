"""Instance optimisation by Adam on a velocity field, for any similarity (the continuous stage of ConvexAdam).

Minimised is (S(f, m o exp(v)) + S(m, f o exp(-v))) / (2 S_0) + lambda |grad v|^2, S_0 the value at the start and the
gradient in mm per mm, so that lambda is independent of similarity and voxel size. v is a smoothed control field,
similar to a B-spline. Departures from ConvexAdam: a velocity instead of a displacement, and both directions, so that
the result is diffeomorphic, has an exact inverse, and changes sign when the images are exchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.registration.similarity import Similarity
from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.spatial.sampling import resize_displacement, sample_displaced
from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.spatial.transform import exponential


@dataclass(frozen=True)
class AdamConfig:
    """factors, iterations: levels as multiples of the feature image's voxel, coarse to fine, and their iterations.
    rate: learning rate, voxels of the level. smooth: SD of the smoothing of the control field, voxels. diffusion:
    lambda. squarings: steps of exp(v) during the optimisation."""

    factors: tuple[int, ...] = (4, 2)
    iterations: tuple[int, ...] = (40, 40)
    rate: float = 0.3
    smooth: float = 1.2
    diffusion: float = 1.0
    squarings: int = 4


def optimise_velocity(
    fixed: FeatureImage,
    moving: FeatureImage,
    similarity: Similarity,
    start: torch.Tensor | None,
    config: AdamConfig,
    progress: Callable[[float], None] = lambda share: None,
) -> torch.Tensor:
    """Return the velocity (3, I/f, J/f, K/f), voxels of its own grid, f the last factor.

    fixed, moving: channels of the similarity on one grid whose counts divide by every factor. start: velocity over the
    same box, voxels of its own grid, or None for zero.
    """
    shape, spacing = fixed.weight.shape, fixed.grid.spacing
    v = fixed.values.new_zeros((1, 3, *(n // config.factors[0] for n in shape))) if start is None else start[None]
    total, done = sum(config.iterations), 0
    with torch.inference_mode(False), torch.enable_grad():
        for factor, iterations in zip(config.factors, config.iterations):
            v = resize_displacement(v, tuple(n // factor for n in shape)).detach().clone()
            pair = _Pair(fixed.pooled(factor), moving.pooled(factor), similarity, config)
            spacing_mm = torch.tensor(spacing * factor, dtype=v.dtype, device=v.device)
            control = torch.zeros_like(v, requires_grad=True)
            optimizer = torch.optim.Adam([control], config.rate)
            with torch.no_grad():
                scale = float(pair.dissimilarity(torch.zeros_like(v)).clamp_min(1e-8))
            for _ in range(iterations):
                optimizer.zero_grad()
                now = v + gaussian(control, config.smooth)
                loss = pair.dissimilarity(now) / scale + config.diffusion * diffusion_energy_mm(now, spacing_mm)
                loss.backward()
                optimizer.step()
                done += 1
                progress(done / total)
            v = (v + gaussian(control, config.smooth)).detach()
    return v[0]


class _Pair:
    """Two images at one level, and their dissimilarity through a flow."""

    def __init__(self, fixed: FeatureImage, moving: FeatureImage, similarity: Similarity, config: AdamConfig) -> None:
        self.similarity, self.squarings = similarity, config.squarings
        self.fixed, self.moving = (torch.cat([side.values, side.weight[None]]).clone() for side in (fixed, moving))
        self.lattice = index_lattice(tuple(fixed.weight.shape), fixed.values.device)

    def dissimilarity(self, v: torch.Tensor) -> torch.Tensor:
        """Return the mean dissimilarity of both directions; v (1, 3, I, J, K)."""
        ends = ((self.fixed, self.moving, v), (self.moving, self.fixed, -v))
        return sum((self._one_direction(*end) for end in ends), start=v.new_zeros(())) / 2

    def _one_direction(self, here: torch.Tensor, there: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        moved = sample_displaced(there[None], exponential(v, self.squarings, self.lattice), self.lattice)[0]
        return self.similarity.loss(here[:-1], moved[:-1], here[-1] * moved[-1].detach())


def diffusion_energy_mm(v: torch.Tensor, spacing_mm: torch.Tensor) -> torch.Tensor:
    """Return the mean over voxels of |grad v|^2, mm per mm. v: (1, 3, I, J, K), voxels of `spacing_mm` (3,)."""
    mm = v * spacing_mm.view(1, 3, 1, 1, 1)
    return sum(
        (mm.diff(dim=2 + axis).square().sum(1).mean() / spacing_mm[axis] ** 2 for axis in range(3)), v.new_zeros(())
    )
