"""One reader at one study: what to show next, and every answer into the log. All that a panel needs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

from SlicerSynthReg.reading.chain import Entry
from SlicerSynthReg.reading.log import SUFFIX, AnswerLog, Clock, utc_now
from SlicerSynthReg.reading.names import file_stem, same_reader
from SlicerSynthReg.reading.question import StudyError
from SlicerSynthReg.reading.schedule import Item, schedule
from SlicerSynthReg.reading.study import Study

ANSWERS = "answers"
BEGIN, SHOW, ANSWER, CORRECTION, PAUSE, RESUME = "begin", "show", "answer", "correction", "pause", "resume"
COMPLETE, UNBLIND = "complete", "unblind"


def log_path(study: Study, reader: str, folder: Path | None = None) -> Path:
    """Where the answers of a reader are kept: one file a reader, in `answers` of the study's folder by default."""
    return (study.folder / ANSWERS if folder is None else folder) / (file_stem(reader) + SUFFIX)


class Reading:
    """A session of one reader; the first one of a reader begins the log, a later one goes on where it stopped.

    folder: where the logs are kept (default: `answers` in the study's folder). clock, timer: the time of day, and
    seconds that only ever grow. Use: `show()` when the images of `current` are on the screen, `answer(...)` when the
    reader has decided, until `current` is None. Close it in the end; a crash loses at most what was not yet answered.
    Errors: StudyError where images are missing, the log is in use, damaged or of another state of the study file.

    items: all showings in this reader's order. answers: the valid answers by item number, corrections applied.
    recovered: whether a crash had torn the last line; tell the reader that all answers given are there.
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
        self.study, self.reader = study, same_reader(reader)
        self.items = schedule(study, reader)
        self._timer = timer
        self._started: float | None = None
        self._elapsed = 0.0
        self._shown = False
        self._log = AnswerLog(log_path(study, reader, folder), clock)
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
                "file the reader began with, or keep this reader's log apart and begin again."
            )
        if begun is None:
            self._log.append(BEGIN, {**identity, "title": self.study.title})
        self.answers: dict[int, Entry] = standing_answers(self._log.entries)
        self._note_completion()

    @property
    def current(self) -> Item | None:
        """The item to show; None when all are answered."""
        return next((item for item in self.items if item.number not in self.answers), None)

    @property
    def complete(self) -> bool:
        return self.current is None

    @property
    def unblinded(self) -> bool:
        return any(entry["kind"] == UNBLIND for entry in self._log.entries)

    @property
    def paused(self) -> bool:
        """Whether a shown case's clock stands still."""
        return self._started is None

    @property
    def seconds(self) -> float:
        """Time the current item has been on the screen, pauses left out."""
        return self._elapsed + (0.0 if self._started is None else self._timer() - self._started)

    @property
    def remaining_s(self) -> float | None:
        """Until the time limit, not below 0; None where there is none."""
        limit = None if self.current is None else self.current.part.time_limit_s
        return None if limit is None else max(0.0, limit - self.seconds)

    def show(self) -> Item:
        """Call when the current item's images can be seen: its clock starts, and the log notes it."""
        item = self._require_current()
        self._log.append(SHOW, {"number": item.number, "case": item.case.token})
        self._elapsed, self._started, self._shown = 0.0, self._timer(), True
        return item

    def pause(self) -> None:
        """The clock stops; hide the images. Nothing where it stands already."""
        if self._started is not None:
            self._elapsed, self._started = self.seconds, None
            self._log.append(PAUSE, {"number": self._require_current().number})

    def resume(self) -> None:
        """The clock goes on. Nothing where it runs, or where nothing was shown."""
        if self._started is None and self._shown:
            self._log.append(RESUME, {"number": self._require_current().number})
            self._started = self._timer()

    def answer(self, answers: Mapping[str, Any], timed_out: bool = False) -> Item | None:
        """Log the answers to the current item's questions (name -> answer, see Question) and return the next item.

        timed_out: the limit has passed; questions may then be left without an answer. When this returns, the answers
        are on the disk. StudyError for a missing or unsound answer, an item not shown, or after unblinding.
        """
        item = self._require_current()
        self._require_blind()
        if not self._shown:
            raise StudyError("Found an answer before the case was shown, expected show() first.")
        checked = _checked(item, answers, timed_out)
        entry = self._log.append(
            ANSWER,
            {
                "number": item.number,
                "part": item.part.name,
                "case": item.case.token,
                "repeat": item.repeat,
                "images": [image.token for image in item.images],
                "answers": checked,
                "seconds": round(self.seconds, 3),
                "timed_out": timed_out,
            },
        )
        self.answers[item.number] = entry
        self._elapsed, self._started, self._shown = 0.0, None, False
        self._note_completion()
        return self.current

    def correct(self, number: int, answers: Mapping[str, Any], reason: str) -> None:
        """A new answer in place of an earlier one, which stays in the log. StudyError after unblinding, for an item
        not answered yet, and without a reason."""
        self._require_blind()
        if number not in self.answers or not reason.strip():
            raise StudyError(
                f"Found a correction of item {number} {'without a reason' if number in self.answers else 'unanswered'}"
                ", expected an answered item and why it is corrected."
            )
        before = self.answers[number]
        checked = _checked(self.items[number - 1], answers, False)
        kept = {name: before[name] for name in ("number", "part", "case", "repeat", "images", "seconds")}
        fields = {**kept, "answers": checked, "of": before["n"], "reason": reason.strip(), "timed_out": False}
        self.answers[number] = self._log.append(CORRECTION, fields)

    def close(self) -> None:
        """A shown case that was not answered is shown again next time."""
        self._log.close()

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _note_completion(self) -> None:
        """Once, also where a crash followed the last answer."""
        if self.complete and all(entry["kind"] != COMPLETE for entry in self._log.entries):
            self._log.append(COMPLETE, {"items": len(self.items)})

    def _require_current(self) -> Item:
        if self.current is None:
            raise StudyError("Found nothing left to read, expected an open item. The study is complete: thank you.")
        return self.current

    def _require_blind(self) -> None:
        if self.unblinded:
            raise StudyError("Found that this log is unblinded, expected no answers after that. The reading is closed.")


def standing_answers(entries: tuple[Entry, ...]) -> dict[int, Entry]:
    """The last answer to each item, by its number, corrections in place of what they correct."""
    return {entry["number"]: entry for entry in entries if entry["kind"] in (ANSWER, CORRECTION)}


def _checked(item: Item, answers: Mapping[str, Any], timed_out: bool) -> dict[str, Any]:
    names = {question.name for question in item.part.questions}
    strange = sorted(set(answers) - names)
    if strange:
        raise StudyError(f"Found answers to {', '.join(strange)}, expected only {', '.join(sorted(names))}.")
    given = {question: answers.get(question.name) for question in item.part.questions}
    return {
        question.name: None if timed_out and answer in (None, "") else question.checked(answer)
        for question, answer in given.items()
    }
