"""The paper's augmentation (MFM, appendix B.4): flips, quarter turns, affine maps; HU are left as they are.

One draw for a patient's two images, and for the slices beside them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from SlicerSynthReg.synth.draw import chance, integer, uniform

TURN_DEGREES, SHIFT, SHEAR_DEGREES = 45.0, 0.2, 10.0
"""Bounds; SHIFT is of the slice's side: 102.4 of 512 pixels."""


@dataclass(frozen=True)
class SliceAugmentDraw:
    """flips: by rows, by columns. quarters: quarter turns. matrix: (2, 3), place in the image to place in the source,
    in halves of its side from its middle; None: none."""

    flips: tuple[bool, bool]
    quarters: int
    matrix: tuple[tuple[float, float, float], ...] | None


def draw_slice_augment(generator: torch.Generator) -> SliceAugmentDraw:
    flips = chance(generator, 0.5), chance(generator, 0.5)
    quarters = integer(generator, 1, 3) if chance(generator, 0.5) else 0
    angle = math.radians(uniform(generator, -TURN_DEGREES, TURN_DEGREES))
    shear = math.tan(math.radians(uniform(generator, -SHEAR_DEGREES, SHEAR_DEGREES)))
    shifts = [2 * uniform(generator, -SHIFT, SHIFT) for _ in range(2)]
    if not chance(generator, 0.7):
        return SliceAugmentDraw(flips, quarters, None)
    cos, sin = math.cos(angle), math.sin(angle)
    rows = (cos, shear * cos - sin, shifts[0]), (sin, shear * sin + cos, shifts[1])
    return SliceAugmentDraw(flips, quarters, rows)


def augmented(stack: torch.Tensor, record: SliceAugmentDraw, fill: float) -> torch.Tensor:
    """(C, S, S) -> (C, S, S), linear; `fill` comes in from outside."""
    dims = [dim for dim, flip in zip((1, 2), record.flips) if flip]
    stack = torch.rot90(stack.flip(dims) if dims else stack, record.quarters, (1, 2))
    if record.matrix is None:
        return stack
    theta = torch.tensor(record.matrix, dtype=stack.dtype, device=stack.device)[None]
    places = F.affine_grid(theta, [1, *stack.shape], align_corners=False)
    return F.grid_sample(stack[None] - fill, places, padding_mode="zeros", align_corners=False)[0] + fill
