"""Two scans are two breath-holds: organs slide under the ribs, spine and skin stay. The displacement is known."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from SlicerSynthReg.space.smoothing import gaussian
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.ct.habitus import LATTICE_MM, HabitusDraw, on_lattice


@dataclass(frozen=True)
class BreathingConfig:
    """largest_mm: bound of the shift up or down under the diaphragm."""

    largest_mm: float = 10.0


@dataclass(frozen=True)
class BreathingDraw:
    """up_mm, front_mm: shift of what the contrast scan shows, under the diaphragm; wobble_mm: SD of a smooth remainder,
    and its seed."""

    up_mm: float
    front_mm: float
    wobble_mm: float
    seed: int


def draw_breathing(config: BreathingConfig, generator: torch.Generator) -> BreathingDraw:
    up = draw.uniform(generator, -config.largest_mm, config.largest_mm)
    front = up * draw.uniform(generator, -0.1, 0.3)
    return BreathingDraw(up, front, draw.uniform(generator, 0.0, 0.08 * config.largest_mm), draw.seed(generator))


def breathed(one: BreathingDraw, habitus: HabitusDraw, wall: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """(3, I, J, K) mm: where the contrast scan reads the body, less where the voxel is. wall: distance (I, J, K) of the
    inside of the body wall, negative inside; points: body coordinates.

    Full under the diaphragm, a third as much at the pelvis, none at the wall and at the spine.
    """
    x, y, z = points
    inside = _step(-wall / 30.0)
    from_spine = _step(((x.square() + (y - habitus.spine_y).square()).sqrt() - 32.0) / 40.0)
    share = inside * from_spine * (0.35 + 0.65 * _step((z + 110.0) / 190.0))
    coarse = tuple(max(4, round(mm / LATTICE_MM)) for mm in (460.0, 360.0, 440.0))
    wobble = gaussian(draw.noise([one.seed], (3, *coarse), points.device), 2.0)
    wobble = on_lattice(wobble[0] * (one.wobble_mm / wobble.std()), points)
    main = torch.stack([torch.zeros_like(z), torch.full_like(z, one.front_mm), torch.full_like(z, one.up_mm)])
    return (main + wobble) * share


def _step(t: torch.Tensor) -> torch.Tensor:
    """0 below 0, 1 above 1, smooth between."""
    t = t.clamp(0.0, 1.0)
    return t * t * (3 - 2 * t)
