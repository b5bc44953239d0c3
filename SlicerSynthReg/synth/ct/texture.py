"""Texture that belongs to the body: both scans of a patient show the same."""

from __future__ import annotations

import math

import torch

from SlicerSynthReg.space.sampling import resize, sample
from SlicerSynthReg.space.smoothing import gaussian
from SlicerSynthReg.synth import draw

STEP_MM = 2.5
SMOOTH_VOX = 1.0
"""Of the smooth fields' lattice, which is twice as coarse."""
MARGIN_MM = 30.0


def textures(seed: int, center_z: float, points: torch.Tensor) -> torch.Tensor:
    """(3, I, J, K) fields of SD about 1 at body points (3, I, J, K): fine (3 mm) and two smooth ones (10 mm)."""
    half_height = float((points[2] - center_z).abs().max()) + STEP_MM
    extent = (440.0, 340.0, 2 * math.ceil(half_height / MARGIN_MM) * MARGIN_MM)
    shape = tuple(math.ceil(mm / STEP_MM) for mm in extent)
    fine = draw.noise([seed], (1, *shape), points.device) / 0.6
    smooth = gaussian(draw.noise([seed + 1], (2, *(n // 2 for n in shape)), points.device), SMOOTH_VOX)
    smooth = resize(smooth / smooth.std(), shape)
    fields = torch.cat([fine, smooth], dim=1)
    middle = [(n - 1) / 2 for n in shape]
    index = torch.stack([(p - s) / STEP_MM + m for p, s, m in zip(points, (0.0, 0.0, center_z), middle)])
    return sample(fields, index[None], padding="border")[0]
