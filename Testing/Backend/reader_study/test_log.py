"""The response log is append-only: every kind of edit is detected with its line."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from SlicerSynthReg.reader_study.hash_chain import ChainHead, entry_line, next_entry, verify_chain
from SlicerSynthReg.reader_study.response_log import ResponseLog, verify_log
from SlicerSynthReg.reader_study.session import ReadingSession
from SlicerSynthReg.reader_study.study import read_study
from Testing.Backend.reader_study.conftest import refused


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def fault_after(path: Path, edit) -> tuple[int, str]:
    lines = lines_of(path)
    path.write_bytes(b"".join(edit(lines)))
    fault = verify_log(path).fault
    assert fault is not None, "the edit was not detected"
    return fault.line, fault.text


def resigned(line: bytes, **changes) -> bytes:
    """Return a forged line with a valid hash of its own."""
    entry = {**json.loads(line), **changes}
    head = ChainHead(entry["n"] - 1, entry["previous"])
    own = {name: value for name, value in entry.items() if name not in ("n", "kind", "previous", "hash")}
    return entry_line(next_entry(head, entry["kind"], own))


def swapped(lines: list[bytes], a: int, b: int) -> list[bytes]:
    lines[a], lines[b] = lines[b], lines[a]
    return lines


def test_unchanged_log_passes(finished_log):
    found = verify_log(finished_log)
    assert found.fault is None and found.torn == ()
    kinds = [entry["kind"] for entry in found.entries]
    assert kinds == ["begin", *["show", "answer"] * 6, "complete"]
    assert found.head == ChainHead(14, found.entries[-1]["hash"])


def test_hashes_follow_the_documented_format(finished_log):
    """Recomputed independently: sha256 of the canonical JSON of the entry without its hash."""
    previous = "0" * 64
    for number, line in enumerate(lines_of(finished_log), start=1):
        entry = json.loads(line)
        own = {name: value for name, value in entry.items() if name != "hash"}
        text = json.dumps(own, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert entry["hash"] == hashlib.sha256(text.encode("utf-8")).hexdigest()
        assert (entry["previous"], entry["n"]) == (previous, number)
        previous = entry["hash"]


@pytest.mark.parametrize("number", range(1, 15))
@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b'"time":"2', b'"time":"3'),
        lambda line: line.replace(b',"n":', b', "n":'),
        lambda line: line[:-2] + b',"more":1}\n',
        lambda line: line[: len(line) // 2] + b"\n",
        lambda line: b"\n",
    ],
    ids=["a digit", "a blank", "a field", "half", "emptied"],
)
def test_changed_line_is_reported(finished_log, number, change):
    at = number - 1
    line, _ = fault_after(finished_log, lambda lines: [*lines[:at], change(lines[at]), *lines[number:]])
    assert line == number


@pytest.mark.parametrize("number", range(1, 15))
def test_line_forged_with_a_valid_hash_is_reported(finished_log, number):
    """All 14 lines; the last one, which no later line refers to, by the head."""

    def forge(lines: list[bytes]) -> list[bytes]:
        forged = resigned(lines[number - 1], time="1999-01-01T00:00:00.000+00:00")
        return [*lines[: number - 1], forged, *lines[number:]]

    line, text = fault_after(finished_log, forge)
    assert line == number and "replaced" in text


@pytest.mark.parametrize("number", range(1, 14))
def test_deleted_line_is_reported(finished_log, number):
    line, text = fault_after(finished_log, lambda lines: lines[: number - 1] + lines[number:])
    assert line == number and "deleted" in text


@pytest.mark.parametrize("number", range(2, 14))
@pytest.mark.parametrize("what", ["copy", "new", "garbage"])
def test_inserted_line_is_reported(finished_log, number, what):
    def insert(lines: list[bytes]) -> list[bytes]:
        before = json.loads(lines[number - 2])
        new = entry_line(next_entry(ChainHead(before["n"], before["hash"]), "answer", {"number": 1}))
        line = {"copy": lines[number - 2], "new": new, "garbage": b"{broken\n"}[what]
        return [*lines[: number - 1], line, *lines[number - 1 :]]

    line, _ = fault_after(finished_log, insert)
    assert line == number + (what == "new"), "a valid new line makes the next entry a duplicate"


@pytest.mark.parametrize(("a", "b"), [(0, 1), (3, 4), (2, 9), (12, 13)])
def test_reordered_lines_are_reported(finished_log, a, b):
    line, text = fault_after(finished_log, lambda lines: swapped(lines, a, b))
    assert line == a + 1 and "moved" in text


@pytest.mark.parametrize("kept", range(14))
def test_truncated_log_is_detected_by_its_head(finished_log, kept):
    line, text = fault_after(finished_log, lambda lines: lines[:kept])
    assert line == kept + 1 and "cut off" in text


def test_truncation_within_an_acknowledged_line_is_no_crash(finished_log):
    line, text = fault_after(finished_log, lambda lines: [*lines[:13], lines[13][:20]])
    assert line == 14 and "cut off" in text


def test_truncation_with_a_deleted_head_is_detected(finished_log):
    head = finished_log.with_name(finished_log.name.replace(".jsonl", ".head.json"))
    head.unlink()
    line, text = fault_after(finished_log, lambda lines: lines[:9])
    assert line == 10 and "head file is missing" in text


def test_unacknowledged_entries_are_detected(finished_log):
    def add(lines: list[bytes]) -> list[bytes]:
        head = verify_chain(b"".join(lines), None).head
        for _ in range(2):
            entry = next_entry(head, "answer", {"number": 1})
            lines.append(entry_line(entry))
            head = ChainHead(entry["n"], entry["hash"])
        return lines

    line, text = fault_after(finished_log, add)
    assert line == 15 and "added" in text


def test_damaged_log_accepts_no_entry(finished_log):
    data = finished_log.read_bytes()
    finished_log.write_bytes(data.replace(b'"left"', b'"LEFT"', 1))
    with refused("log-damaged"):
        ReadingSession(read_study(finished_log.parents[1]), "Anna")
    assert finished_log.read_bytes() == data.replace(b'"left"', b'"LEFT"', 1), "the evidence is unchanged"
    ResponseLog(finished_log.with_name("other.jsonl")).close()


def torn(path: Path, keep_bytes: int) -> None:
    """Leave the log as a kill during a write does: the last line incomplete and unacknowledged."""
    lines = lines_of(path)
    before = verify_chain(b"".join(lines[:-1]), None).head
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:keep_bytes])
    head = path.with_name(path.name.replace(".jsonl", ".head.json"))
    head.write_text(json.dumps({"count": before.count, "hash": before.hash}))


@pytest.mark.parametrize("keep", [1, 2, 40, 120, -3, -2])
def test_torn_last_line_stays_and_is_recorded(finished_log, keep):
    torn(finished_log, keep)
    before = finished_log.read_bytes()
    assert verify_log(finished_log).fault is None and len(verify_log(finished_log).torn) == 1
    log = ResponseLog(finished_log)
    assert log.recovered and [entry["kind"] for entry in log.entries][-2:] == ["answer", "recovered"]
    log.append("complete", {"items": 6})
    log.close()
    assert finished_log.read_bytes().startswith(before), "no byte was removed"
    found = verify_log(finished_log)
    assert found.fault is None and found.entries[-1]["kind"] == "complete" and len(found.entries) == 15
    line, _ = fault_after(finished_log, lambda lines: [*lines[:13], b"{other\n", *lines[14:]])
    assert line == 14, "the torn line is recorded with its hash"


def test_last_line_without_newline_is_complete(finished_log):
    torn(finished_log, -1)
    log = ResponseLog(finished_log)
    assert not log.recovered and log.entries[-1]["kind"] == "complete"
    log.append("resume", {})
    log.close()
    assert verify_log(finished_log).fault is None


def test_crash_during_recovery(finished_log):
    torn(finished_log, 30)
    ResponseLog(finished_log).close()
    torn(finished_log, 25)
    log = ResponseLog(finished_log)
    assert log.recovered and len(log.entries[-1]["torn"]) == 2
    log.close()
    assert verify_log(finished_log).fault is None


def test_crash_between_log_and_head(finished_log):
    """The line is complete and the head one behind: the answer counts."""
    torn(finished_log, len(lines_of(finished_log)[-1]))
    assert verify_log(finished_log).fault is None
    ResponseLog(finished_log).close()
    head = json.loads(finished_log.with_name(finished_log.name.replace(".jsonl", ".head.json")).read_text())
    assert head["count"] == 14


def test_log_is_locked_for_a_second_writer(finished_log):
    first = ResponseLog(finished_log)
    with refused("log-in-use"):
        ResponseLog(finished_log)
    first.close()
    ResponseLog(finished_log).close()


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "answers").write_text("a file")
    with refused("log-folder"):
        ResponseLog(tmp_path / "answers" / "ann.jsonl")


def test_full_disk_leaves_the_log_intact(finished_log, monkeypatch):
    log = ResponseLog(finished_log)
    before, really = finished_log.read_bytes(), os.write

    def half_then_full(file: int, data: memoryview) -> int:
        if len(data) < 40:
            raise OSError(28, "No space left on device")
        return really(file, bytes(data[: len(data) - 30]))

    monkeypatch.setattr(os, "write", half_then_full)
    with refused("log-write"):
        log.append("answer", {"number": 1})
    monkeypatch.undo()
    assert finished_log.read_bytes() == before and len(log.entries) == 14
    monkeypatch.setattr(os, "replace", lambda *_: half_then_full(0, memoryview(b"")))
    with refused("log-write"):
        log.append("answer", {"number": 1})
    monkeypatch.undo()
    assert finished_log.read_bytes() == before, "an unacknowledged entry is removed"
    log.append("answer", {"number": 1})
    log.close()
    assert verify_log(finished_log).fault is None
