"""Responses scored against the reference standard: response logs joined with the blinding key."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from SlicerSynthReg.reader_study.blinding_key import BlindingKey, CaseTruth
from SlicerSynthReg.reader_study.hash_chain import Entry
from SlicerSynthReg.reader_study.question import GENERATED, LANDMARKS, PAIR, SIDES, UNKNOWN, ReadingQuestion
from SlicerSynthReg.reader_study.session import CORRECTION, current_answers
from SlicerSynthReg.reader_study.study import Study


@dataclass(frozen=True)
class ScoredResponse:
    """One reader's answer to one question at one presentation.

    answer: as logged (see ReadingQuestion), None without one. truth: the side of the generated image, the role of the
    single image, the expert's positions by point, or None. repeat: 0 for the first presentation.
    """

    reader: str
    part: str
    question: ReadingQuestion
    case: str
    repeat: int
    answer: Any
    truth: Any
    seconds: float
    timed_out: bool
    corrected: bool

    @property
    def choice(self) -> str | None:
        """The choice in a pair or single question."""
        return None if self.answer is None else self.answer["choice"]

    @property
    def is_correct(self) -> bool | None:
        """Whether the choice equals the reference; None without answer or reference."""
        return None if self.answer is None or self.truth is None else self.choice == self.truth


def score_responses(
    study: Study, key: BlindingKey, logs: Mapping[str, tuple[Entry, ...]]
) -> tuple[ScoredResponse, ...]:
    """Return the current answer of every reader to every question, in the order of readers and items."""
    truths = {case.token: case for case in key.cases}
    joined = []
    for reader, entries in logs.items():
        for _, entry in sorted(current_answers(entries).items()):
            for question in study.part(entry["part"]).questions:
                joined.append(
                    ScoredResponse(
                        reader,
                        entry["part"],
                        question,
                        entry["case"],
                        entry["repeat"],
                        entry["answers"][question.name],
                        _truth(question, entry, truths[entry["case"]]),
                        entry["seconds"],
                        entry["timed_out"],
                        entry["kind"] == CORRECTION,
                    )
                )
    return tuple(joined)


def _truth(question: ReadingQuestion, entry: Entry, case: CaseTruth) -> Any:
    """Return the reference of an answer; sides are taken from the log, which records what was shown where."""
    if question.kind == LANDMARKS:
        return case.landmarks or None
    roles = [case.images[token] for token in entry["images"]]
    if question.kind == PAIR:
        return SIDES[roles.index(GENERATED)]
    return roles[0] if len(roles) == 1 and roles[0] != UNKNOWN else None


@dataclass(frozen=True)
class PointDistances:
    """Distances of one landmark, in mm. to_expert_mm: reader -> mean over cases, NaN without an expert's position.

    between_readers_mm: mean over all pairs of readers and cases, NaN for one reader. not_placed: number of omissions.
    """

    point: str
    placed: int
    not_placed: int
    to_expert_mm: dict[str, float]
    between_readers_mm: float


def point_distances(question: ReadingQuestion, given: Sequence[ScoredResponse]) -> tuple[PointDistances, ...]:
    """Return the mean distances of each point of `question` over first presentations."""
    return tuple(
        _point_distances(point, [response for response in given if response.answer is not None])
        for point in question.points
    )


def _point_distances(point: str, given: Sequence[ScoredResponse]) -> PointDistances:
    placed = [response for response in given if response.answer[point] is not None]
    readers = list(dict.fromkeys(response.reader for response in given))
    to_expert = {
        reader: _mean([_distance(response.answer[point], response.truth[point]) for response in placed
                       if response.reader == reader and response.truth and point in response.truth])
        for reader in readers
    }  # fmt: skip
    between = [
        _distance(a.answer[point], b.answer[point])
        for a, b in combinations(placed, 2)
        if a.case == b.case and a.reader != b.reader
    ]
    return PointDistances(point, len(placed), len(given) - len(placed), to_expert, _mean(between))


def _distance(a: Sequence[float], b: Sequence[float]) -> float:
    return float(np.linalg.norm(np.subtract(a, b)))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
