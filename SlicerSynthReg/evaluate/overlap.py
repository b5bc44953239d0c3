"""Overlap of label maps: Dice of each structure and its mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from SlicerSynthReg.volume.volume import Volume, VolumeError


@dataclass(frozen=True)
class Overlap:
    """per_label: Dice of each structure scored, 0 to 1. mean: over structures, each counting the same."""

    per_label: dict[int, float]
    mean: float


def overlap(fixed: Volume, moved: Volume, labels: Sequence[int] | None = None, minimum_voxels: int = 1) -> Overlap:
    """Dice = 2 |A and B| / (|A| + |B|) of each structure (Dice 1945).

    fixed, moved: label volumes of one channel on the same grid. labels: which structures (default: all of `fixed` but
    0, the background). minimum_voxels: structures smaller than this in `fixed` are left out, whatever `moved` holds;
    one that is missing from `moved` scores 0.
    Errors: GeometryError for two grids; VolumeError for intensities, or where no structure is large enough.
    """
    fixed.grid.require_same(moved.grid, "the moved labels")
    for volume in (fixed, moved):
        if volume.kind != "labels" or volume.data.shape[0] != 1:
            raise VolumeError(
                f"Found {volume.data.shape[0]} channels of kind {volume.kind!r}, expected one channel of labels. "
                "Read the file with kind='labels'."
            )
    values, codes = torch.unique(torch.stack([fixed.data.cpu().long(), moved.data.cpu().long()]), return_inverse=True)
    a, b = codes[0].flatten(), codes[1].flatten()
    size_a, size_b, both = (torch.bincount(part, minlength=len(values)).tolist() for part in (a, b, a[a == b]))
    wanted = None if labels is None else set(labels)
    per_label = {
        int(value): 2 * both[n] / (size_a[n] + size_b[n])
        for n, value in enumerate(values.tolist())
        if size_a[n] >= max(1, minimum_voxels) and (value != 0 if wanted is None else value in wanted)
    }
    if not per_label:
        raise VolumeError(
            f"Found no structure of at least {minimum_voxels} voxels in the fixed labels, expected one or more. "
            "Lower minimum_voxels, or give the label map that belongs to the fixed image."
        )
    return Overlap(per_label, sum(per_label.values()) / len(per_label))
