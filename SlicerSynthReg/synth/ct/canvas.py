"""Painting solids, one over the other, each edge as soft as a voxel of its size makes it (partial volume)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.synth.ct.solids import Solid, Tube
from SlicerSynthReg.synth.ct.tissue import PLACES, TISSUES

Box = tuple[slice, slice, slice]
NATIVE, GAIN, FINE, COARSE, MOIRE = range(5)
FAR_MM = 1e3


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
    the body's own bending, `reach` mm at most away from it. state (I J K, 5): see `palette`. labels (I, J, K) uint8.
    across, through: voxel size in mm in the slice and along it (the slice's thickness)."""

    points: torch.Tensor
    straight: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    reach: float
    palette: torch.Tensor
    across: float
    through: float

    def __post_init__(self) -> None:
        shape = self.points.shape[1:]
        self.state = torch.zeros((shape.numel(), self.palette.shape[1]), device=self.points.device)
        self.state[:, NATIVE] = -1000.0
        self.labels = torch.zeros(shape, dtype=torch.uint8, device=self.points.device)
        self.starts = [float(line[0]) for line in self.straight]
        self.steps = [float(line[1] - line[0]) if len(line) > 1 else 1.0 for line in self.straight]

    def layer(self, channel: int) -> torch.Tensor:
        """One of NATIVE, GAIN, FINE, COARSE, MOIRE as (I, J, K)."""
        return self.state[:, channel].view(self.points.shape[1:])

    def around(self, low: np.ndarray, high: np.ndarray, part: Box | None = None) -> Box | None:
        """The voxels that may lie in the box from `low` to `high` (mm), or None where there are none; of `part` alone,
        and counted from its corner, where it is given."""
        slices = []
        for axis, count in enumerate(self.points.shape[1:]):
            begin, end = (0, count) if part is None else (part[axis].start, part[axis].stop)
            edges = low[axis] - self.reach - self.starts[axis], high[axis] + self.reach - self.starts[axis]
            ends = sorted(edge / self.steps[axis] for edge in edges)
            first, last = max(math.ceil(ends[0]), begin), min(math.floor(ends[1]), end - 1)
            if first > last:
                return None
            slices.append(slice(first - begin, last + 1 - begin))
        return slices[0], slices[1], slices[2]

    def distance(self, solid: Solid, box: Box, grow: float = 0.0) -> torch.Tensor:
        """Of the voxels in `box`; a tube's far pieces are left out."""
        points = self.points[(slice(None), *box)]
        if not isinstance(solid, Tube):
            return solid.distance(points) - grow
        distance = torch.full(points.shape[1:], FAR_MM, device=points.device)
        margin = grow + max(self.across, self.through)
        for piece in solid.pieces():
            low, high = piece.box()
            near = self.around(low - margin, high + margin, box)
            if near is not None:
                found = piece.distance(points[(slice(None), *near)])
                distance[near] = torch.minimum(distance[near], found)
        return distance - grow

    def paint(self, distance: torch.Tensor, box: Box, tissue: str | torch.Tensor, label: int | None = None) -> None:
        """What is inside becomes `tissue`, a name or places in the palette voxel by voxel; `label` None keeps labels,
        0 clears them. distance: (I, J, K) of the box, mm, of each voxel's centre.

        Each voxel takes the share of itself that lies inside, as for a flat face: it spans across (|nx| + |ny|) +
        through |nz| along the face's normal n, whose nz is the distance's slope from slice to slice.
        """
        i, j, k = (distance < 0.5 * max(self.across, self.through)).nonzero(as_tuple=True)
        if not len(i):
            return
        here = distance[i, j, k]
        width: torch.Tensor | float = self.across
        if distance.shape[2] > 1 and self.through > self.across:
            other = torch.where(k + 1 < distance.shape[2], k + 1, k - 1)
            slope = (distance[i, j, other] - here).abs_().div_(abs(self.steps[2])).clamp_(max=1.0)
            width = self.across + (self.through - self.across) * slope
        share = (0.5 - here / width).clamp_(0.0, 1.0)
        _, rows, columns = self.points.shape[1:]
        voxel = ((i + box[0].start) * rows + (j + box[1].start)) * columns + (k + box[2].start)
        colour = self.palette[PLACES[tissue]] if isinstance(tissue, str) else self.palette[tissue[i, j, k]]
        before = self.state[voxel]
        self.state[voxel] = before + (colour - before) * share[:, None]
        if label is not None:
            self.labels.view(-1)[voxel[share > 0.5]] = label

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
        margin = max(grow, 0.0) + self.through / 2
        box = self.around(low - margin, high + margin)
        if box is None:
            return
        distance = self.distance(solid, box, grow)
        if within is not None:
            distance = torch.maximum(distance, within[box])
        self.paint(distance, box, tissue, label)

    @property
    def everywhere(self) -> Box:
        i, j, k = self.points.shape[1:]
        return slice(0, i), slice(0, j), slice(0, k)
