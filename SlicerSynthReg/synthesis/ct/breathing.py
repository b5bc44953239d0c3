"""Respiratory displacement between two breath-holds: organs slide below the ribs, spine and skin stay."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.ct.habitus import LATTICE_MM, HabitusDraw, interpolate_lattice


@dataclass(frozen=True)
class BreathingConfig:
    """max_mm: bound of the craniocaudal shift below the diaphragm."""

    max_mm: float = 10.0


@dataclass(frozen=True)
class BreathingDraw:
    """cranial_mm, anterior_mm: shift of the contrast scan's anatomy below the diaphragm. residual_mm, seed: SD and seed
    of a smooth random displacement."""

    cranial_mm: float
    anterior_mm: float
    residual_mm: float
    seed: int


def draw_breathing(config: BreathingConfig, generator: torch.Generator) -> BreathingDraw:
    """Draw the displacement between two breath-holds."""
    cranial = draw.uniform(generator, -config.max_mm, config.max_mm)
    anterior = cranial * draw.uniform(generator, -0.1, 0.3)
    return BreathingDraw(cranial, anterior, draw.uniform(generator, 0.0, 0.08 * config.max_mm), draw.seed(generator))


def breathing_displacement(
    item: BreathingDraw, habitus: HabitusDraw, wall: torch.Tensor, points: torch.Tensor
) -> torch.Tensor:
    """Return the displacement (3, I, J, K), mm, from a voxel to the anatomy that the contrast scan shows there.

    wall: distance (I, J, K) to the inner surface of the abdominal wall, negative inside. points: (3, I, J, K) body
    coordinates, mm. Full below the diaphragm, a third of it at the pelvis, zero at the wall and at the spine.
    """
    x, y, z = points
    inside = _smoothstep(-wall / 30.0)
    from_spine = _smoothstep(((x.square() + (y - habitus.spine_y).square()).sqrt() - 32.0) / 40.0)
    share = inside * from_spine * (0.35 + 0.65 * _smoothstep((z + 110.0) / 190.0))
    coarse = tuple(max(4, round(mm / LATTICE_MM)) for mm in (460.0, 360.0, 440.0))
    residual = gaussian(draw.noise([item.seed], (3, *coarse), points.device), 2.0)
    residual = interpolate_lattice(residual[0] * (item.residual_mm / residual.std()), points)
    main = torch.stack([torch.zeros_like(z), torch.full_like(z, item.anterior_mm), torch.full_like(z, item.cranial_mm)])
    return (main + residual) * share


def _smoothstep(t: torch.Tensor) -> torch.Tensor:
    """Return 0 below 0, 1 above 1, and a cubic transition between."""
    t = t.clamp(0.0, 1.0)
    return t * t * (3 - 2 * t)
