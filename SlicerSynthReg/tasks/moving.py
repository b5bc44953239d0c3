"""What a transform makes of the moving image on the fixed grid: slab by slab, for a map of every voxel of a whole-body
CT at once would take more memory than the images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from SlicerSynthReg.space.differential import jacobian_determinant
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Transform
from SlicerSynthReg.space.voting import resample_labels
from SlicerSynthReg.volume.volume import Volume

SLAB_VOXELS = 2**25
"""At most so many voxels are mapped at once."""


@dataclass(frozen=True, eq=False)
class Moved:
    """On the fixed grid. before: the moving image by its header alone; jacobian: det dT/dx at each voxel."""

    image: Volume
    before: Volume
    labels: Volume | None
    jacobian: Volume


def moved_by(
    forward: Transform, grid: Grid, moving: Volume, labels: Volume | None, slab_voxels: int = SLAB_VOXELS
) -> Moved:
    """`moving` and its labels through `forward` (fixed world to moving world, RAS mm) on `grid`."""
    image, before = (torch.empty((len(moving.data), *grid.shape), dtype=moving.data.dtype) for _ in range(2))
    voted = None if labels is None else torch.empty((1, *grid.shape), dtype=labels.data.dtype)
    jacobian = torch.empty((1, *grid.shape))
    for low, high in slabs(grid, slab_voxels):
        first, last = max(low - 1, 0), min(high + 1, grid.shape[2])  # a neighbour on each side, for the slopes
        box = grid.cropped((0, 0, first), (*grid.shape[:2], last))
        dense, own = forward.on(box), slice(low - first, high - first)
        image[..., low:high] = moving.resampled(box, dense).data[..., own]
        before[..., low:high] = moving.resampled(box).data[..., own]
        jacobian[..., low:high] = jacobian_determinant(dense.u_vox[None])[..., own]
        if voted is not None and labels is not None:
            voted[..., low:high] = moved_labels(labels, box, dense).data[..., own]
    return Moved(
        Volume(image, grid, moving.kind, moving.name),
        Volume(before, grid, moving.kind, moving.name),
        None if voted is None or labels is None else Volume(voted, grid, "labels", labels.name),
        Volume(jacobian, grid, name="Jacobian determinant"),
    )


def slabs(grid: Grid, voxels: int) -> Iterator[tuple[int, int]]:
    """(first, end) along the last axis, so that a slab has at most `voxels` or is one slice."""
    depth = max(1, voxels // math.prod(grid.shape[:2]))
    for low in range(0, grid.shape[2], depth):
        yield low, min(low + depth, grid.shape[2])


def moved_labels(labels: Volume, grid: Grid, transform: Transform | None) -> Volume:
    """Labels on `grid` by the vote of their neighbours."""
    moved = resample_labels(labels.data[0], labels.grid, grid, transform)
    return Volume(moved[None], grid, "labels", labels.name)
