"""A reader's log on disk: entries are only ever added, each is on the disk before the next is accepted."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable

from SlicerSynthReg.reading.chain import RECOVERED, Chain, Entry, Head, check, line_of, sealed
from SlicerSynthReg.reading.lock import FileLock
from SlicerSynthReg.reading.question import StudyError
from SlicerSynthReg.volume.atomic import atomically

SUFFIX, HEAD_SUFFIX, LOCK_SUFFIX = ".jsonl", ".head.json", ".lock"
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


class AnswerLog:
    """The log at `path` (name.jsonl), made where there is none, locked against a second writer until `close`.

    entries: all so far. recovered: whether a line torn by a crash was found on opening; it stays in the file, and an
    entry of kind "recovered" vouches for it. Errors: StudyError where another program has the log open, where it does
    not pass `check`, and where the disk does not take an entry (which is then not in `entries`).
    """

    def __init__(self, path: Path, clock: Clock = utc_now) -> None:
        self.path, self._clock = path, clock
        self._lock = FileLock(_beside(path, LOCK_SUFFIX))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            free = self._lock.take()
        except OSError as error:
            raise StudyError(
                f"Found that no answers can be kept in the folder {path.parent.name} ({error.strerror}), expected one "
                "that you may write to. Copy the study folder to a place of yours, or have its permissions changed."
            ) from error
        if not free:
            raise StudyError(
                f"Found the log {path.name} in use by another window or computer, expected one at a time. "
                "Close the other reading first."
            )
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> None:
        found = check_log(self.path)
        if found.fault is not None:
            raise StudyError(
                f"Found that line {found.fault.line} of the log {self.path.name} {found.fault.text}; expected an "
                "untouched log. No answer is added to it. Restore the last copy, or set the log and its head file "
                "aside (they stay evidence) and read the study again."
            )
        new = not self.path.exists()
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        if new:
            _sync_folder(self.path.parent)
        self.entries: tuple[Entry, ...] = found.entries
        self._head = found.head
        self.recovered = bool(found.torn)
        if found.unterminated:
            self._write(b"\n", found.head)
        if found.torn:
            self.append(RECOVERED, {"torn": list(found.torn)})
        elif found.head.count:
            self._write(b"", found.head)

    def append(self, kind: str, fields: Mapping[str, Any]) -> Entry:
        """Adds one entry, with the time (UTC), and returns when it is on the disk."""
        time = self._clock().astimezone(timezone.utc).isoformat(timespec="milliseconds")
        entry = sealed(self._head, kind, {**fields, "time": time})
        head = Head(entry["n"], entry["hash"])
        self._write(line_of(entry), head)
        self._head = head
        self.entries = (*self.entries, entry)
        return entry

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._lock.release()

    def _write(self, data: bytes, head: Head) -> None:
        """All of it and onto the disk, and then its head; or none of it."""
        before = os.fstat(self._file).st_size
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
            with atomically(_beside(self.path, HEAD_SUFFIX), ".json") as partial:
                partial.write_text(json.dumps({"count": head.count, "hash": head.hash}), encoding="utf-8")
        except OSError as error:
            os.ftruncate(self._file, before)
            raise StudyError(
                f"Found that the answer could not be saved in {self.path.name} ({error.strerror}), expected a disk "
                "with space. All earlier answers are safe: free space, then answer again."
            ) from error


def check_log(path: Path) -> Chain:
    """The entries of the log at `path` and its first fault; an empty chain where there is no file. Changes nothing."""
    head = _beside(path, HEAD_SUFFIX)
    try:
        values = json.loads(head.read_text(encoding="utf-8"))
        acknowledged = Head(int(values["count"]), str(values["hash"]))
    except FileNotFoundError:
        acknowledged = None
    except (ValueError, KeyError, TypeError):
        raise StudyError(
            f"Found a head file {head.name} that cannot be read, expected the log's own. Restore it."
        ) from None
    data = path.read_bytes() if path.exists() else b""
    return check(data, acknowledged)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name[: -len(SUFFIX)] + suffix)


def _sync_folder(folder: Path) -> None:
    """A new file's name outlives a power cut only when its folder is on the disk too; Windows does that by itself."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
