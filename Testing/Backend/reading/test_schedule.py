"""Order and sides: the same every time for one reader, another for the next, and fair."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from SlicerSynthReg.reading.names import file_stem, same_reader
from SlicerSynthReg.reading.question import StudyError
from SlicerSynthReg.reading.schedule import GAP, schedule

ROOT = Path(__file__).resolve().parents[3]


def shown(study, reader):
    return [(item.case.token, item.repeat, [image.token for image in item.images]) for item in schedule(study, reader)]


def test_the_same_in_another_process(a_study):
    study = a_study(pairs=12, singles=8, repeats=3)
    code = (
        "from SlicerSynthReg.reading.schedule import schedule\nfrom SlicerSynthReg.reading.study import read_study\n"
        f"for i in schedule(read_study({str(study.folder)!r}), 'Ann'): "
        "print(i.case.token, i.repeat, *(m.token for m in i.images))"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    assert told == [" ".join([case, str(repeat), *images]) for case, repeat, images in shown(study, "Ann")]


def test_readers_and_seeds_differ(a_study):
    study = a_study(pairs=12)
    assert shown(study, "Ann") != shown(study, "Bo") != shown(replace(study, seed=2), "Bo")
    assert shown(study, "Jose\u0301  Ruiz") == shown(study, "Jos\u00e9 Ruiz"), "one name, spelled in two ways"


def test_every_case_once_and_the_chosen_twice_and_parts_in_turn(a_study):
    study = a_study(pairs=12, singles=8, repeats=3)
    for reader in map(str, range(20)):
        items = schedule(study, reader)
        assert [item.number for item in items] == list(range(1, 27))
        assert [item.part.name for item in items] == ["pairs"] * 15 + ["singles"] * 11
        for part in study.parts:
            mine = [item for item in items if item.part is part]
            assert Counter(i.case.token for i in mine if not i.repeat) == Counter(c.token for c in part.cases)
            assert sum(item.repeat for item in mine) == 3
            for again in (item for item in mine if item.repeat):
                [first] = [item for item in mine if item.case is again.case and not item.repeat]
                assert again.number - first.number > GAP
        assert {item.label for item in items} == {f"Case {n}" for n in range(1, 27)}


def test_short_parts_have_repeats_too(a_study):
    items = schedule(a_study(pairs=3, repeats=3), "Ann")
    assert [item.repeat for item in items].count(1) == 3
    for again in (item for item in items if item.repeat):
        assert next(item.number for item in items if item.case is again.case) < again.number


def test_sides_and_places_are_fair(a_study):
    """Over 400 readers: each case comes as often early as late, and each image as often left as right."""
    study = a_study(pairs=10)
    left, early = Counter(), Counter()
    for reader in range(400):
        for item in schedule(study, f"reader {reader}"):
            left[item.case.token] += item.images[0] is item.case.images[0]
            early[item.case.token] += item.number <= 5
    for counts in (left, early):
        assert all(160 < counts[case.token] < 240 for case in study.part("pairs").cases)


def test_a_repeat_takes_a_side_of_its_own(a_study):
    study = a_study(pairs=20, repeats=10)
    turned = []
    for reader in range(30):
        items = schedule(study, f"reader {reader}")
        for again in (item for item in items if item.repeat):
            [first] = [item for item in items if item.case is again.case and not item.repeat]
            turned.append(first.images != again.images)
    assert 100 < sum(turned) < 200


def test_file_names_are_safe_and_never_one_for_two_readers():
    names = ["Ann", "ann", "../../etc/passwd", "CON", 'a/b\\c:d*?"<>|', "李医生", "Ünal, Dr.", "x" * 200, "💀", "."]
    stems = [file_stem(name) for name in names]
    assert len({stem.casefold() for stem in stems}) == len(names)
    for stem in stems:
        assert stem.isascii() and len(stem) < 60 and not set(stem) - set("abcdefghijklmnopqrstuvwxyz0123456789-")


@pytest.mark.parametrize("name", ["", "  ", "a\x00b", "a\x1bb", "x" * 201, "\ud800"])
def test_names_that_are_none(name):
    with pytest.raises(StudyError, match="expected 1 to 200 printable characters"):
        same_reader(name)


def test_tabs_and_newlines_are_spaces():
    assert same_reader(" Ann\t\n Lee ") == "Ann Lee"
