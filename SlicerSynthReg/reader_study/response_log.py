"""Response log of a reader on disk: append-only; each entry is on the disk before the next is accepted."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable

from SlicerSynthReg.errors import StudyError
from SlicerSynthReg.io.file_lock import FileLock
from SlicerSynthReg.io.files import atomic_write
from SlicerSynthReg.reader_study.hash_chain import (
    RECOVERED,
    ChainHead,
    Entry,
    HashChain,
    entry_line,
    next_entry,
    verify_chain,
)

SUFFIX, HEAD_SUFFIX, LOCK_SUFFIX = ".jsonl", ".head.json", ".lock"
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(timezone.utc)


class ResponseLog:
    """The log at `path` (name.jsonl), created if missing, locked against a second writer until `close`.

    entries: all so far. recovered: whether a line torn by a crash was found on opening; it stays in the file, and an
    entry of kind "recovered" records its hash. Raises StudyError if another program has the log open ("log-in-use"), if
    `verify_chain` fails ("log-damaged"), and if an entry cannot be written ("log-write"; it is then not in `entries`).
    """

    def __init__(self, path: Path, clock: Clock = utc_now) -> None:
        self.path, self._clock = path, clock
        self._lock = FileLock(_sibling_file(path, LOCK_SUFFIX))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            acquired = self._lock.acquire()
        except OSError as error:
            raise StudyError(
                f"Found that no answers can be saved in the folder {path.parent.name} ({error.strerror}), expected one "
                "that you may write to. Copy the study folder to a place of yours, or have its permissions changed.",
                code="log-folder",
            ) from error
        if not acquired:
            raise StudyError(
                f"Found the log {path.name} in use by another window or computer, expected one at a time. "
                "Close the other reading first.",
                code="log-in-use",
            )
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> None:
        chain = verify_log(self.path)
        if chain.fault is not None:
            raise StudyError(
                f"Found that line {chain.fault.line} of the log {self.path.name} {chain.fault.text}; expected an "
                "unchanged log. No answer is added to it. Restore the last copy, or set the log and its head file "
                "aside (they stay evidence) and read the study again.",
                code="log-damaged",
            )
        new = not self.path.exists()
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        if new:
            _sync_folder(self.path.parent)
        self.entries: tuple[Entry, ...] = chain.entries
        self._head = chain.head
        self.recovered = bool(chain.torn)
        if chain.unterminated:
            self._write(b"\n", chain.head)
        if chain.torn:
            self.append(RECOVERED, {"torn": list(chain.torn)})
        elif chain.head.count:
            self._write(b"", chain.head)

    def append(self, kind: str, fields: Mapping[str, Any]) -> Entry:
        """Append one entry with the time (UTC) and return it when it is on the disk."""
        time = self._clock().astimezone(timezone.utc).isoformat(timespec="milliseconds")
        entry = next_entry(self._head, kind, {**fields, "time": time})
        head = ChainHead(entry["n"], entry["hash"])
        self._write(entry_line(entry), head)
        self._head = head
        self.entries = (*self.entries, entry)
        return entry

    def close(self) -> None:
        """Close the file and release the lock."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._lock.release()

    def _write(self, data: bytes, head: ChainHead) -> None:
        """Write and sync all of `data`, then the head; or nothing."""
        before = os.fstat(self._file).st_size
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
            with atomic_write(_sibling_file(self.path, HEAD_SUFFIX), ".json") as partial:
                partial.write_text(json.dumps({"count": head.count, "hash": head.hash}), encoding="utf-8")
        except OSError as error:
            os.ftruncate(self._file, before)
            raise StudyError(
                f"Found that the answer could not be saved in {self.path.name} ({error.strerror}), expected a disk "
                "with space. All earlier answers are safe: free space, then answer again.",
                code="log-write",
            ) from error


def verify_log(path: Path) -> HashChain:
    """Return the verified contents of the log at `path`, an empty chain for no file. Changes nothing."""
    head = _sibling_file(path, HEAD_SUFFIX)
    try:
        values = json.loads(head.read_text(encoding="utf-8"))
        acknowledged = ChainHead(int(values["count"]), str(values["hash"]))
    except FileNotFoundError:
        acknowledged = None
    except (ValueError, KeyError, TypeError):
        raise StudyError(
            f"Found a head file {head.name} that cannot be read, expected the log's own. Restore it.", code="log-head"
        ) from None
    data = path.read_bytes() if path.exists() else b""
    return verify_chain(data, acknowledged)


def _sibling_file(path: Path, suffix: str) -> Path:
    return path.with_name(path.name[: -len(SUFFIX)] + suffix)


def _sync_folder(folder: Path) -> None:
    """Sync a folder, so that a new file's name survives a power cut (Windows does so by itself)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
