"""Reading session of one reader: the next item, timing, and logging of responses. The panel's interface."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

from SlicerSynthReg.errors import StudyError
from SlicerSynthReg.reader_study.hash_chain import Entry
from SlicerSynthReg.reader_study.response_log import SUFFIX, Clock, ResponseLog, utc_now
from SlicerSynthReg.reader_study.schedule import ReadingItem, normalise_reader_name, reader_file_stem, reading_schedule
from SlicerSynthReg.reader_study.study import Study

RESPONSE_FOLDER = "answers"
BEGIN, SHOW, ANSWER, CORRECTION, PAUSE, RESUME = "begin", "show", "answer", "correction", "pause", "resume"
COMPLETE, UNBLIND = "complete", "unblind"


def log_path(study: Study, reader: str, folder: Path | None = None) -> Path:
    """Return the path of a reader's response log, by default in `answers` of the study's folder."""
    return (study.folder / RESPONSE_FOLDER if folder is None else folder) / (reader_file_stem(reader) + SUFFIX)


class ReadingSession:
    """A session of one reader; the first creates the response log, later ones resume.

    folder: of the logs (default: `answers` in the study's folder). clock: time of day. timer: monotonic seconds. Call
    `show()` when the images of `current` are displayed and `answer(...)` when the reader has decided, until `current`
    is None; then `close()`. A crash loses at most the unanswered item. Raises StudyError for missing images
    ("images-missing") and for a log that is in use, damaged or of another study file ("log-in-use", "log-damaged",
    "log-mismatch").

    items: all presentations in this reader's order. answers: item number -> current answer. recovered: whether a line
    torn by a crash was found; all acknowledged answers are complete.
    """

    def __init__(
        self,
        study: Study,
        reader: str,
        folder: Path | None = None,
        clock: Clock = utc_now,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        study.require_images()
        self.study, self.reader = study, normalise_reader_name(reader)
        self.items = reading_schedule(study, reader)
        self._timer = timer
        self._started: float | None = None
        self._elapsed = 0.0
        self._shown = False
        self._log = ResponseLog(log_path(study, reader, folder), clock)
        self.recovered = self._log.recovered
        try:
            self._begin()
        except BaseException:
            self._log.close()
            raise

    def _begin(self) -> None:
        identity = {"study": self.study.fingerprint, "reader": self.reader}
        begun = next((entry for entry in self._log.entries if entry["kind"] == BEGIN), None)
        if begun is not None and {name: begun[name] for name in identity} != identity:
            raise StudyError(
                "Found a log that was begun with another state of the study file, expected the same. Restore the study "
                "file the reader began with, or keep this reader's log apart and begin again.",
                code="log-mismatch",
            )
        if begun is None:
            self._log.append(BEGIN, {**identity, "title": self.study.title})
        self.answers: dict[int, Entry] = current_answers(self._log.entries)
        self._log_completion()

    @property
    def current(self) -> ReadingItem | None:
        """The next item; None when all are answered."""
        return next((item for item in self.items if item.number not in self.answers), None)

    @property
    def complete(self) -> bool:
        """Whether all items are answered."""
        return self.current is None

    @property
    def unblinded(self) -> bool:
        """Whether the log is unblinded, and accepts no more answers."""
        return any(entry["kind"] == UNBLIND for entry in self._log.entries)

    @property
    def paused(self) -> bool:
        """Whether the timer is stopped."""
        return self._started is None

    @property
    def seconds(self) -> float:
        """Display time of the current item without pauses, in seconds."""
        return self._elapsed + (0.0 if self._started is None else self._timer() - self._started)

    @property
    def remaining_s(self) -> float | None:
        """Remaining seconds until the time limit, at least 0; None without a limit."""
        limit = None if self.current is None else self.current.part.time_limit_s
        return None if limit is None else max(0.0, limit - self.seconds)

    def show(self) -> ReadingItem:
        """Start the timer of the current item and log it; call it when the images are displayed."""
        item = self._require_current()
        self._log.append(SHOW, {"number": item.number, "case": item.case.token})
        self._elapsed, self._started, self._shown = 0.0, self._timer(), True
        return item

    def pause(self) -> None:
        """Stop the timer; the caller hides the images. No effect while paused."""
        if self._started is not None:
            self._elapsed, self._started = self.seconds, None
            self._log.append(PAUSE, {"number": self._require_current().number})

    def resume(self) -> None:
        """Restart the timer. No effect while it runs or before `show`."""
        if self._started is None and self._shown:
            self._log.append(RESUME, {"number": self._require_current().number})
            self._started = self._timer()

    def answer(self, answers: Mapping[str, Any], timed_out: bool = False) -> ReadingItem | None:
        """Log the answers to the current item's questions (name -> answer) and return the next item.

        timed_out: the limit has passed; questions may then stay unanswered. The answers are on the disk on return.
        Raises StudyError ("answer-missing", "answer-invalid", "case-not-shown", "reading-unblinded").
        """
        item = self._require_current()
        self._require_blind()
        if not self._shown:
            raise StudyError("Found an answer before the case was shown, expected show() first.", code="case-not-shown")
        validated = _validated(item, answers, timed_out)
        entry = self._log.append(
            ANSWER,
            {
                "number": item.number,
                "part": item.part.name,
                "case": item.case.token,
                "repeat": item.repeat,
                "images": [image.token for image in item.images],
                "answers": validated,
                "seconds": round(self.seconds, 3),
                "timed_out": timed_out,
            },
        )
        self.answers[item.number] = entry
        self._elapsed, self._started, self._shown = 0.0, None, False
        self._log_completion()
        return self.current

    def correct(self, number: int, answers: Mapping[str, Any], reason: str) -> None:
        """Replace an earlier answer, which stays in the log. Raises StudyError ("correction-invalid" for an unanswered
        item or without a reason, "reading-unblinded")."""
        self._require_blind()
        if number not in self.answers or not reason.strip():
            raise StudyError(
                f"Found a correction of item {number} {'without a reason' if number in self.answers else 'unanswered'}"
                ", expected an answered item and why it is corrected.",
                code="correction-invalid",
            )
        before = self.answers[number]
        validated = _validated(self.items[number - 1], answers, False)
        kept = {name: before[name] for name in ("number", "part", "case", "repeat", "images", "seconds")}
        fields = {**kept, "answers": validated, "of": before["n"], "reason": reason.strip(), "timed_out": False}
        self.answers[number] = self._log.append(CORRECTION, fields)

    def close(self) -> None:
        """Close the log; an item without an answer is presented again in the next session."""
        self._log.close()

    def __enter__(self) -> ReadingSession:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _log_completion(self) -> None:
        """Log the completion once, also if a crash followed the last answer."""
        if self.complete and all(entry["kind"] != COMPLETE for entry in self._log.entries):
            self._log.append(COMPLETE, {"items": len(self.items)})

    def _require_current(self) -> ReadingItem:
        if self.current is None:
            raise StudyError(
                "Found nothing left to read, expected an open item. The study is complete: thank you.",
                code="reading-complete",
            )
        return self.current

    def _require_blind(self) -> None:
        if self.unblinded:
            raise StudyError(
                "Found an unblinded log, expected no answers after unblinding. The reading is closed.",
                code="reading-unblinded",
            )


def current_answers(entries: tuple[Entry, ...]) -> dict[int, Entry]:
    """Return item number -> last answer, with corrections applied."""
    return {entry["number"]: entry for entry in entries if entry["kind"] in (ANSWER, CORRECTION)}


def _validated(item: ReadingItem, answers: Mapping[str, Any], timed_out: bool) -> dict[str, Any]:
    names = {question.name for question in item.part.questions}
    unknown = sorted(set(answers) - names)
    if unknown:
        raise StudyError(
            f"Found answers to {', '.join(unknown)}, expected only {', '.join(sorted(names))}.", code="answer-unknown"
        )
    given = {question: answers.get(question.name) for question in item.part.questions}
    return {
        question.name: None if timed_out and answer in (None, "") else question.validate(answer)
        for question, answer in given.items()
    }
