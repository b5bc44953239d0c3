"""Warping of images, labels and Jacobian on the fixed grid, in slabs: a dense transform of a whole-body CT would take
more memory than the images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.spatial.differential import jacobian_determinant
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.label_resampling import resample_labels
from SlicerSynthReg.spatial.transform import Transform

MAX_SLAB_VOXELS = 2**25
"""Voxels whose transform is computed at once."""


@dataclass(frozen=True, eq=False)
class WarpedImages:
    """On the fixed grid: the moving image, its labels, and det dT/dx at each voxel."""

    image: Image
    labels: Image | None
    jacobian: Image


def warp_images(
    transform: Transform, grid: Grid, moving: Image, labels: Image | None, max_slab_voxels: int = MAX_SLAB_VOXELS
) -> WarpedImages:
    """Resample `moving` and its labels on `grid` through `transform` (fixed RAS mm -> moving RAS mm), each once."""
    image = torch.empty((len(moving.data), *grid.shape), dtype=moving.data.dtype)
    moved_labels = None if labels is None else torch.empty((1, *grid.shape), dtype=labels.data.dtype)
    jacobian = torch.empty((1, *grid.shape))
    for low, high in slice_ranges(grid, max_slab_voxels):
        first, last = max(low - 1, 0), min(high + 1, grid.shape[2])  # a neighbour on each side, for the slopes
        slab = grid.cropped((0, 0, first), (*grid.shape[:2], last))
        dense, inner = transform.on(slab), slice(low - first, high - first)
        image[..., low:high] = moving.resampled(slab, dense).data[..., inner]
        jacobian[..., low:high] = jacobian_determinant(dense.u_vox[None])[..., inner]
        if moved_labels is not None and labels is not None:
            moved_labels[..., low:high] = warp_labels(labels, slab, dense).data[..., inner]
    return WarpedImages(
        Image(image, grid, moving.kind, moving.name),
        None if moved_labels is None or labels is None else Image(moved_labels, grid, "labels", labels.name),
        Image(jacobian, grid, name="Jacobian determinant"),
    )


def warp_by_header(moving: Image, grid: Grid, max_slab_voxels: int = MAX_SLAB_VOXELS) -> Image:
    """Resample `moving` on `grid` without a transform."""
    image = torch.empty((len(moving.data), *grid.shape), dtype=moving.data.dtype)
    for low, high in slice_ranges(grid, max_slab_voxels):
        slab = grid.cropped((0, 0, low), (*grid.shape[:2], high))
        image[..., low:high] = moving.resampled(slab).data
    return Image(image, grid, moving.kind, moving.name)


def slice_ranges(grid: Grid, voxels: int) -> Iterator[tuple[int, int]]:
    """Yield (first, end) along the last axis, for slabs of at most `voxels`, or of one slice."""
    depth = max(1, voxels // math.prod(grid.shape[:2]))
    for low in range(0, grid.shape[2], depth):
        yield low, min(low + depth, grid.shape[2])


def warp_labels(labels: Image, grid: Grid, transform: Transform | None) -> Image:
    """Resample `labels` on `grid` through `transform` (RAS mm of `grid` -> RAS mm of the labels) by majority vote."""
    moved = resample_labels(labels.data[0], labels.grid, grid, transform)
    return Image(moved[None], grid, "labels", labels.name)
