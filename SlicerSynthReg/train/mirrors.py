"""The mirror maps of people's label maps, by registration of each map to its own flip, once before a training."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from SlicerSynthReg.methods.instance.affine import AffineConfig, fit_affine
from SlicerSynthReg.methods.instance.channels import Channels
from SlicerSynthReg.methods.instance.demons import DemonsConfig, refine
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import exponential
from SlicerSynthReg.synth.mirror import Mirror
from SlicerSynthReg.synth.tissues import ANATOMY, anatomy_of

POOLED = 2
"""Labels are compared as shares of blocks of so many voxels a side."""
MARGIN = 8
DEMONS = DemonsConfig((4, 2), (10, 12), finest=2, elastic=0.8)


COMPARED = (
    ("white matter",),
    ("cortex",),
    ("ventricles",),
    ("cerebellar white matter", "cerebellar cortex"),
    ("thalamus", "caudate", "putamen", "pallidum"),
    ("brain stem", "hippocampus", "amygdala"),
)
"""Structures by which a side is known again; few are enough, and quick."""


def compared(values: tuple[int, ...]) -> torch.Tensor:
    """For each label value which of `COMPARED` it belongs to, counted from 1; 0 for none."""
    group = {name: n for n, names in enumerate(COMPARED, start=1) for name in names}
    return torch.tensor([group.get(list(ANATOMY)[structure], 0) for structure in anatomy_of(values)])


def mirror_of(labels: torch.Tensor, structures: torch.Tensor) -> Mirror:
    """labels (I, J, K) uint8 in RAS, 1 mm; structures: for each label index what it is, left and right the same, 0 for
    all that does not count. Affine, then demons, of the structures on those of the flipped map; both in the box of what
    counts, beyond which the map goes on as it is at the box's faces."""
    block = POOLED * max(DEMONS.factors)
    occupied = (structures[labels.int()] > 0).nonzero()
    low, high = occupied.min(0).values - MARGIN, occupied.max(0).values + 1 + MARGIN
    high = high + (low - high) % block
    pad = [int(n) for axis in (2, 1, 0) for n in (-low[axis], high[axis] - labels.shape[axis])]
    box = F.pad(labels, pad)
    fixed, moving = (_channels(one, structures) for one in (box, box.flip(0)))
    start = np.eye(4)
    start[:3, 3] = moving.centroid_mm() - fixed.centroid_mm()
    affine = fit_affine(fixed.pooled(2), moving.pooled(2), start, AffineConfig(10, 12, 6000)).matrix
    velocity = refine(fixed, moving.on(fixed.grid, affine), None, DEMONS)
    factor = POOLED * DEMONS.finest
    flip, place = np.diag([-1.0, 1.0, 1.0, 1.0]), np.eye(4)
    flip[0, 3] = box.shape[0] - 1
    place[:3, 3] = low.numpy()
    u = exponential(velocity[None], DEMONS.squarings)[0] * factor
    return Mirror(place @ flip @ affine @ np.linalg.inv(place), u, factor, tuple(low.tolist()))


def _channels(labels: torch.Tensor, structures: torch.Tensor) -> Channels:
    """Shares of each structure in blocks; their grid's millimetres are the voxels of the map."""
    of = structures[labels.int()]
    shares = [F.avg_pool3d((of == n)[None].float(), POOLED)[0] for n in range(1, int(structures.max()) + 1)]
    values = torch.stack(shares)
    affine = np.diag([POOLED, POOLED, POOLED, 1.0])
    affine[:3, 3] = (POOLED - 1) / 2
    weight = F.max_pool3d(values.sum(0)[None], 5, 1, 2)[0].clamp(0, 1)
    return Channels(values, weight, Grid(tuple(values.shape[1:]), affine))
