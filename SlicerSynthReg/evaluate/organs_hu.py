"""Hounsfield units organ by organ."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from SlicerSynthReg.synth.ct.organs import organ_name, organ_of
from SlicerSynthReg.volume.volume import Volume

SMALLEST_VOXELS = 30
OWN_NUMBERS = 9
"""Up to here people number their own few labels; TotalSegmentator's maps always hold higher numbers."""


@dataclass(frozen=True)
class OrganMedian:
    """Median HU over so many voxels."""

    hu: float
    voxels: int


def organ_medians(image: Volume, labels: Volume) -> dict[str, OrganMedian]:
    """By the organ's name, from labels as TotalSegmentator numbers them, parts of an organ together; a number that is
    none of theirs is called "label N", and so is each in a map without a number above OWN_NUMBERS. Organs of fewer
    than SMALLEST_VOXELS are left out, 0 is background.

    Errors: GeometryError where the grids differ.
    """
    image.grid.require_same(labels.grid, "the label map")
    hu, numbers = image.data[0], labels.data[0]
    inside = numbers != 0
    hu, numbers = hu[inside], numbers[inside]
    found: dict[str, list[torch.Tensor]] = {}
    known = len(numbers) > 0 and int(numbers.max()) > OWN_NUMBERS
    for value in numbers.unique().tolist():
        name = organ_name(organ_of(value) or value) if known else f"label {value}"
        found.setdefault(name, []).append(hu[numbers == value])
    values = {name: torch.cat(parts) for name, parts in found.items()}
    kept = {name: part for name, part in values.items() if len(part) >= SMALLEST_VOXELS}
    return {name: OrganMedian(float(part.median()), len(part)) for name, part in kept.items()}
