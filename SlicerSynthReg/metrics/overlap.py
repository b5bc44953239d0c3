"""Overlap of label maps, masks and class maps: the Dice coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.image import Image


@dataclass(frozen=True)
class Overlap:
    """Dice coefficients, 0 to 1. per_label: of each structure scored. mean: unweighted over structures."""

    per_label: dict[int, float]
    mean: float


def overlap(fixed: Image, moved: Image, labels: Sequence[int] | None = None, minimum_voxels: int = 1) -> Overlap:
    """Return Dice = 2 |A and B| / (|A| + |B|) of each structure of two label maps (Dice 1945).

    fixed, moved: label images of one channel on the same grid. labels: structures to score (default: all of `fixed` but
    0, the background). minimum_voxels: smallest size of a structure in `fixed`; smaller ones are excluded, whatever
    `moved` contains. A structure missing from `moved` scores 0.
    Raises GeometryError (grid-mismatch); ImageError (not-labels, no-structure).
    """
    fixed.grid.require_same(moved.grid, "the moved labels")
    for image in (fixed, moved):
        if image.kind != "labels" or image.data.shape[0] != 1:
            raise ImageError(
                f"Found {image.data.shape[0]} channels of kind {image.kind!r}, expected one channel of labels. "
                "Read the file with kind='labels'.",
                code="not-labels",
            )
    values, codes = torch.unique(torch.stack([fixed.data.cpu().long(), moved.data.cpu().long()]), return_inverse=True)
    sizes = torch.bincount(codes[0].flatten(), minlength=len(values)).tolist()
    scores = dice_of_counts(overlap_counts(codes[0], codes[1], len(values)).double()).tolist()
    wanted = None if labels is None else set(labels)
    per_label = {
        int(value): score
        for value, size, score in zip(values.tolist(), sizes, scores)
        if size >= max(1, minimum_voxels) and (value != 0 if wanted is None else value in wanted)
    }
    if not per_label:
        raise ImageError(
            f"Found no structure of at least {minimum_voxels} voxels in the fixed labels, expected one or more. "
            "Lower minimum_voxels, or give the label map that belongs to the fixed image.",
            code="no-structure",
        )
    return Overlap(per_label, sum(per_label.values()) / len(per_label))


def dice(a: torch.Tensor, b: torch.Tensor, weight: torch.Tensor | None = None, empty: float = 1.0) -> float:
    """Return 2 sum w a b / sum w (a + b) of two masks or probability maps in [0, 1] of one shape (Dice 1945).

    weight: w, non-negative, broadcastable to that shape; None for 1. empty: the result if both are empty.
    """
    both, total = (a * b, a + b) if a.is_floating_point() or b.is_floating_point() else (a & b, a.int() + b.int())
    if weight is not None:
        both, total = weight * both, weight * total
    size = float(total.sum())
    return 2 * float(both.sum()) / size if size else empty


def overlap_counts(a: torch.Tensor, b: torch.Tensor, classes: int) -> torch.Tensor:
    """Return (2, classes) voxel counts of two class maps of one shape (integers 0 to classes - 1), on their device: of
    the intersection, and the sum of both sizes. Counts of several images add up; `dice_of_counts` takes the sum."""
    a, b = a.flatten().long(), b.flatten().long()
    both, size_a, size_b = (torch.bincount(part, minlength=classes) for part in (a[a == b], a, b))
    return torch.stack([both, size_a + size_b])


def dice_of_counts(counts: torch.Tensor) -> torch.Tensor:
    """Return the Dice coefficient of each class, from (2, classes) `overlap_counts`; 0 for a class in neither map."""
    return 2 * counts[0] / counts[1].clamp_min(1)
