"""An image as a stack of axial slices, for any order and direction of its array axes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from nibabel.orientations import io_orientation

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.spatial.grid import Grid


@dataclass(frozen=True)
class AxialView:
    """Permutation and flips between an image array and its axial stack; nothing is resampled.

    order: array axes that are closest to S, R and A. flips: dimensions of the stack to reverse so that they increase
    towards S, R and A.
    """

    order: tuple[int, int, int]
    flips: tuple[int, ...]

    @classmethod
    def of(cls, grid: Grid) -> AxialView:
        """Return the view of images on `grid`."""
        found = io_orientation(grid.affine)
        axis_of = {int(world): axis for axis, (world, _) in enumerate(found)}
        order = axis_of[2], axis_of[0], axis_of[1]
        return cls(order, tuple(n for n, axis in enumerate(order) if found[axis, 1] < 0))

    def slices(self, data: torch.Tensor) -> torch.Tensor:
        """Return `data` (I, J, K) as (slices towards S, rows towards R, columns towards A)."""
        return data.permute(self.order).flip(self.flips)

    def unstack(self, stack: torch.Tensor) -> torch.Tensor:
        """Return an axial stack as an array (I, J, K): the inverse of `slices`."""
        back = tuple(self.order.index(axis) for axis in range(3))
        return stack.flip(self.flips).permute(back)

    def spacing_mm(self, grid: Grid) -> tuple[float, float, float]:
        """Return the distances of slices, rows and columns in mm."""
        slices, rows, columns = (float(grid.spacing[axis]) for axis in self.order)
        return slices, rows, columns

    def count(self, grid: Grid) -> int:
        """Return the number of axial slices."""
        return grid.shape[self.order[0]]


def axial_slab(image: Image, low: int, high: int) -> Image:
    """Return the axial slices low <= n < high of `image`, n = 0 the lowest, on their part of the grid."""
    view = AxialView.of(image.grid)
    axis = view.order[0]
    count = image.grid.shape[axis]
    start, end = (count - high, count - low) if 0 in view.flips else (low, high)
    bounds = [(start, end) if n == axis else (0, size) for n, size in enumerate(image.grid.shape)]
    grid = image.grid.cropped([a for a, _ in bounds], [b for _, b in bounds])
    return Image(image.data.narrow(1 + axis, start, end - start), grid, image.kind, image.name)
