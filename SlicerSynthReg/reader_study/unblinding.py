"""Unblinding: reading the key when all readers have finished, or earlier with a logged reason."""

from __future__ import annotations

import os
from pathlib import Path

from SlicerSynthReg.errors import StudyError
from SlicerSynthReg.reader_study.blinding_key import BlindingKey, read_blinding_key
from SlicerSynthReg.reader_study.hash_chain import Entry
from SlicerSynthReg.reader_study.response_log import SUFFIX, ResponseLog, verify_log
from SlicerSynthReg.reader_study.schedule import normalise_reader_name, reading_schedule
from SlicerSynthReg.reader_study.session import BEGIN, RESPONSE_FOLDER, UNBLIND, current_answers, log_path
from SlicerSynthReg.reader_study.study import Study


def verified_logs(study: Study, folder: Path | None = None) -> dict[str, tuple[Entry, ...]]:
    """Return reader -> entries of every response log of this study in `folder`.

    Raises StudyError ("log-damaged", "log-mismatch", "log-duplicate", "log-missing").
    """
    place = study.folder / RESPONSE_FOLDER if folder is None else folder
    logs: dict[str, tuple[Entry, ...]] = {}
    for path in sorted(place.glob(f"*{SUFFIX}")):
        chain = verify_log(path)
        if chain.fault is not None:
            raise StudyError(
                f"Found that line {chain.fault.line} of the log {path.name} {chain.fault.text}; expected an unchanged "
                "log. Nothing is computed from it. Restore the last copy, or leave the log out and say so.",
                code="log-damaged",
            )
        begin = next((entry for entry in chain.entries if entry["kind"] == BEGIN), None)
        if begin is None:
            continue
        if begin["study"] != study.fingerprint:
            raise StudyError(
                f"Found the log {path.name} of another study, or of another state of this one, expected logs of "
                f"{study.title!r} only. Move it elsewhere.",
                code="log-mismatch",
            )
        if begin["reader"] in logs:
            raise StudyError(
                f"Found two logs of one reader, the second {path.name}, expected one. Remove the copy.",
                code="log-duplicate",
            )
        logs[begin["reader"]] = chain.entries
    if not logs:
        raise StudyError(
            "Found no log with answers, expected one a reader. Check the folder of answers.", code="log-missing"
        )
    return logs


def unfinished_readers(study: Study, logs: dict[str, tuple[Entry, ...]]) -> tuple[str, ...]:
    """Return the readers with items left, including expected readers who have not started."""
    expected = dict.fromkeys([*map(normalise_reader_name, study.readers), *logs])
    answered = {reader: len(current_answers(logs.get(reader, ()))) for reader in expected}
    return tuple(reader for reader in expected if answered[reader] < len(reading_schedule(study, reader)))


def unblind(
    study: Study,
    by: str,
    reason: str = "",
    key: str | os.PathLike[str] | None = None,
    folder: Path | None = None,
) -> BlindingKey:
    """Log the unblinding in every response log and return the key.

    by: name of the person. reason: required if readers have not finished; their logs accept no further answers. A log
    that is already unblinded gets no second entry. Raises StudyError ("study-unfinished", "log-*", "key-*").
    """
    logs = verified_logs(study, folder)
    open_readers = unfinished_readers(study, logs)
    if open_readers and not reason.strip():
        raise StudyError(
            f"Found {', '.join(open_readers)} not finished, expected a complete study before the key is opened. Let "
            "them finish, or give a reason: it is logged, and unfinished logs are closed.",
            code="study-unfinished",
        )
    opened = read_blinding_key(study, key)
    for reader, entries in logs.items():
        if not any(entry["kind"] == UNBLIND for entry in entries):
            log = ResponseLog(log_path(study, reader, folder))
            fields = {"by": normalise_reader_name(by), "reason": reason.strip(), "unfinished": list(open_readers)}
            log.append(UNBLIND, {**fields, "key": study.key_sha256})
            log.close()
    return opened
