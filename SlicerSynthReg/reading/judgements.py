"""Answers beside the truth: the logs and the key, joined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from SlicerSynthReg.reading.chain import Entry
from SlicerSynthReg.reading.key import CaseTruth, Key
from SlicerSynthReg.reading.question import GENERATED, LANDMARKS, PAIR, SIDES, UNKNOWN, Question
from SlicerSynthReg.reading.session import CORRECTION, standing_answers
from SlicerSynthReg.reading.study import Study


@dataclass(frozen=True)
class Judgement:
    """One reader's answer to one question at one showing.

    answer: as logged (see Question), None where there is none. truth: the side of the generated image, the role of the
    single image, the expert's places by point, or None where there is none. repeat: 0 for the first showing.
    """

    reader: str
    part: str
    question: Question
    case: str
    repeat: int
    answer: Any
    truth: Any
    seconds: float
    timed_out: bool
    corrected: bool

    @property
    def choice(self) -> str | None:
        """Of a pair or single question."""
        return None if self.answer is None else self.answer["choice"]

    @property
    def is_correct(self) -> bool | None:
        return None if self.answer is None or self.truth is None else self.choice == self.truth


def judgements(study: Study, key: Key, logs: Mapping[str, tuple[Entry, ...]]) -> tuple[Judgement, ...]:
    """Every standing answer of every reader, in the order of readers and items."""
    truths = {case.token: case for case in key.cases}
    joined = []
    for reader, entries in logs.items():
        for _, entry in sorted(standing_answers(entries).items()):
            for question in study.part(entry["part"]).questions:
                joined.append(
                    Judgement(
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


def _truth(question: Question, entry: Entry, case: CaseTruth) -> Any:
    """Sides are taken from the log, which says what was shown where."""
    if question.kind == LANDMARKS:
        return case.landmarks or None
    roles = [case.images[token] for token in entry["images"]]
    if question.kind == PAIR:
        return SIDES[roles.index(GENERATED)]
    return roles[0] if len(roles) == 1 and roles[0] != UNKNOWN else None
