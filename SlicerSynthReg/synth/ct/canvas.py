"""Painting solids, one over the other, each edge as soft as a voxel of its size makes it (partial volume)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.synth.ct.solids import Solid
from SlicerSynthReg.synth.ct.tissue import PLACES, TISSUES

Box = tuple[slice, slice, slice]
NATIVE, GAIN, FINE, COARSE, MOIRE = range(5)


def palette(native: tuple[float, ...], gained: Mapping[str, float]) -> torch.Tensor:
    """(tissues, 5): native HU, HU gained, SD of fine and coarse texture, and of the uneven part of the gain in HU."""
    rows = []
    for name, tissue in TISSUES.items():
        gain = gained.get(tissue.uptake, 0.0)
        rows.append((native[PLACES[name]], gain, tissue.fine, tissue.coarse, tissue.moire * gain))
    return torch.tensor(rows)


@dataclass(eq=False)
class Canvas:
    """points (3, I, J, K): where in the body each voxel lies, mm. straight: three 1-D coordinates of the same before
    the body's own bending, `reach` mm at most away from it. state (5, I, J, K): see `palette`. labels (I, J, K) uint8.
    across, through: voxel size in mm in the slice and along it (the slice's thickness)."""

    points: torch.Tensor
    straight: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    reach: float
    palette: torch.Tensor
    across: float
    through: float

    def __post_init__(self) -> None:
        shape = self.points.shape[1:]
        self.state = torch.zeros((self.palette.shape[1], *shape), device=self.points.device)
        self.state[NATIVE] = -1000.0
        self.labels = torch.zeros(shape, dtype=torch.uint8, device=self.points.device)

    def around(self, low: np.ndarray, high: np.ndarray) -> Box | None:
        """The voxels that may lie in the box from `low` to `high` (mm), or None where there are none."""
        slices = []
        for axis, coordinate in enumerate(self.straight):
            near = (coordinate > float(low[axis]) - self.reach) & (coordinate < float(high[axis]) + self.reach)
            found = near.nonzero()
            if not len(found):
                return None
            slices.append(slice(int(found[0]), int(found[-1]) + 1))
        return slices[0], slices[1], slices[2]

    def cover(self, distance: torch.Tensor) -> torch.Tensor:
        """Share of each voxel that lies inside, from the distance (I, J, K) in mm of its centre, as for a flat face.

        A box voxel spans across (|nx| + |ny|) + through |nz| along the face's normal n.
        """
        width: torch.Tensor | float = self.across
        if distance.shape[2] > 1 and self.through > self.across:
            step = float((self.straight[2][1] - self.straight[2][0]).abs())
            slope = torch.empty_like(distance)
            torch.sub(distance[..., 1:], distance[..., :-1], out=slope[..., :-1])
            slope[..., -1] = slope[..., -2]
            slope = slope.abs_().div_(step).clamp_(max=1.0)
            width = self.across + (self.through - self.across) * slope
        return (0.5 - distance / width).clamp_(0.0, 1.0)

    def paint(self, distance: torch.Tensor, box: Box, tissue: str | torch.Tensor, label: int | None = None) -> None:
        """What is inside becomes `tissue`, a name or places in the palette voxel by voxel; `label` None keeps labels,
        0 clears them."""
        share = self.cover(distance)
        target = self.state[(slice(None), *box)]
        if isinstance(tissue, str):
            colour = self.palette[PLACES[tissue]].view(-1, 1, 1, 1)
        else:
            colour = self.palette.T[:, tissue]
        target.add_((colour - target).mul_(share))
        if label is not None:
            self.labels[box].masked_fill_(share > 0.5, label)

    def solid(
        self,
        solid: Solid,
        tissue: str,
        label: int | None = None,
        within: torch.Tensor | None = None,
        grow: float = 0.0,
    ) -> None:
        """Paint a solid, grown by `grow` mm; within: distance (I, J, K) of what it may not leave."""
        low, high = solid.box()
        box = self.around(low - max(grow, 0.0), high + max(grow, 0.0))
        if box is None:
            return
        distance = solid.distance(self.points[(slice(None), *box)]) - grow
        if within is not None:
            distance = torch.maximum(distance, within[box])
        self.paint(distance, box, tissue, label)
