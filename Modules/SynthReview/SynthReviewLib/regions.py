"""Regions of a slice view that show image B: one side of the split line, or alternating blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
from SynthRegLib.review import Direction


@dataclass(frozen=True)
class SplitRegion:
    """position: of the line, relative to the view's width (or to its height, from the top)."""

    position: float
    direction: Direction

    def mask(self, node: slicer.vtkMRMLSliceNode) -> np.ndarray:
        """Return (height, width) bool, first row at the bottom as in VTK; True where B is shown."""
        width, height = node.GetDimensions()[:2]
        if self.direction is Direction.ACROSS:
            return np.broadcast_to(np.arange(width) >= self.line(node), (height, width))
        return np.broadcast_to((np.arange(height) < height - self.line(node))[:, None], (height, width))

    def line(self, node: slicer.vtkMRMLSliceNode) -> int:
        """Return the pixels of the line."""
        width, height = node.GetDimensions()[:2]
        return round(self.position * (width if self.direction is Direction.ACROSS else height))


@dataclass(frozen=True)
class Checkerboard:
    """Blocks of block_mm, fixed in the patient's space. offset_mm: shift along the view's axes, right and up."""

    block_mm: float
    offset_mm: tuple[float, float] = (0.0, 0.0)

    def mask(self, node: slicer.vtkMRMLSliceNode) -> np.ndarray:
        """Return (height, width) bool, first row at the bottom as in VTK; True where B is shown."""
        across, up = (np.floor(blocks).astype(int) for blocks in self.blocks(node))
        return (up[:, None] + across) % 2 == 1

    def blocks(self, node: slicer.vtkMRMLSliceNode) -> tuple[np.ndarray, np.ndarray]:
        """Return the position of each column (width,) and row (height,) in the patient's space, in blocks."""
        to_ras = slicer.util.arrayFromVTKMatrix(node.GetXYToRAS())
        places = []
        for axis, count in enumerate(node.GetDimensions()[:2]):
            unit = to_ras[:3, axis] / np.linalg.norm(to_ras[:3, axis])
            first, step = unit @ to_ras[:3, 3], unit @ to_ras[:3, axis]
            places.append((first + step * np.arange(count) - self.offset_mm[axis]) / self.block_mm)
        return places[0], places[1]

    def corner(self, node: slicer.vtkMRMLSliceNode) -> tuple[int, int]:
        """Return (x, y) of the block corner nearest to the centre of the view, y from the bottom."""
        nearest = []
        for places in self.blocks(node):
            middle = places[len(places) // 2]
            nearest.append(int(np.argmin(np.abs(places - round(middle)))))
        return nearest[0], nearest[1]
