"""Lines that hold on to each other: each entry carries the hash of the one before and its own.

A line is the entry as canonical JSON. A change, deletion, insertion or reordering breaks the chain at a line that
`check` names. What the chain alone cannot show is that lines were cut off at the end, so the number of entries and the
last hash are kept beside the log (the head); and nobody's own rewriting of log and head together can be seen at all,
so that whoever needs to exclude it notes the last hash elsewhere (`synthreg review verify` prints it).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

START = "0" * 64
RECOVERED = "recovered"
Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Head:
    """What was acknowledged: how many entries, and the hash of the last."""

    count: int = 0
    hash: str = START


@dataclass(frozen=True)
class Fault:
    """line: from 1, the first that cannot be trusted. text: what is wrong, to follow "line 7"."""

    line: int
    text: str


@dataclass(frozen=True)
class Chain:
    """What a log holds. entries: up to the first fault. torn: hashes of what follows the last entry and is no entry,
    left by a crash in the middle of a write that was never acknowledged. unterminated: no newline at the end."""

    entries: tuple[Entry, ...]
    head: Head
    fault: Fault | None = None
    torn: tuple[str, ...] = ()
    unterminated: bool = False


def sealed(head: Head, kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The entry that follows `head`. Fields are JSON values."""
    entry = {**fields, "n": head.count + 1, "kind": kind, "previous": head.hash}
    return {**entry, "hash": _hash(entry)}


def line_of(entry: Entry) -> bytes:
    return _canonical(entry) + b"\n"


def check(data: bytes, acknowledged: Head | None) -> Chain:
    """The entries in the bytes of a log, and the first fault. acknowledged: the head kept beside it, None for none."""
    lines = data.split(b"\n")
    unterminated = lines[-1] != b""
    lines = lines if unterminated else lines[:-1]
    entries: list[Entry] = []
    head, torn = Head(), []

    def broken(line: int, text: str) -> Chain:
        return Chain(tuple(entries), head, Fault(line, text), (), unterminated)

    for number, line in enumerate(lines, start=1):
        entry = _parsed(line)
        if entry is None:
            torn.append(hashlib.sha256(line).hexdigest())
            continue
        if torn and (entry.get("kind") != RECOVERED or entry.get("torn") != torn):
            return broken(number - len(torn), "is no entry: it was cut, damaged or inserted")
        own = {name: value for name, value in entry.items() if name != "hash"}
        if entry.get("hash") != _hash(own) or line != _canonical(entry):
            return broken(number, "was changed: its contents do not give its hash")
        if entry.get("n") != head.count + 1:
            return broken(number, f"holds entry {entry.get('n')} where entry {head.count + 1} belongs: one or more "
                          "lines were deleted, inserted or moved")  # fmt: skip
        if entry.get("previous") != head.hash:
            return broken(
                max(1, number - 1 - len(torn)), "was exchanged: it is not the line the next one was written after"
            )
        entries.append(entry)
        head, torn = Head(head.count + 1, str(entry["hash"])), []
    fault = _against(acknowledged, entries, head, len(lines) - len(torn))
    return Chain(tuple(entries), head, fault, tuple(torn), unterminated)


def _against(acknowledged: Head | None, entries: list[Entry], head: Head, lines: int) -> Fault | None:
    """A log is as long as its head says, or one entry longer after a crash between the two writes."""
    if acknowledged is None:
        if head.count <= 1:
            return None
        return Fault(lines + 1, "cannot be judged: the head file is gone, so lines may have been cut off at the end")
    if acknowledged.count > head.count:
        missing = acknowledged.count - head.count
        return Fault(lines + 1, f"is missing: {missing} acknowledged {'entry was' if missing == 1 else 'entries were'} "
                     "cut off at the end")  # fmt: skip
    if acknowledged.count and entries[acknowledged.count - 1].get("hash") != acknowledged.hash:
        return Fault(
            lines - (head.count - acknowledged.count), "was exchanged: it is not the one that was acknowledged"
        )
    if head.count > acknowledged.count + 1:
        return Fault(lines - (head.count - acknowledged.count) + 1, "was added without being acknowledged")
    return None


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line.decode("utf-8"))
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _canonical(entry: Entry) -> bytes:
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")


def _hash(entry: Entry) -> str:
    return hashlib.sha256(_canonical(entry)).hexdigest()
