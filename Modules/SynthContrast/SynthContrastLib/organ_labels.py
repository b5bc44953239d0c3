"""Numbering of a segmentation's organs for the backend, and their HU from the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import slicer
from SynthRegLib.labels import segment_names

from SlicerSynthReg.synthesis.ct.organs import ORGANS, organ_name

_FIRST = 1001
"""Above all numbers that TotalSegmentator gives, so that no organ is mistaken for another."""


@dataclass(frozen=True)
class OrganRow:
    """Median HU of one organ before and after."""

    name: str
    before: float
    after: float


def organ_numbers(labels: slicer.vtkMRMLNode | None) -> dict[str, int]:
    """Return segment name -> label. The aorta keeps its own number, as it determines the phase; label maps keep
    theirs."""
    names = [] if labels is None else list(dict.fromkeys(segment_names(labels)))
    return {name: ORGANS["aorta"] if name.strip().lower() == "aorta" else _FIRST + n for n, name in enumerate(names)}


def organ_rows(report: Mapping[str, Any], numbers: Mapping[str, int]) -> list[OrganRow]:
    """Return a row per segment in their order, or per label of a label map."""
    own = {organ_name(number): name for name, number in numbers.items()}
    rows = [OrganRow(own.get(one["name"], one["name"]), one["before"], one["after"]) for one in report["organs"]]
    order = {name: place for place, name in enumerate(numbers)}
    return sorted(rows, key=lambda row: order.get(row.name, -1))
