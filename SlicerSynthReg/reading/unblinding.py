"""Opening the key: when every reader is done, or before by an act that is logged with its reason."""

from __future__ import annotations

import os
from pathlib import Path

from SlicerSynthReg.reading.chain import Entry
from SlicerSynthReg.reading.key import Key, read_key
from SlicerSynthReg.reading.log import SUFFIX, AnswerLog, check_log
from SlicerSynthReg.reading.names import same_reader
from SlicerSynthReg.reading.question import StudyError
from SlicerSynthReg.reading.schedule import schedule
from SlicerSynthReg.reading.session import ANSWERS, BEGIN, UNBLIND, log_path, standing_answers
from SlicerSynthReg.reading.study import Study


def verified_logs(study: Study, folder: Path | None = None) -> dict[str, tuple[Entry, ...]]:
    """Entries by reader, of every log of this study in `folder`.

    StudyError for a log that does not pass, naming file and line, and where there is none, or one of another study.
    """
    place = study.folder / ANSWERS if folder is None else folder
    logs: dict[str, tuple[Entry, ...]] = {}
    for path in sorted(place.glob(f"*{SUFFIX}")):
        found = check_log(path)
        if found.fault is not None:
            raise StudyError(
                f"Found that line {found.fault.line} of the log {path.name} {found.fault.text}; expected an untouched "
                "log. Nothing is computed from it. Restore the last copy, or leave the log out and say so."
            )
        begun = next((entry for entry in found.entries if entry["kind"] == BEGIN), None)
        if begun is None:
            continue
        if begun["study"] != study.fingerprint:
            raise StudyError(
                f"Found the log {path.name} of another study, or of another state of this one, expected logs of "
                f"{study.title!r} only. Move it elsewhere."
            )
        if begun["reader"] in logs:
            raise StudyError(f"Found two logs of one reader, the second {path.name}, expected one. Remove the copy.")
        logs[begun["reader"]] = found.entries
    if not logs:
        raise StudyError("Found no log with answers, expected one a reader. Check the folder of answers.")
    return logs


def unfinished(study: Study, logs: dict[str, tuple[Entry, ...]]) -> tuple[str, ...]:
    """Readers who have items left, those expected who have not begun included."""
    expected = dict.fromkeys([*map(same_reader, study.readers), *logs])
    answered = {reader: len(standing_answers(logs.get(reader, ()))) for reader in expected}
    return tuple(reader for reader in expected if answered[reader] < len(schedule(study, reader)))


def unblind(
    study: Study,
    by: str,
    reason: str = "",
    key: str | os.PathLike[str] | None = None,
    folder: Path | None = None,
) -> Key:
    """The key, after an entry in every log that says who opened it.

    by: whose act it is. reason: needed where readers are not finished; their logs take no answers afterwards. A log
    that is unblinded already gets no second entry. StudyError where a reader is not finished and no reason is given,
    where a log does not pass, or where the key is not the study's.
    """
    logs = verified_logs(study, folder)
    open_readers = unfinished(study, logs)
    if open_readers and not reason.strip():
        raise StudyError(
            f"Found {', '.join(open_readers)} not finished, expected a complete study before the key is opened. Let "
            "them finish, or give a reason: it is logged, and unfinished logs are closed."
        )
    opened = read_key(study, key)
    for reader, entries in logs.items():
        if not any(entry["kind"] == UNBLIND for entry in entries):
            log = AnswerLog(log_path(study, reader, folder))
            fields = {"by": same_reader(by), "reason": reason.strip(), "unfinished": list(open_readers)}
            log.append(UNBLIND, {**fields, "key": study.key_sha256})
            log.close()
    return opened
