"""The log can be added to and not altered: every kind of edit is found and its line named."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from SlicerSynthReg.reading.chain import Head, check, line_of, sealed
from SlicerSynthReg.reading.log import AnswerLog, check_log
from SlicerSynthReg.reading.question import StudyError
from SlicerSynthReg.reading.session import Reading
from SlicerSynthReg.reading.study import read_study


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def fault_after(path: Path, edit) -> tuple[int, str]:
    lines = lines_of(path)
    path.write_bytes(b"".join(edit(lines)))
    fault = check_log(path).fault
    assert fault is not None, "the edit was not seen"
    return fault.line, fault.text


def resigned(line: bytes, **changes) -> bytes:
    """The line as someone would forge it who knows how hashes are made."""
    entry = {**json.loads(line), **changes}
    head = Head(entry["n"] - 1, entry["previous"])
    own = {name: value for name, value in entry.items() if name not in ("n", "kind", "previous", "hash")}
    return line_of(sealed(head, entry["kind"], own))


def swapped(lines: list[bytes], a: int, b: int) -> list[bytes]:
    lines[a], lines[b] = lines[b], lines[a]
    return lines


def test_an_untouched_log_passes(finished_log):
    found = check_log(finished_log)
    assert found.fault is None and found.torn == ()
    kinds = [entry["kind"] for entry in found.entries]
    assert kinds == ["begin", *["show", "answer"] * 6, "complete"]
    assert found.head == Head(14, found.entries[-1]["hash"])


def test_hashes_are_what_the_format_says(finished_log):
    """Recomputed here from the words of the format alone: sha256 of the entry without its hash, keys sorted."""
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
def test_a_changed_line_is_named(finished_log, number, change):
    at = number - 1
    line, _ = fault_after(finished_log, lambda lines: [*lines[:at], change(lines[at]), *lines[number:]])
    assert line == number


@pytest.mark.parametrize("number", range(1, 15))
def test_a_line_forged_with_its_own_hash_is_named(finished_log, number):
    """All 14: the last one, which no later line holds on to, by the head."""

    def forge(lines: list[bytes]) -> list[bytes]:
        forged = resigned(lines[number - 1], time="1999-01-01T00:00:00.000+00:00")
        return [*lines[: number - 1], forged, *lines[number:]]

    line, text = fault_after(finished_log, forge)
    assert line == number and "exchanged" in text


@pytest.mark.parametrize("number", range(1, 14))
def test_a_deleted_line_is_named_where_it_was(finished_log, number):
    line, text = fault_after(finished_log, lambda lines: lines[: number - 1] + lines[number:])
    assert line == number and "deleted" in text


@pytest.mark.parametrize("number", range(2, 14))
@pytest.mark.parametrize("what", ["copy", "new", "garbage"])
def test_an_inserted_line_is_named(finished_log, number, what):
    def insert(lines: list[bytes]) -> list[bytes]:
        before = json.loads(lines[number - 2])
        new = line_of(sealed(Head(before["n"], before["hash"]), "answer", {"number": 1}))
        line = {"copy": lines[number - 2], "new": new, "garbage": b"{broken\n"}[what]
        return [*lines[: number - 1], line, *lines[number - 1 :]]

    line, _ = fault_after(finished_log, insert)
    assert line == number + (what == "new"), "a new line that follows its neighbour makes the next one come twice"


@pytest.mark.parametrize(("a", "b"), [(0, 1), (3, 4), (2, 9), (12, 13)])
def test_lines_in_another_order_are_named(finished_log, a, b):
    line, text = fault_after(finished_log, lambda lines: swapped(lines, a, b))
    assert line == a + 1 and "moved" in text


@pytest.mark.parametrize("kept", range(14))
def test_a_log_cut_short_is_told_by_its_head(finished_log, kept):
    line, text = fault_after(finished_log, lambda lines: lines[:kept])
    assert line == kept + 1 and "cut off" in text


def test_a_log_cut_short_within_an_acknowledged_line_is_no_crash(finished_log):
    line, text = fault_after(finished_log, lambda lines: [*lines[:13], lines[13][:20]])
    assert line == 14 and "cut off" in text


def test_a_log_cut_short_with_its_head_deleted(finished_log):
    head = finished_log.with_name(finished_log.name.replace(".jsonl", ".head.json"))
    head.unlink()
    line, text = fault_after(finished_log, lambda lines: lines[:9])
    assert line == 10 and "head file is gone" in text


def test_entries_added_behind_the_programs_back(finished_log):
    def add(lines: list[bytes]) -> list[bytes]:
        head = check(b"".join(lines), None).head
        for _ in range(2):
            entry = sealed(head, "answer", {"number": 1})
            lines.append(line_of(entry))
            head = Head(entry["n"], entry["hash"])
        return lines

    line, text = fault_after(finished_log, add)
    assert line == 15 and "added" in text


def test_nothing_is_added_to_a_damaged_log(finished_log):
    data = finished_log.read_bytes()
    finished_log.write_bytes(data.replace(b'"left"', b'"LEFT"', 1))
    with pytest.raises(StudyError, match=r"line 3 of the log anna-\w+.jsonl was changed.*No answer is added"):
        Reading(read_study(finished_log.parents[1]), "Anna")
    assert finished_log.read_bytes() == data.replace(b'"left"', b'"LEFT"', 1), "evidence stays as it is"
    AnswerLog(finished_log.with_name("other.jsonl")).close()


def torn(path: Path, keep_bytes: int) -> None:
    """As a kill in the middle of writing leaves it: the last line begun, and never acknowledged."""
    lines = lines_of(path)
    before = check(b"".join(lines[:-1]), None).head
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:keep_bytes])
    head = path.with_name(path.name.replace(".jsonl", ".head.json"))
    head.write_text(json.dumps({"count": before.count, "hash": before.hash}))


@pytest.mark.parametrize("keep", [1, 2, 40, 120, -3, -2])
def test_a_torn_last_line_stays_and_is_vouched_for(finished_log, keep):
    torn(finished_log, keep)
    before = finished_log.read_bytes()
    assert check_log(finished_log).fault is None and len(check_log(finished_log).torn) == 1
    log = AnswerLog(finished_log)
    assert log.recovered and [entry["kind"] for entry in log.entries][-2:] == ["answer", "recovered"]
    log.append("complete", {"items": 6})
    log.close()
    assert finished_log.read_bytes().startswith(before), "not a byte was taken away"
    found = check_log(finished_log)
    assert found.fault is None and found.entries[-1]["kind"] == "complete" and len(found.entries) == 15
    line, _ = fault_after(finished_log, lambda lines: [*lines[:13], b"{other\n", *lines[14:]])
    assert line == 14, "the torn line is vouched for with its hash"


def test_a_last_line_without_its_end_is_whole(finished_log):
    torn(finished_log, -1)
    log = AnswerLog(finished_log)
    assert not log.recovered and log.entries[-1]["kind"] == "complete"
    log.append("resume", {})
    log.close()
    assert check_log(finished_log).fault is None


def test_a_crash_while_recovering_from_a_crash(finished_log):
    torn(finished_log, 30)
    AnswerLog(finished_log).close()
    torn(finished_log, 25)
    log = AnswerLog(finished_log)
    assert log.recovered and len(log.entries[-1]["torn"]) == 2
    log.close()
    assert check_log(finished_log).fault is None


def test_a_crash_between_the_log_and_its_head(finished_log):
    """The line is whole, the head one behind: the answer counts."""
    torn(finished_log, len(lines_of(finished_log)[-1]))
    assert check_log(finished_log).fault is None
    AnswerLog(finished_log).close()
    head = json.loads(finished_log.with_name(finished_log.name.replace(".jsonl", ".head.json")).read_text())
    assert head["count"] == 14


def test_one_writer_at_a_time(finished_log):
    first = AnswerLog(finished_log)
    with pytest.raises(StudyError, match="in use by another window"):
        AnswerLog(finished_log)
    first.close()
    AnswerLog(finished_log).close()


def test_a_place_that_takes_no_answers(tmp_path):
    (tmp_path / "answers").write_text("a file")
    with pytest.raises(StudyError, match="no answers can be kept in the folder answers"):
        AnswerLog(tmp_path / "answers" / "ann.jsonl")


def test_a_full_disk_leaves_the_log_whole(finished_log, monkeypatch):
    log = AnswerLog(finished_log)
    before, really = finished_log.read_bytes(), os.write

    def half_then_full(file: int, data: memoryview) -> int:
        if len(data) < 40:
            raise OSError(28, "No space left on device")
        return really(file, bytes(data[: len(data) - 30]))

    monkeypatch.setattr(os, "write", half_then_full)
    with pytest.raises(StudyError, match="could not be saved.*No space left.*All earlier answers are safe"):
        log.append("answer", {"number": 1})
    monkeypatch.undo()
    assert finished_log.read_bytes() == before and len(log.entries) == 14
    monkeypatch.setattr(os, "replace", lambda *_: half_then_full(0, memoryview(b"")))
    with pytest.raises(StudyError, match="could not be saved"):
        log.append("answer", {"number": 1})
    monkeypatch.undo()
    assert finished_log.read_bytes() == before, "an entry that could not be acknowledged is none"
    log.append("answer", {"number": 1})
    log.close()
    assert check_log(finished_log).fault is None
