"""Strict reading of the study file; questions and their answers; anonymity."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from SlicerSynthReg.errors import StudyError
from SlicerSynthReg.reader_study.blinding_key import read_blinding_key
from SlicerSynthReg.reader_study.ct_windows import CT_WINDOW_PRESETS, DisplayWindow, parse_window
from SlicerSynthReg.reader_study.question import LIKERT, PAIR, SINGLE, TEXT, ReadingQuestion
from SlicerSynthReg.reader_study.session import ReadingSession
from SlicerSynthReg.reader_study.study import read_study
from Testing.Backend.reader_study.conftest import refused

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def edited(new_study):
    """Return a function that edits the JSON of a study file and reads it again."""

    def edit(change, **how):
        folder = new_study(**how).folder
        values = json.loads((folder / "study.json").read_text())
        change(values)
        (folder / "study.json").write_text(json.dumps(values))
        return read_study(folder)

    return edit


def test_study_round_trip(new_study):
    study = new_study(
        pairs=3, singles=4, repeats=1, window=DisplayWindow(350, 40), readers=("Ann", "Bo"), instructions="Look."
    )
    assert read_study(study.folder / "study.json") == study == read_study(study.folder)
    assert study.window == CT_WINDOW_PRESETS["abdomen"] and study.part("singles").questions[1].levels[0] == "poor"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda v: v.update(version=2), "file-newer"),
        (lambda v: v.update(version="one"), "file-version"),
        (lambda v: v.update(format="a novel"), "file-format"),
        (lambda v: v.update(colour="red"), "field-invalid"),
        (lambda v: v.pop("title"), "field-missing"),
        (lambda v: v.update(seed="1"), "field-invalid"),
        (lambda v: v.update(seed=True), "field-invalid"),
        (lambda v: v.update(parts=[]), "study-empty"),
        (lambda v: v.update(parts={}), "field-missing"),
        (lambda v: v.update(readers=["Ann", "ANN"]), "name-duplicate"),
        (lambda v: v.update(readers=[1]), "field-invalid"),
        (lambda v: v["parts"].append(v["parts"][0]), "name-duplicate"),
        (lambda v: v["parts"][0].update(time_limit_s=0), "part-invalid"),
        (lambda v: v["parts"][0].update(repeats=7), "part-invalid"),
        (lambda v: v["parts"][0]["questions"].append(v["parts"][0]["questions"][0]), "name-duplicate"),
        (lambda v: v["parts"][0]["questions"][0].update(kind="single"), "part-invalid"),
        (lambda v: v["parts"][0]["questions"][0].update(kind="duel"), "question-invalid"),
        (lambda v: v["parts"][0]["questions"][0].update(levels=["a", "b"]), "question-invalid"),
        (lambda v: v["parts"][0]["cases"].append(v["parts"][0]["cases"][0]), "name-duplicate"),
        (lambda v: v["parts"][0]["cases"][0]["images"].pop(), "part-invalid"),
        (lambda v: v["parts"][0]["cases"][0]["images"][0].pop("sha256"), "field-missing"),
        (lambda v: v.update(window={"width": "wide", "level": 1}), "field-invalid"),
    ],
)
def test_invalid_study_files_are_refused(edited, change, code):
    with refused(code):
        edited(change)


def test_missing_and_unreadable_files(tmp_path):
    with refused("study-missing"):
        read_study(tmp_path / "study.json")
    (tmp_path / "study.json").write_bytes(b'{"format": "Slicer')
    with refused("file-unreadable"):
        read_study(tmp_path)


def test_missing_images_are_named_by_token(new_study):
    study = new_study()
    case = study.part("pairs").cases[2]
    study.path(case.images[1]).unlink()
    with pytest.raises(StudyError) as caught:
        ReadingSession(study, "Ann")
    assert f"{case.images[1].token} of case {case.token}" in str(caught.value) and "of 12 images" in str(caught.value)
    assert "patient" not in str(caught.value) and str(study.folder) not in str(caught.value)
    assert not (study.folder / "answers").exists()


def test_changed_images_are_detected(new_study):
    study = new_study()
    study.require_unchanged_images()
    image = study.part("pairs").cases[0].images[0]
    study.path(image).write_text("another patient")
    with refused("images-changed"):
        study.require_unchanged_images()


def test_changed_or_missing_key_is_refused(new_study):
    study = new_study()
    assert len(read_blinding_key(study).cases) == 6
    data = (study.folder / "key.json").read_text()
    (study.folder / "key.json").write_text(data.replace("generated", "REAL").replace("real", "generated"))
    with refused("key-mismatch"):
        read_blinding_key(study)
    with refused("key-missing"):
        read_blinding_key(study, study.folder / "nowhere.json")


def test_windows_by_name_and_numbers():
    assert parse_window("Stroke") == DisplayWindow(40, 40) and parse_window("1400, -500") == CT_WINDOW_PRESETS["lung"]
    for wrong in ("belly", "0,40", "350", "a,b"):
        with refused("window-invalid"):
            parse_window(wrong)


WHICH = ReadingQuestion("which", PAIR, "Which?", confidence=3)
GRADE = ReadingQuestion("grade", LIKERT, "Grade?", levels=("bad", "fair", "good"))
POINTS = ReadingQuestion("points", "landmarks", "Where?", points=("apex", "hilum"))
TEXT_FREE = ReadingQuestion("text", TEXT, "Remarks", required=False)


@pytest.mark.parametrize(
    ("question", "answer", "logged"),
    [
        (WHICH, {"choice": "left", "confidence": 3}, {"choice": "left", "confidence": 3}),
        (ReadingQuestion("what", SINGLE, "What?"), "real", {"choice": "real", "confidence": None}),
        (GRADE, 3, 3),
        (POINTS, {"apex": (1, 2, 3), "hilum": None}, {"apex": [1.0, 2.0, 3.0], "hilum": None}),
        (TEXT_FREE, "“a\nb”", "“a\nb”"),
        (TEXT_FREE, "cut \ud83d off", "cut ? off"),
        (TEXT_FREE, "  ", None),
        (TEXT_FREE, None, None),
    ],
)
def test_valid_answers_as_logged(question, answer, logged):
    assert question.validate(answer) == logged


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (WHICH, "left"),
        (WHICH, {"choice": "left", "confidence": 4}),
        (WHICH, {"choice": "left", "confidence": True}),
        (WHICH, {"choice": "real", "confidence": 1}),
        (WHICH, {"choice": "left", "confidence": 1, "sure": 1}),
        (WHICH, None),
        (ReadingQuestion("what", SINGLE, "What?"), {"choice": "real", "confidence": 2}),
        (GRADE, 0),
        (GRADE, 4),
        (GRADE, True),
        (GRADE, "good"),
        (GRADE, None),
        (POINTS, {"apex": (1, 2, 3)}),
        (POINTS, {"apex": (1, 2), "hilum": None}),
        (POINTS, {"apex": (1, 2, float("nan")), "hilum": None}),
        (TEXT_FREE, 5),
        (TEXT_FREE, "x" * 10_001),
    ],
)
def test_invalid_answers_are_refused(question, answer):
    with refused("answer-missing" if answer is None else "answer-invalid"):
        question.validate(answer)


def test_reading_session_imports_no_heavy_package():
    code = (
        "import sys\nfrom SlicerSynthReg.reader_study import ct_windows, session, unblinding\n"
        "print(sorted({'torch', 'numpy', 'scipy', 'matplotlib', 'nibabel'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"
