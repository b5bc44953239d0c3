"""Hash chain of log entries: each entry contains the hash of the previous entry and its own.

A line is the entry as canonical JSON. A change, deletion, insertion or reordering breaks the chain at a line that
`verify_chain` reports. Truncation at the end is detected by the chain head, the number of entries and the last hash,
which is stored beside the log. A consistent rewrite of log and head cannot be detected from them; to exclude it, record
the last hash elsewhere (`synthreg review verify` prints it).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GENESIS_HASH = "0" * 64
RECOVERED = "recovered"
Entry = Mapping[str, Any]


@dataclass(frozen=True)
class ChainHead:
    """State of a chain. count: of entries. hash: of the last entry."""

    count: int = 0
    hash: str = GENESIS_HASH


@dataclass(frozen=True)
class ChainFault:
    """First invalid line. line: number from 1. text: the reason, to follow "line 7"."""

    line: int
    text: str


@dataclass(frozen=True)
class HashChain:
    """Verified contents of a log. entries: up to the first fault. torn: hashes of trailing lines that are no entries,
    left by a crash during a write that was never acknowledged. unterminated: the last newline is missing."""

    entries: tuple[Entry, ...]
    head: ChainHead
    fault: ChainFault | None = None
    torn: tuple[str, ...] = ()
    unterminated: bool = False


def next_entry(head: ChainHead, kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry that follows `head`. fields: JSON values."""
    entry = {**fields, "n": head.count + 1, "kind": kind, "previous": head.hash}
    return {**entry, "hash": _hash(entry)}


def entry_line(entry: Entry) -> bytes:
    """Return the entry as a line of the log."""
    return _canonical(entry) + b"\n"


def verify_chain(data: bytes, acknowledged: ChainHead | None) -> HashChain:
    """Verify the bytes of a log. acknowledged: the head stored beside it, None if there is none."""
    lines = data.split(b"\n")
    unterminated = lines[-1] != b""
    lines = lines if unterminated else lines[:-1]
    entries: list[Entry] = []
    head, torn = ChainHead(), []

    def broken(line: int, text: str) -> HashChain:
        return HashChain(tuple(entries), head, ChainFault(line, text), (), unterminated)

    for number, line in enumerate(lines, start=1):
        entry = _parsed(line)
        if entry is None:
            torn.append(hashlib.sha256(line).hexdigest())
            continue
        if torn and (entry.get("kind") != RECOVERED or entry.get("torn") != torn):
            return broken(number - len(torn), "is no entry: it was truncated, damaged or inserted")
        own = {name: value for name, value in entry.items() if name != "hash"}
        if entry.get("hash") != _hash(own) or line != _canonical(entry):
            return broken(number, "was changed: its contents do not match its hash")
        if entry.get("n") != head.count + 1:
            return broken(number, f"holds entry {entry.get('n')} where entry {head.count + 1} belongs: one or more "
                          "lines were deleted, inserted or moved")  # fmt: skip
        if entry.get("previous") != head.hash:
            return broken(max(1, number - 1 - len(torn)), "was replaced: the next line refers to another one")
        entries.append(entry)
        head, torn = ChainHead(head.count + 1, str(entry["hash"])), []
    fault = _head_fault(acknowledged, entries, head, len(lines) - len(torn))
    return HashChain(tuple(entries), head, fault, tuple(torn), unterminated)


def _head_fault(acknowledged: ChainHead | None, entries: list[Entry], head: ChainHead, lines: int) -> ChainFault | None:
    """Return the fault of a log against its head: equal length, or one entry more after a crash between both writes."""
    if acknowledged is None:
        if head.count <= 1:
            return None
        return ChainFault(
            lines + 1, "cannot be verified: the head file is missing, so lines may have been cut off at the end"
        )
    if acknowledged.count > head.count:
        missing = acknowledged.count - head.count
        entries_were = "entry was" if missing == 1 else "entries were"
        return ChainFault(lines + 1, f"is missing: {missing} acknowledged {entries_were} cut off at the end")
    if acknowledged.count and entries[acknowledged.count - 1].get("hash") != acknowledged.hash:
        return ChainFault(lines - (head.count - acknowledged.count), "was replaced: it is not the acknowledged entry")
    if head.count > acknowledged.count + 1:
        return ChainFault(lines - (head.count - acknowledged.count) + 1, "was added without being acknowledged")
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
