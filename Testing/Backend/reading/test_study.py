"""The study file is read strictly: what is wrong is found and named, and nothing of it leads to a patient."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from SlicerSynthReg.reading.key import read_key
from SlicerSynthReg.reading.question import LIKERT, PAIR, SINGLE, TEXT, Question, StudyError
from SlicerSynthReg.reading.session import Reading
from SlicerSynthReg.reading.study import read_study
from SlicerSynthReg.reading.windows import PRESETS, Window, named_window

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def edited(a_study):
    """The study read again after its file was edited by a function of its JSON."""

    def edit(change, **how):
        folder = a_study(**how).folder
        values = json.loads((folder / "study.json").read_text())
        change(values)
        (folder / "study.json").write_text(json.dumps(values))
        return read_study(folder)

    return edit


def test_there_and_back_again(a_study):
    study = a_study(pairs=3, singles=4, repeats=1, window=Window(350, 40), readers=("Ann", "Bo"), instructions="Look.")
    assert read_study(study.folder / "study.json") == study == read_study(study.folder)
    assert study.window == PRESETS["abdomen"] and study.part("singles").questions[1].levels[0] == "poor"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(version=2), "Found a study file of version 2, expected at most 1.*update"),
        (lambda v: v.update(version="one"), "version 'one'"),
        (lambda v: v.update(format="a novel"), "format 'a novel', expected 'SlicerSynthReg study'"),
        (lambda v: v.update(colour="red"), "unknown entry 'colour' in the study"),
        (lambda v: v.pop("title"), "without some of its entries.*title"),
        (lambda v: v.update(seed="1"), "seed = '1' instead of int"),
        (lambda v: v.update(seed=True), "seed = True instead of int"),
        (lambda v: v.update(parts=[]), "no parts"),
        (lambda v: v.update(parts={}), "no list parts"),
        (lambda v: v.update(readers=["Ann", "ANN"]), "reader ann more than once"),
        (lambda v: v.update(readers=[1]), "readers ="),
        (lambda v: v["parts"].append(v["parts"][0]), "part pairs more than once"),
        (lambda v: v["parts"][0].update(time_limit_s=0), "time limit of 0 s in the part 'pairs'"),
        (lambda v: v["parts"][0].update(repeats=7), "7 repeats in the part 'pairs', expected 0 to 6"),
        (lambda v: v["parts"][0]["questions"].append(v["parts"][0]["questions"][0]), "which more than once"),
        (lambda v: v["parts"][0]["questions"][0].update(kind="single"), "2 images in case .*, expected 1"),
        (lambda v: v["parts"][0]["questions"][0].update(kind="duel"), "kind 'duel' in the question 'which'"),
        (lambda v: v["parts"][0]["questions"][0].update(levels=["a", "b"]), "levels .* expected none"),
        (lambda v: v["parts"][0]["cases"].append(v["parts"][0]["cases"][0]), "token .* more than once"),
        (lambda v: v["parts"][0]["cases"][0]["images"].pop(), "1 images in case"),
        (lambda v: v["parts"][0]["cases"][0]["images"][0].pop("sha256"), "an image without some of its entries"),
        (lambda v: v.update(window={"width": "wide", "level": 1}), "width = 'wide' instead of float in the window"),
    ],
)
def test_what_is_wrong_is_named(edited, change, message):
    with pytest.raises(StudyError, match=message):
        edited(change)


def test_a_file_that_is_no_study(tmp_path):
    with pytest.raises(StudyError, match="no study at study.json"):
        read_study(tmp_path / "study.json")
    (tmp_path / "study.json").write_bytes(b'{"format": "Slicer')
    with pytest.raises(StudyError, match="no JSON"):
        read_study(tmp_path)


def test_images_that_are_gone_are_counted_and_named_by_token(a_study):
    study = a_study()
    case = study.part("pairs").cases[2]
    study.path(case.images[1]).unlink()
    with pytest.raises(StudyError) as caught:
        Reading(study, "Ann")
    assert f"{case.images[1].token} of case {case.token}" in str(caught.value) and "of 12 images" in str(caught.value)
    assert "patient" not in str(caught.value) and str(study.folder) not in str(caught.value)
    assert not (study.folder / "answers").exists()


def test_images_that_were_exchanged_are_found(a_study):
    study = a_study()
    study.require_unchanged_images()
    image = study.part("pairs").cases[0].images[0]
    study.path(image).write_text("another patient")
    with pytest.raises(StudyError, match=f"other contents in {image.token} than"):
        study.require_unchanged_images()


def test_only_the_key_the_study_was_made_with_opens_it(a_study):
    study = a_study()
    assert len(read_key(study).cases) == 6
    data = (study.folder / "key.json").read_text()
    (study.folder / "key.json").write_text(data.replace("generated", "REAL").replace("real", "generated"))
    with pytest.raises(StudyError, match="key that was changed"):
        read_key(study)
    with pytest.raises(StudyError, match="no key at nowhere.json"):
        read_key(study, study.folder / "nowhere.json")


def test_windows_by_name_and_number():
    assert named_window("Stroke") == Window(40, 40) and named_window("1400, -500") == PRESETS["lung"]
    for wrong in ("belly", "0,40", "350", "a,b"):
        with pytest.raises(StudyError, match="expected one of abdomen"):
            named_window(wrong)


WHICH = Question("which", PAIR, "Which?", confidence=3)
GRADE = Question("grade", LIKERT, "Grade?", levels=("bad", "fair", "good"))
POINTS = Question("points", "landmarks", "Where?", points=("apex", "hilum"))
TEXT_FREE = Question("text", TEXT, "Remarks", required=False)


@pytest.mark.parametrize(
    ("question", "answer", "logged"),
    [
        (WHICH, {"choice": "left", "confidence": 3}, {"choice": "left", "confidence": 3}),
        (Question("what", SINGLE, "What?"), "real", {"choice": "real", "confidence": None}),
        (GRADE, 3, 3),
        (POINTS, {"apex": (1, 2, 3), "hilum": None}, {"apex": [1.0, 2.0, 3.0], "hilum": None}),
        (TEXT_FREE, "“a\nb”", "“a\nb”"),
        (TEXT_FREE, "cut \ud83d off", "cut ? off"),
        (TEXT_FREE, "  ", None),
        (TEXT_FREE, None, None),
    ],
)
def test_answers_as_they_are_logged(question, answer, logged):
    assert question.checked(answer) == logged


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (WHICH, "left"),
        (WHICH, {"choice": "left", "confidence": 4}),
        (WHICH, {"choice": "left", "confidence": True}),
        (WHICH, {"choice": "real", "confidence": 1}),
        (WHICH, {"choice": "left", "confidence": 1, "sure": 1}),
        (WHICH, None),
        (Question("what", SINGLE, "What?"), {"choice": "real", "confidence": 2}),
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
def test_answers_of_another_form_are_refused(question, answer):
    with pytest.raises(StudyError, match="expected"):
        question.checked(answer)


def test_the_panel_needs_neither_torch_nor_numpy_to_read():
    code = (
        "import sys\nfrom SlicerSynthReg.reading import session, unblinding, windows\n"
        "print(sorted({'torch', 'numpy', 'scipy', 'matplotlib', 'nibabel'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"
