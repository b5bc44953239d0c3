"""What the readers' answers say, question by question, as records for pages and for JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from SlicerSynthReg.evaluate.readers.agreement import (
    MISSING,
    NOMINAL,
    QUADRATIC,
    Agreement,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
)
from SlicerSynthReg.evaluate.readers.detection import PAIRED, SINGLE, Roc, Sensitivity, d_prime, roc
from SlicerSynthReg.evaluate.readers.proportion import (
    ClusteredProportion,
    Proportion,
    clustered_proportion,
    proportion,
)
from SlicerSynthReg.reading.chain import Entry
from SlicerSynthReg.reading.distances import PointDistances, point_distances
from SlicerSynthReg.reading.judgements import Judgement, judgements
from SlicerSynthReg.reading.key import Key
from SlicerSynthReg.reading.question import GENERATED, LANDMARKS, LIKERT, PAIR, REAL, TEXT, Question
from SlicerSynthReg.reading.study import Study


@dataclass(frozen=True)
class Repeats:
    """A reader against himself, over cases shown twice. same: share of equal answers. kappa: None for too few."""

    same: Proportion
    kappa: Agreement | None


@dataclass(frozen=True)
class ReaderScore:
    """One reader's answers to one question, first showings only. missing: showings without an answer (time was up).

    accuracy, sensitivity: of pair and single choices. roc: of graded answers (choice and confidence, or Likert),
    signal is "generated". grades: role ("real", "generated", "image") -> number of answers of each Likert level.
    """

    reader: str
    answered: int
    missing: int
    accuracy: Proportion | None = None
    sensitivity: Sensitivity | None = None
    roc: Roc | None = None
    grades: Mapping[str, tuple[int, ...]] | None = None
    repeats: Repeats | None = None


@dataclass(frozen=True)
class QuestionStatistics:
    """together: all readers' accuracy, cases as clusters. agreement: Cohen's kappa of each two readers, then Fleiss'
    kappa and Gwet's AC1 of all; of pairs, whether they agree in being right. remarks: (reader, case token, text)."""

    part: str
    question: Question
    readers: tuple[ReaderScore, ...]
    together: ClusteredProportion | None = None
    agreement: tuple[Agreement, ...] = ()
    distances: tuple[PointDistances, ...] = ()
    remarks: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Times:
    """Seconds a case, of all showings in one part; pauses left out. timed_out: showings at which the limit passed."""

    reader: str
    part: str
    count: int
    median_s: float
    lower_quartile_s: float
    upper_quartile_s: float
    total_s: float
    timed_out: int
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class StudyStatistics:
    """unfinished: readers with items left. corrections: answers that were corrected, by reader."""

    title: str
    questions: tuple[QuestionStatistics, ...]
    times: tuple[Times, ...]
    corrections: Mapping[str, int]
    unfinished: tuple[str, ...] = ()


def study_statistics(
    study: Study,
    key: Key,
    logs: Mapping[str, tuple[Entry, ...]],
    unfinished: Iterable[str] = (),
) -> StudyStatistics:
    """Everything about `logs` (verified entries by reader); intervals of 95 %."""
    joined = judgements(study, key, logs)
    questions = []
    for part in study.parts:
        for question in part.questions:
            mine = [one for one in joined if one.part == part.name and one.question == question]
            questions.append(_question(part.name, question, mine, list(logs)))
    corrections = {reader: len({(j.part, j.case, j.repeat) for j in joined if j.corrected and j.reader == reader})
                   for reader in logs}  # fmt: skip
    return StudyStatistics(
        study.title, tuple(questions), tuple(_times(study, joined, logs)), corrections, tuple(unfinished)
    )


def _question(part: str, question: Question, mine: Sequence[Judgement], readers: Sequence[str]) -> QuestionStatistics:
    first = [one for one in mine if one.repeat == 0]
    scores = tuple(_score(question, reader, [one for one in mine if one.reader == reader]) for reader in readers)
    if question.kind == TEXT:
        remarks = tuple((one.reader, one.case, one.answer) for one in mine if one.answer)
        return QuestionStatistics(part, question, scores, remarks=remarks)
    if question.kind == LANDMARKS:
        return QuestionStatistics(part, question, scores, distances=point_distances(question, first))
    right = [one for one in first if one.is_correct is not None] if question.choices else []
    together = None
    if right and len(readers) > 1:
        together = clustered_proportion([bool(one.is_correct) for one in right], [one.case for one in right])
    return QuestionStatistics(part, question, scores, together, _agreement(question, first, readers))


def _score(question: Question, reader: str, mine: Sequence[Judgement]) -> ReaderScore:
    first = [one for one in mine if one.repeat == 0]
    given = [one for one in first if one.answer is not None]
    missing = len(first) - len(given)
    if question.choices:
        correct = [bool(one.is_correct) for one in given]
        accuracy = proportion(sum(correct), len(correct)) if given else None
        return ReaderScore(
            reader, len(given), missing, accuracy, _sensitivity(question, given),
            _graded_choices(question, given), repeats=_repeats(question, mine),
        )  # fmt: skip
    if question.kind == LIKERT:
        return ReaderScore(
            reader, len(given), missing, roc=_roc(given, [one.answer for one in given]),
            grades=_grades(question, given), repeats=_repeats(question, mine),
        )  # fmt: skip
    return ReaderScore(reader, len(given), missing)


def _sensitivity(question: Question, given: Sequence[Judgement]) -> Sensitivity | None:
    """Signal: the generated one on the left, or a generated image."""
    signal = question.choices[0] if question.kind == PAIR else GENERATED
    signals = [one for one in given if one.truth == signal]
    noises = [one for one in given if one.truth != signal]
    if not signals or not noises:
        return None
    hits, alarms = (sum(one.choice == signal for one in those) for those in (signals, noises))
    return d_prime(hits, len(signals), alarms, len(noises), PAIRED if question.kind == PAIR else SINGLE)


def _graded_choices(question: Question, given: Sequence[Judgement]) -> Roc | None:
    """Of single choices with confidence: from surely real to surely generated."""
    if question.kind == PAIR or not question.confidence:
        return None
    signs = {GENERATED: 1, REAL: -1}
    return _roc(given, [signs[one.answer["choice"]] * one.answer["confidence"] for one in given])


def _roc(given: Sequence[Judgement], grades: Sequence[float]) -> Roc | None:
    known = [(grade, one.truth == GENERATED) for one, grade in zip(given, grades) if one.truth is not None]
    signals = sum(signal for _, signal in known)
    if min(signals, len(known) - signals) < 2:
        return None
    return roc([grade for grade, _ in known], [signal for _, signal in known])


def _grades(question: Question, given: Sequence[Judgement]) -> dict[str, tuple[int, ...]]:
    levels = range(1, len(question.levels) + 1)
    roles = list(dict.fromkeys(one.truth or "image" for one in given))
    return {
        role: tuple(sum(one.answer == grade for one in given if (one.truth or "image") == role) for grade in levels)
        for role in sorted(roles)
    }


def _category(question: Question, one: Judgement) -> int:
    """For agreement. Sides differ between readers, so that pairs count as right or wrong."""
    if one.answer is None:
        return MISSING
    if question.kind == LIKERT:
        return int(one.answer) - 1
    return int(bool(one.is_correct)) if question.kind == PAIR else question.choices.index(str(one.choice))


def _categories(question: Question) -> tuple[int, str]:
    return (len(question.levels), QUADRATIC) if question.kind == LIKERT else (2, NOMINAL)


def _agreement(question: Question, first: Sequence[Judgement], readers: Sequence[str]) -> tuple[Agreement, ...]:
    """Coefficients that the answers allow; readers who have not read a case count as missing there."""
    categories, weights = _categories(question)
    cases = list(dict.fromkeys(one.case for one in first))
    rated = {(one.reader, one.case): _category(question, one) for one in first}
    columns = {reader: [rated.get((reader, case), MISSING) for case in cases] for reader in readers}
    found = []
    for a, b in combinations(readers, 2):
        if any(MISSING not in pair for pair in zip(columns[a], columns[b])):
            kappa = cohen_kappa(columns[a], columns[b], categories, weights)
            found.append(_named(kappa, f"{kappa.name}: {a} and {b}"))
    rows = list(zip(*columns.values()))
    if sum(sum(one != MISSING for one in row) > 1 for row in rows) > 1:
        found += [fleiss_kappa(rows, categories), gwet_ac1(rows, categories)]
    return tuple(found)


def _repeats(question: Question, mine: Sequence[Judgement]) -> Repeats | None:
    categories, weights = _categories(question)
    first = {one.case: _category(question, one) for one in mine if one.repeat == 0}
    second = {one.case: _category(question, one) for one in mine if one.repeat == 1}
    both = [(first[case], grade) for case, grade in second.items() if MISSING not in (first.get(case, MISSING), grade)]
    if not both:
        return None
    before, after = zip(*both)
    same = proportion(sum(a == b for a, b in both), len(both))
    return Repeats(same, cohen_kappa(before, after, categories, weights) if len(both) > 1 else None)


def _named(one: Agreement, name: str) -> Agreement:
    return Agreement(**{**vars(one), "name": name})


def _times(study: Study, joined: Sequence[Judgement], readers: Iterable[str]) -> Iterable[Times]:
    for reader in readers:
        for part in study.parts:
            shown = {(one.case, one.repeat): one for one in joined if (one.reader, one.part) == (reader, part.name)}
            seconds = [one.seconds for one in shown.values()]
            if seconds:
                low, middle, high = (float(q) for q in np.percentile(seconds, [25, 50, 75]))
                late = sum(one.timed_out for one in shown.values())
                yield Times(
                    reader, part.name, len(seconds), middle, low, high, math.fsum(seconds), late, tuple(seconds)
                )
