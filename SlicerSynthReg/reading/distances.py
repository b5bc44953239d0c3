"""Points that readers placed: how far from the expert's, and from each other's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from SlicerSynthReg.reading.judgements import Judgement
from SlicerSynthReg.reading.question import Question


@dataclass(frozen=True)
class PointDistances:
    """One point of one question, in mm. to_expert_mm: by reader, over the cases, NaN without an expert's place.

    between_readers_mm: mean over all two readers and cases, NaN for one reader. not_placed: how often it was left out.
    """

    point: str
    placed: int
    not_placed: int
    to_expert_mm: dict[str, float]
    between_readers_mm: float


def point_distances(question: Question, given: Sequence[Judgement]) -> tuple[PointDistances, ...]:
    """Mean distances of each point of `question`, over first showings."""
    return tuple(_of_point(point, [one for one in given if one.answer is not None]) for point in question.points)


def _of_point(point: str, given: Sequence[Judgement]) -> PointDistances:
    placed = [one for one in given if one.answer[point] is not None]
    readers = list(dict.fromkeys(one.reader for one in given))
    to_expert = {
        reader: _mean([_apart(one.answer[point], one.truth[point]) for one in placed
                       if one.reader == reader and one.truth and point in one.truth])
        for reader in readers
    }  # fmt: skip
    between = [
        _apart(a.answer[point], b.answer[point])
        for a, b in combinations(placed, 2)
        if a.case == b.case and a.reader != b.reader
    ]
    return PointDistances(point, len(placed), len(given) - len(placed), to_expert, _mean(between))


def _apart(a: Sequence[float], b: Sequence[float]) -> float:
    return float(np.linalg.norm(np.subtract(a, b)))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
