"""Statistics of a reading study per question, as records for pages and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from SlicerSynthReg.metrics.readers.agreement import (
    MISSING,
    NOMINAL,
    QUADRATIC,
    Agreement,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
)
from SlicerSynthReg.metrics.readers.detection import PAIRED, SINGLE, Sensitivity, d_prime
from SlicerSynthReg.metrics.readers.proportion import (
    ClusteredProportion,
    Proportion,
    clustered_proportion,
    proportion,
)
from SlicerSynthReg.metrics.roc import Roc, roc
from SlicerSynthReg.reader_study.blinding_key import BlindingKey
from SlicerSynthReg.reader_study.hash_chain import Entry
from SlicerSynthReg.reader_study.question import GENERATED, LANDMARKS, LIKERT, PAIR, REAL, TEXT, ReadingQuestion
from SlicerSynthReg.reader_study.responses import PointDistances, ScoredResponse, point_distances, score_responses
from SlicerSynthReg.reader_study.study import Study


@dataclass(frozen=True)
class IntraReaderAgreement:
    """Intra-reader agreement over cases presented twice. agreement: share of equal answers. kappa: None for too few."""

    agreement: Proportion
    kappa: Agreement | None


@dataclass(frozen=True)
class ReaderScore:
    """One reader's answers to one question, first presentations only. missing: presentations without an answer.

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
    repeats: IntraReaderAgreement | None = None


@dataclass(frozen=True)
class QuestionStatistics:
    """pooled: all readers' accuracy, with cases as clusters. agreement: Cohen's kappa of each pair of readers, Fleiss'
    kappa and Gwet's AC1 of all; for pairs, agreement in being correct. comments: (reader, case token, text)."""

    part: str
    question: ReadingQuestion
    readers: tuple[ReaderScore, ...]
    pooled: ClusteredProportion | None = None
    agreement: tuple[Agreement, ...] = ()
    distances: tuple[PointDistances, ...] = ()
    comments: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class ReadingTimes:
    """Reading times of one part, all presentations, without pauses. timed_out: presentations beyond the limit."""

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
    """unfinished: readers with items left. corrections: reader -> number of corrected answers."""

    title: str
    questions: tuple[QuestionStatistics, ...]
    times: tuple[ReadingTimes, ...]
    corrections: Mapping[str, int]
    unfinished: tuple[str, ...] = ()


def study_statistics(
    study: Study,
    key: BlindingKey,
    logs: Mapping[str, tuple[Entry, ...]],
    unfinished: Iterable[str] = (),
) -> StudyStatistics:
    """Return the statistics of `logs` (reader -> verified entries), with 95 % intervals."""
    joined = score_responses(study, key, logs)
    questions = []
    for part in study.parts:
        for question in part.questions:
            mine = [response for response in joined if response.part == part.name and response.question == question]
            questions.append(_question(part.name, question, mine, list(logs)))
    corrections = {reader: len({(j.part, j.case, j.repeat) for j in joined if j.corrected and j.reader == reader})
                   for reader in logs}  # fmt: skip
    return StudyStatistics(
        study.title, tuple(questions), tuple(_times(study, joined, logs)), corrections, tuple(unfinished)
    )


def _question(
    part: str, question: ReadingQuestion, mine: Sequence[ScoredResponse], readers: Sequence[str]
) -> QuestionStatistics:
    first = [response for response in mine if response.repeat == 0]
    scores = tuple(
        _score(question, reader, [response for response in mine if response.reader == reader]) for reader in readers
    )
    if question.kind == TEXT:
        comments = tuple((response.reader, response.case, response.answer) for response in mine if response.answer)
        return QuestionStatistics(part, question, scores, comments=comments)
    if question.kind == LANDMARKS:
        return QuestionStatistics(part, question, scores, distances=point_distances(question, first))
    right = [response for response in first if response.is_correct is not None] if question.choices else []
    pooled = None
    if right and len(readers) > 1:
        pooled = clustered_proportion(
            [bool(response.is_correct) for response in right], [response.case for response in right]
        )
    return QuestionStatistics(part, question, scores, pooled, _agreement(question, first, readers))


def _score(question: ReadingQuestion, reader: str, mine: Sequence[ScoredResponse]) -> ReaderScore:
    first = [response for response in mine if response.repeat == 0]
    given = [response for response in first if response.answer is not None]
    missing = len(first) - len(given)
    if question.choices:
        correct = [bool(response.is_correct) for response in given]
        accuracy = proportion(sum(correct), len(correct)) if given else None
        return ReaderScore(
            reader, len(given), missing, accuracy, _sensitivity(question, given),
            _graded_choices(question, given), repeats=_repeats(question, mine),
        )  # fmt: skip
    if question.kind == LIKERT:
        return ReaderScore(
            reader, len(given), missing, roc=_roc(given, [response.answer for response in given]),
            grades=_grades(question, given), repeats=_repeats(question, mine),
        )  # fmt: skip
    return ReaderScore(reader, len(given), missing)


def _sensitivity(question: ReadingQuestion, given: Sequence[ScoredResponse]) -> Sensitivity | None:
    """Return d' with the signal "generated image on the left", or "generated image"."""
    signal = question.choices[0] if question.kind == PAIR else GENERATED
    signals = [response for response in given if response.truth == signal]
    noises = [response for response in given if response.truth != signal]
    if not signals or not noises:
        return None
    hits, alarms = (sum(response.choice == signal for response in those) for those in (signals, noises))
    return d_prime(hits, len(signals), alarms, len(noises), PAIRED if question.kind == PAIR else SINGLE)


def _graded_choices(question: ReadingQuestion, given: Sequence[ScoredResponse]) -> Roc | None:
    """Return the ROC of single choices with confidence, from certainly real to certainly generated."""
    if question.kind == PAIR or not question.confidence:
        return None
    signs = {GENERATED: 1, REAL: -1}
    return _roc(given, [signs[response.answer["choice"]] * response.answer["confidence"] for response in given])


def _roc(given: Sequence[ScoredResponse], grades: Sequence[float]) -> Roc | None:
    known = [
        (grade, response.truth == GENERATED) for response, grade in zip(given, grades) if response.truth is not None
    ]
    signals = sum(signal for _, signal in known)
    if min(signals, len(known) - signals) < 2:
        return None
    return roc([grade for grade, _ in known], [signal for _, signal in known])


def _grades(question: ReadingQuestion, given: Sequence[ScoredResponse]) -> dict[str, tuple[int, ...]]:
    levels = range(1, len(question.levels) + 1)
    roles = list(dict.fromkeys(response.truth or "image" for response in given))
    return {
        role: tuple(
            sum(response.answer == grade for response in given if (response.truth or "image") == role)
            for grade in levels
        )
        for role in sorted(roles)
    }


def _category(question: ReadingQuestion, response: ScoredResponse) -> int:
    """Return the category for agreement; for pairs correct or not, because sides differ between readers."""
    if response.answer is None:
        return MISSING
    if question.kind == LIKERT:
        return int(response.answer) - 1
    return int(bool(response.is_correct)) if question.kind == PAIR else question.choices.index(str(response.choice))


def _categories(question: ReadingQuestion) -> tuple[int, str]:
    return (len(question.levels), QUADRATIC) if question.kind == LIKERT else (2, NOMINAL)


def _agreement(
    question: ReadingQuestion, first: Sequence[ScoredResponse], readers: Sequence[str]
) -> tuple[Agreement, ...]:
    """Return the agreement coefficients that the answers allow; unread cases count as missing."""
    categories, weights = _categories(question)
    cases = list(dict.fromkeys(response.case for response in first))
    rated = {(response.reader, response.case): _category(question, response) for response in first}
    columns = {reader: [rated.get((reader, case), MISSING) for case in cases] for reader in readers}
    found = []
    for a, b in combinations(readers, 2):
        if any(MISSING not in pair for pair in zip(columns[a], columns[b])):
            kappa = cohen_kappa(columns[a], columns[b], categories, weights)
            found.append(_named(kappa, f"{kappa.name}: {a} and {b}"))
    rows = list(zip(*columns.values()))
    if sum(sum(item != MISSING for item in row) > 1 for row in rows) > 1:
        found += [fleiss_kappa(rows, categories), gwet_ac1(rows, categories)]
    return tuple(found)


def _repeats(question: ReadingQuestion, mine: Sequence[ScoredResponse]) -> IntraReaderAgreement | None:
    categories, weights = _categories(question)
    first = {response.case: _category(question, response) for response in mine if response.repeat == 0}
    second = {response.case: _category(question, response) for response in mine if response.repeat == 1}
    both = [(first[case], grade) for case, grade in second.items() if MISSING not in (first.get(case, MISSING), grade)]
    if not both:
        return None
    before, after = zip(*both)
    agreement = proportion(sum(a == b for a, b in both), len(both))
    return IntraReaderAgreement(agreement, cohen_kappa(before, after, categories, weights) if len(both) > 1 else None)


def _named(agreement: Agreement, name: str) -> Agreement:
    return Agreement(**{**vars(agreement), "name": name})


def _times(study: Study, joined: Sequence[ScoredResponse], readers: Iterable[str]) -> Iterable[ReadingTimes]:
    for reader in readers:
        for part in study.parts:
            presentations = {
                (response.case, response.repeat): response
                for response in joined
                if (response.reader, response.part) == (reader, part.name)
            }
            seconds = [presentation.seconds for presentation in presentations.values()]
            if seconds:
                low, middle, high = (float(q) for q in np.percentile(seconds, [25, 50, 75]))
                late = sum(presentation.timed_out for presentation in presentations.values())
                yield ReadingTimes(
                    reader, part.name, len(seconds), middle, low, high, math.fsum(seconds), late, tuple(seconds)
                )
