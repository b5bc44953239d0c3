"""Painting of overlapping solids with partial volume at their edges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.synthesis.ct.solids import Solid, Tube
from SlicerSynthReg.synthesis.ct.tissue import TISSUE_INDEX, TISSUES

Box = tuple[slice, slice, slice]
NATIVE, GAIN, FINE, COARSE, HETEROGENEITY = range(5)
FAR_MM = 1e3


def tissue_palette(native: tuple[float, ...], enhancement: Mapping[str, float]) -> torch.Tensor:
    """Return (tissues, 5): native HU, enhancement in HU, SD of fine and coarse texture, SD of the enhancement in HU."""
    rows = []
    for name, tissue in TISSUES.items():
        gain = enhancement.get(tissue.uptake, 0.0)
        rows.append((native[TISSUE_INDEX[name]], gain, tissue.fine, tissue.coarse, tissue.heterogeneity * gain))
    return torch.tensor(rows)


@dataclass(eq=False)
class Canvas:
    """Tissue state of a slab.

    points: (3, I, J, K) body coordinates of the voxels, mm. axes: 1-D coordinates along each array axis before the
    body's deformation, which moves points by at most `reach` mm. palette: see `tissue_palette`; state: (I J K, 5) its
    values per voxel. labels: (I, J, K) uint8. across, through: voxel size in mm within and across slices (thickness).
    """

    points: torch.Tensor
    axes: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    reach: float
    palette: torch.Tensor
    across: float
    through: float

    def __post_init__(self) -> None:
        shape = self.points.shape[1:]
        self.state = torch.zeros((shape.numel(), self.palette.shape[1]), device=self.points.device)
        self.state[:, NATIVE] = -1000.0
        self.labels = torch.zeros(shape, dtype=torch.uint8, device=self.points.device)
        self.starts = [float(line[0]) for line in self.axes]
        self.steps = [float(line[1] - line[0]) if len(line) > 1 else 1.0 for line in self.axes]

    def layer(self, channel: int) -> torch.Tensor:
        """Return the channel NATIVE, GAIN, FINE, COARSE or HETEROGENEITY as (I, J, K)."""
        return self.state[:, channel].view(self.points.shape[1:])

    def bounding_slices(self, low: np.ndarray, high: np.ndarray, part: Box | None = None) -> Box | None:
        """Return the slices of voxels that may lie in the box from `low` to `high` (mm), or None if there are none.

        part: consider only these voxels, and count from their corner.
        """
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
        """Return the distance of the voxels in `box` to `solid` grown by `grow` mm, skipping distant tube segments."""
        points = self.points[(slice(None), *box)]
        if not isinstance(solid, Tube):
            return solid.distance(points) - grow
        distance = torch.full(points.shape[1:], FAR_MM, device=points.device)
        margin = grow + max(self.across, self.through)
        for segment in solid.segments():
            low, high = segment.box()
            near = self.bounding_slices(low - margin, high + margin, box)
            if near is not None:
                found = segment.distance(points[(slice(None), *near)])
                distance[near] = torch.minimum(distance[near], found)
        return distance - grow

    def paint(self, distance: torch.Tensor, box: Box, tissue: str | torch.Tensor, label: int | None = None) -> None:
        """Fill the inside of a surface with `tissue`.

        distance: (I, J, K) of `box`, mm, from each voxel's centre to the surface, negative inside. tissue: a name, or
        palette indices of the voxels of `box`. label: None keeps labels, 0 clears them. Each voxel takes the fraction
        of itself that lies inside, as for a plane: it extends across (|nx| + |ny|) + through |nz| along the normal n,
        whose nz is the slope of the distance between slices.
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
        colour = self.palette[TISSUE_INDEX[tissue]] if isinstance(tissue, str) else self.palette[tissue[i, j, k]]
        before = self.state[voxel]
        self.state[voxel] = before + (colour - before) * share[:, None]
        if label is not None:
            self.labels.view(-1)[voxel[share > 0.5]] = label

    def paint_solid(
        self,
        solid: Solid,
        tissue: str,
        label: int | None = None,
        within: torch.Tensor | None = None,
        grow: float = 0.0,
    ) -> None:
        """Paint a solid grown by `grow` mm. within: distance (I, J, K) to a surface that bounds it."""
        low, high = solid.box()
        margin = max(grow, 0.0) + self.through / 2
        box = self.bounding_slices(low - margin, high + margin)
        if box is None:
            return
        distance = self.distance(solid, box, grow)
        if within is not None:
            distance = torch.maximum(distance, within[box])
        self.paint(distance, box, tissue, label)

    @property
    def everywhere(self) -> Box:
        """Slices of all voxels."""
        i, j, k = self.points.shape[1:]
        return slice(0, i), slice(0, j), slice(0, k)
