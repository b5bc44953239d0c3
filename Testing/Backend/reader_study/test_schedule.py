"""Reading schedule: reproducible per reader, different between readers, balanced."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from SlicerSynthReg.reader_study.schedule import (
    MIN_REPEAT_GAP,
    normalise_reader_name,
    reader_file_stem,
    reading_schedule,
)
from Testing.Backend.reader_study.conftest import refused

ROOT = Path(__file__).resolve().parents[3]


def presentations(study, reader):
    return [
        (item.case.token, item.repeat, [image.token for image in item.images])
        for item in reading_schedule(study, reader)
    ]


def test_schedule_is_the_same_in_another_process(new_study):
    study = new_study(pairs=12, singles=8, repeats=3)
    code = (
        "from SlicerSynthReg.reader_study.schedule import reading_schedule\n"
        "from SlicerSynthReg.reader_study.study import read_study\n"
        f"for i in reading_schedule(read_study({str(study.folder)!r}), 'Ann'): "
        "print(i.case.token, i.repeat, *(m.token for m in i.images))"
    )
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    assert output == [" ".join([case, str(repeat), *images]) for case, repeat, images in presentations(study, "Ann")]


def test_schedule_depends_on_reader_and_seed(new_study):
    study = new_study(pairs=12)
    assert presentations(study, "Ann") != presentations(study, "Bo") != presentations(replace(study, seed=2), "Bo")
    assert presentations(study, "Jose\u0301  Ruiz") == presentations(study, "Jos\u00e9 Ruiz"), (
        "one name in two Unicode forms"
    )


def test_every_case_once_and_repeats_twice_in_the_order_of_parts(new_study):
    study = new_study(pairs=12, singles=8, repeats=3)
    for reader in map(str, range(20)):
        items = reading_schedule(study, reader)
        assert [item.number for item in items] == list(range(1, 27))
        assert [item.part.name for item in items] == ["pairs"] * 15 + ["singles"] * 11
        for part in study.parts:
            mine = [item for item in items if item.part is part]
            assert Counter(i.case.token for i in mine if not i.repeat) == Counter(c.token for c in part.cases)
            assert sum(item.repeat for item in mine) == 3
            for again in (item for item in mine if item.repeat):
                [first] = [item for item in mine if item.case is again.case and not item.repeat]
                assert again.number - first.number > MIN_REPEAT_GAP
        assert {item.label for item in items} == {f"Case {n}" for n in range(1, 27)}


def test_short_parts_have_repeats(new_study):
    items = reading_schedule(new_study(pairs=3, repeats=3), "Ann")
    assert [item.repeat for item in items].count(1) == 3
    for again in (item for item in items if item.repeat):
        assert next(item.number for item in items if item.case is again.case) < again.number


def test_sides_and_positions_are_balanced(new_study):
    """Over 400 readers, cases are early or late, and images left or right, with equal frequency."""
    study = new_study(pairs=10)
    left, early = Counter(), Counter()
    for reader in range(400):
        for item in reading_schedule(study, f"reader {reader}"):
            left[item.case.token] += item.images[0] is item.case.images[0]
            early[item.case.token] += item.number <= 5
    for counts in (left, early):
        assert all(160 < counts[case.token] < 240 for case in study.part("pairs").cases)


def test_side_of_a_repeat_is_independent(new_study):
    study = new_study(pairs=20, repeats=10)
    swapped = []
    for reader in range(30):
        items = reading_schedule(study, f"reader {reader}")
        for again in (item for item in items if item.repeat):
            [first] = [item for item in items if item.case is again.case and not item.repeat]
            swapped.append(first.images != again.images)
    assert 100 < sum(swapped) < 200


def test_file_names_are_safe_and_unique():
    names = ["Ann", "ann", "../../etc/passwd", "CON", 'a/b\\c:d*?"<>|', "李医生", "Ünal, Dr.", "x" * 200, "💀", "."]
    stems = [reader_file_stem(name) for name in names]
    assert len({stem.casefold() for stem in stems}) == len(names)
    for stem in stems:
        assert stem.isascii() and len(stem) < 60 and not set(stem) - set("abcdefghijklmnopqrstuvwxyz0123456789-")


@pytest.mark.parametrize("name", ["", "  ", "a\x00b", "a\x1bb", "x" * 201, "\ud800"])
def test_invalid_names_are_refused(name):
    with refused("reader-name"):
        normalise_reader_name(name)


def test_white_space_is_normalised():
    assert normalise_reader_name(" Ann\t\n Lee ") == "Ann Lee"
