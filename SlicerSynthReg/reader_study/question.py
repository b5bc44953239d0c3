"""Questions of a reading study and the validation of their answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from SlicerSynthReg.errors import StudyError

PAIR, SINGLE, LIKERT, TEXT, LANDMARKS = "pair", "single", "likert", "text", "landmarks"
KINDS = (PAIR, SINGLE, LIKERT, TEXT, LANDMARKS)
SIDES = ("left", "right")
REAL, GENERATED, UNKNOWN = "real", "generated", "image"
ROLES = (REAL, GENERATED, UNKNOWN)
MAX_TEXT_LENGTH = 10_000


@dataclass(frozen=True)
class ReadingQuestion:
    """One question about a case, with its kind and the form of its answer.

    "pair"       two-alternative forced choice, which image is generated: {"choice": "left" | "right", "confidence":
                 int | None}
    "single"     yes-no task, role of the image: {"choice": "real" | "generated", "confidence": int | None}
    "likert"     grade, 1 to len(levels): int
    "text"       free text: str
    "landmarks"  position of each of `points`: {point: [R, A, S] in mm, or None if not visible}

    name: identifier, unique within its part. text: as shown to the reader. confidence: number of grades of certainty
    beside a pair or single choice, 1 the lowest; 0: none. required: whether an answer is mandatory.
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
            raise StudyError(
                f"Found the kind {self.kind!r} in {where}, expected one of {', '.join(KINDS)}.", code="question-invalid"
            )
        if not self.name.replace("_", "").replace("-", "").isalnum():
            raise StudyError(
                f"Found {where}, expected a name of letters, digits, - and _. Rename it.", code="question-invalid"
            )
        if not self.text.strip():
            raise StudyError(
                f"Found no text in {where}, expected the text that the reader sees.", code="question-invalid"
            )
        _only_for(self, "levels", (LIKERT,), 2)
        _only_for(self, "points", (LANDMARKS,), 1)
        if self.confidence and (self.kind not in (PAIR, SINGLE) or not 2 <= self.confidence <= 100):
            raise StudyError(
                f"Found {self.confidence} grades of confidence in {where}, expected none, or 2 to 100 beside a pair or "
                "single choice.",
                code="question-invalid",
            )

    @property
    def choices(self) -> tuple[str, ...]:
        """Options of a pair or single question."""
        return {PAIR: SIDES, SINGLE: (REAL, GENERATED)}.get(self.kind, ())

    def validate(self, answer: Any) -> Any:
        """Return the answer as logged, None without one. Raises StudyError ("answer-missing", "answer-invalid")."""
        if answer is None or (self.kind == TEXT and isinstance(answer, str) and not answer.strip()):
            if self.required:
                raise StudyError(
                    f"Found no answer to {self.text!r}, expected {self._expected()}. Answer it to go on.",
                    code="answer-missing",
                )
            return None
        validators = {PAIR: self._choice, SINGLE: self._choice, LIKERT: self._grade, TEXT: self._text}
        return validators.get(self.kind, self._points)(answer)

    def _choice(self, answer: Any) -> dict[str, Any]:
        values = {"choice": answer} if isinstance(answer, str) else answer
        known = isinstance(values, Mapping) and set(values) <= {"choice", "confidence"}
        if not known or values.get("choice") not in self.choices:
            raise self._invalid(answer)
        grade = values.get("confidence")
        grades = range(1, self.confidence + 1)
        if (grade is None) != (self.confidence == 0) or (grade is not None and not _whole(grade, grades)):
            raise self._invalid(answer)
        return {"choice": values["choice"], "confidence": grade}

    def _grade(self, answer: Any) -> int:
        if not _whole(answer, range(1, len(self.levels) + 1)):
            raise self._invalid(answer)
        return int(answer)

    def _text(self, answer: Any) -> str:
        if not isinstance(answer, str) or len(answer) > MAX_TEXT_LENGTH:
            raise self._invalid(answer)
        return answer.encode("utf-8", "replace").decode("utf-8")  # replaces unpaired surrogates

    def _points(self, answer: Any) -> dict[str, list[float] | None]:
        if not isinstance(answer, Mapping) or set(answer) != set(self.points):
            raise self._invalid(answer)
        placed: dict[str, list[float] | None] = {}
        for point in self.points:
            place = None if answer[point] is None else [float(x) for x in answer[point]]
            if place is not None and (len(place) != 3 or not all(map(math.isfinite, place))):
                raise self._invalid(answer)
            placed[point] = place
        return placed

    def _invalid(self, answer: Any) -> StudyError:
        shown = repr(answer)
        return StudyError(
            f"Found the answer {shown[:80]} to {self.text!r}, expected {self._expected()}.", code="answer-invalid"
        )

    def _expected(self) -> str:
        if self.choices:
            sure = f", and a confidence of 1 to {self.confidence}" if self.confidence else ""
            return " or ".join(self.choices) + sure
        return {
            LIKERT: f"a grade of 1 to {len(self.levels)}",
            TEXT: f"text of at most {MAX_TEXT_LENGTH} characters",
            LANDMARKS: f"a position (R, A, S in mm) or none for each of {', '.join(self.points)}",
        }[self.kind]

    def to_json(self) -> dict[str, Any]:
        """Return the question as in the study file."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def _whole(value: Any, among: range) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in among


def _only_for(question: ReadingQuestion, field: str, kinds: tuple[str, ...], least: int) -> None:
    values = getattr(question, field)
    wanted = question.kind in kinds
    sound = len(values) >= least and all(value.strip() for value in values) if wanted else not values
    if not sound or len(set(values)) != len(values):
        expected = f"at least {least}, each once" if wanted else f"none: they belong to {' and '.join(kinds)}"
        raise StudyError(
            f"Found the {field} {list(values)} in the question {question.name!r}, expected {expected}.",
            code="question-invalid",
        )
