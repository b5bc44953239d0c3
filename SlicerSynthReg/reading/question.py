"""What a reader is asked about a case, and which answers count as one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from SlicerSynthReg.request import RequestError

PAIR, SINGLE, LIKERT, TEXT, LANDMARKS = "pair", "single", "likert", "text", "landmarks"
KINDS = (PAIR, SINGLE, LIKERT, TEXT, LANDMARKS)
SIDES = ("left", "right")
REAL, GENERATED, UNKNOWN = "real", "generated", "image"
LONGEST_TEXT = 10_000


class StudyError(RequestError):
    """A study, key, log or answer that cannot be used; the text says found, expected, remedy, and names no patient."""


@dataclass(frozen=True)
class Question:
    """One question about one case, and the form of its answer (`checked`).

    kind and answer:
    "pair"       which of two images is the generated one: {"choice": "left" | "right", "confidence": int | None}
    "single"     what the one image is: {"choice": "real" | "generated", "confidence": int | None}
    "likert"     a grade, 1 to len(levels): int
    "text"       free text: str
    "landmarks"  a place for each of `points`: {point: [R, A, S] in mm, or None where it is not visible}

    name: short identifier, unique within its part; text: what the reader sees. confidence: number of grades of
    certainty asked beside a pair or single choice, 1 the least; 0 asks for none. required: whether it may be left out.
    """

    name: str
    kind: str
    text: str
    confidence: int = 0
    levels: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    required: bool = True

    def __post_init__(self) -> None:
        where = f"the question {self.name!r}"
        if self.kind not in KINDS:
            raise StudyError(f"Found the kind {self.kind!r} in {where}, expected one of {', '.join(KINDS)}.")
        if not self.name.replace("_", "").replace("-", "").isalnum():
            raise StudyError(f"Found {where}, expected a name of letters, digits, - and _. Rename it.")
        if not self.text.strip():
            raise StudyError(f"Found no text in {where}, expected what the reader is asked.")
        _only_for(self, "levels", (LIKERT,), 2)
        _only_for(self, "points", (LANDMARKS,), 1)
        if self.confidence and (self.kind not in (PAIR, SINGLE) or not 2 <= self.confidence <= 100):
            raise StudyError(
                f"Found {self.confidence} grades of confidence in {where}, expected none, or 2 to 100 beside a pair or "
                "single choice."
            )

    @property
    def choices(self) -> tuple[str, ...]:
        """What a pair or single question offers."""
        return {PAIR: SIDES, SINGLE: (REAL, GENERATED)}.get(self.kind, ())

    def checked(self, answer: Any) -> Any:
        """The answer as it is logged, None where none was given. StudyError for one of another form."""
        if answer is None or (self.kind == TEXT and isinstance(answer, str) and not answer.strip()):
            if self.required:
                raise StudyError(f"Found no answer to {self.text!r}, expected {self._expected()}. Answer it to go on.")
            return None
        check = {PAIR: self._choice, SINGLE: self._choice, LIKERT: self._grade, TEXT: self._text}
        return check.get(self.kind, self._places)(answer)

    def _choice(self, answer: Any) -> dict[str, Any]:
        values = {"choice": answer} if isinstance(answer, str) else answer
        known = isinstance(values, Mapping) and set(values) <= {"choice", "confidence"}
        if not known or values.get("choice") not in self.choices:
            raise self._refused(answer)
        grade = values.get("confidence")
        asked = range(1, self.confidence + 1)
        if (grade is None) != (self.confidence == 0) or (grade is not None and not _whole(grade, asked)):
            raise self._refused(answer)
        return {"choice": values["choice"], "confidence": grade}

    def _grade(self, answer: Any) -> int:
        if not _whole(answer, range(1, len(self.levels) + 1)):
            raise self._refused(answer)
        return int(answer)

    def _text(self, answer: Any) -> str:
        if not isinstance(answer, str) or len(answer) > LONGEST_TEXT:
            raise self._refused(answer)
        return answer.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair cannot be written

    def _places(self, answer: Any) -> dict[str, list[float] | None]:
        if not isinstance(answer, Mapping) or set(answer) != set(self.points):
            raise self._refused(answer)
        placed: dict[str, list[float] | None] = {}
        for point in self.points:
            place = None if answer[point] is None else [float(x) for x in answer[point]]
            if place is not None and (len(place) != 3 or not all(map(math.isfinite, place))):
                raise self._refused(answer)
            placed[point] = place
        return placed

    def _refused(self, answer: Any) -> StudyError:
        shown = repr(answer)
        return StudyError(f"Found the answer {shown[:80]} to {self.text!r}, expected {self._expected()}.")

    def _expected(self) -> str:
        if self.choices:
            sure = f", and a confidence of 1 to {self.confidence}" if self.confidence else ""
            return " or ".join(self.choices) + sure
        return {
            LIKERT: f"a grade of 1 to {len(self.levels)}",
            TEXT: f"text of at most {LONGEST_TEXT} characters",
            LANDMARKS: f"a place (R, A, S in mm) or none for each of {', '.join(self.points)}",
        }[self.kind]

    def to_json(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def _whole(value: Any, among: range) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in among


def _only_for(question: Question, field: str, kinds: tuple[str, ...], least: int) -> None:
    values = getattr(question, field)
    wanted = question.kind in kinds
    sound = len(values) >= least and all(value.strip() for value in values) if wanted else not values
    if not sound or len(set(values)) != len(values):
        expected = f"at least {least}, each once" if wanted else f"none: they belong to {' and '.join(kinds)}"
        raise StudyError(f"Found the {field} {list(values)} in the question {question.name!r}, expected {expected}.")
