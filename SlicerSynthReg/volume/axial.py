"""A volume as a stack of axial slices, whatever order and direction its axes are stored in, and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from nibabel.orientations import io_orientation

from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.volume.volume import Volume


@dataclass(frozen=True)
class AxialView:
    """order: array axes that run nearest to S, R and A. flips: dimensions of the stack that are turned round so that
    they run towards S, R and A. Nothing is resampled."""

    order: tuple[int, int, int]
    flips: tuple[int, ...]

    @classmethod
    def of(cls, grid: Grid) -> AxialView:
        found = io_orientation(grid.affine)
        axis_of = {int(world): axis for axis, (world, _) in enumerate(found)}
        order = axis_of[2], axis_of[0], axis_of[1]
        return cls(order, tuple(n for n, axis in enumerate(order) if found[axis, 1] < 0))

    def slices(self, data: torch.Tensor) -> torch.Tensor:
        """(I, J, K) -> (slices towards S, rows towards R, columns towards A)."""
        return data.permute(self.order).flip(self.flips)

    def volume(self, stack: torch.Tensor) -> torch.Tensor:
        """The inverse of `slices`."""
        back = tuple(self.order.index(axis) for axis in range(3))
        return stack.flip(self.flips).permute(back)

    def spacing_mm(self, grid: Grid) -> tuple[float, float, float]:
        """Distance of slices, rows and columns."""
        slices, rows, columns = (float(grid.spacing[axis]) for axis in self.order)
        return slices, rows, columns


def axial_slab(volume: Volume, low: int, high: int) -> Volume:
    """The axial slices from `low` to `high` - 1, counted from the lowest at 0, on their part of the grid."""
    view = AxialView.of(volume.grid)
    axis = view.order[0]
    count = volume.grid.shape[axis]
    start, end = (count - high, count - low) if 0 in view.flips else (low, high)
    bounds = [(start, end) if n == axis else (0, size) for n, size in enumerate(volume.grid.shape)]
    grid = volume.grid.cropped([a for a, _ in bounds], [b for _, b in bounds])
    return Volume(volume.data.narrow(1 + axis, start, end - start), grid, volume.kind, volume.name)
