"""The blinded reading, clicked: what is asked, shown, saved, paused and timed."""

from __future__ import annotations

import json

import pytest
import slicer
from slicerhost import close_scene, dialogs, views

from Testing.Host.synthreview.looking import GREY_A, GREY_B, grey
from Testing.Host.synthreview.studies import (
    PLACES,
    QUALITY,
    REMARKS,
    WHAT,
    answer,
    begin,
    logged,
    truth_of,
    write_study,
)

MIDDLE = (30.0, 30.0, 27.0)
GREYS = {"real": GREY_A, "generated": GREY_B}


def item_of(panel):
    return panel.widget._reading._reading.current


def test_a_study_and_a_name_are_asked_for(panel, tmp_path):
    study = write_study(tmp_path / "study", singles=2)
    panel.expand("readingCollapsibleButton")
    assert not panel.is_enabled("startButton")
    panel["studyPath"].currentPath = str(tmp_path / "nothing.json")
    assert panel.text("studyText").startswith("Found no study at nothing.json")
    panel["studyPath"].currentPath = str(study.folder)
    assert panel.text("studyText") == "Liver study: 2 cases.\nTake your time."
    assert not panel.is_enabled("startButton")
    panel["readerEdit"].text = "Dr. Öz / 2nd floor"
    panel.click("startButton")
    assert panel.text("caseLabel") == "Case 1 of 2"
    assert not panel.is_visible("firstSelector") and not panel.is_visible("startButton")
    panel.click("leaveButton")
    assert panel.is_visible("startButton") and panel.is_visible("compareCollapsibleButton")


def test_a_newer_study_file_is_refused_in_words(panel, tmp_path):
    study = write_study(tmp_path / "study", singles=1)
    content = json.loads((study.folder / "study.json").read_text())
    (study.folder / "study.json").write_text(json.dumps({**content, "version": 99}))
    panel.expand("readingCollapsibleButton")
    panel["studyPath"].currentPath = str(study.folder)
    assert "newer SlicerSynthReg" in panel.text("studyText")


def test_a_pair_lies_side_by_side_and_a_single_in_three_planes(panel, tmp_path, shot):
    study = write_study(tmp_path / "study", pairs=1, singles=1)
    begin(panel, study, "Anna")
    left, right = truth_of(study, item_of(panel))
    shot("pair", ("Red", "RightRed", "Yellow", "RightGreen"))
    assert grey("Red", MIDDLE) == GREYS[left] and grey("RightRed", MIDDLE) == GREYS[right]
    panel.screenshot(tmp_path / "panel.png")
    answer(panel, study, "Anna", item_of(panel))
    [single] = truth_of(study, item_of(panel))
    assert sorted(slicer.app.layoutManager().sliceViewNames()) == ["Green", "Red", "Yellow"]
    for name in ("Red", "Yellow", "Green"):
        assert grey(name, MIDDLE) == GREYS[single]
    answer(panel, study, "Anna", item_of(panel))
    assert panel.text("readingNote").startswith("All cases are read")
    assert not slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert views.pixels("Red").max() == 0


def test_an_answer_is_on_the_disk_before_the_next_case_opens(panel, tmp_path):
    study = write_study(tmp_path / "study", singles=2)
    begin(panel, study, "Anna")
    panel.click("nextCaseButton")
    assert panel.text("answerNote").startswith("Found no answer to 'Real or generated?'")
    panel.click("what_real")
    panel.click("nextCaseButton")
    assert "confidence" in panel.text("answerNote"), "how sure is not yet said"
    panel.choose("what_confidence", "3: certain")
    panel.click("nextCaseButton")
    assert panel.text("caseLabel") == "Case 2 of 2"
    [entry] = logged(study)
    assert entry["answers"] == {"what": {"choice": "real", "confidence": 3}}
    assert not panel["what_real"].checked, "the next case starts without an answer"


def test_grades_text_and_points_are_entered(panel, tmp_path):
    study = write_study(tmp_path / "study", singles=1, questions=(QUALITY, REMARKS, PLACES))
    begin(panel, study, "Anna")
    panel.click("quality_2")
    panel.type("remarks_text", "grainy 2nd")
    panel.click("places_apex")
    point = (25.0, 40.0, 27.0)
    at = views.pixel_of("Red", point)
    views.drag("Red", at, at, steps=1)
    panel.settle()
    panel.click("nextCaseButton")
    [entry] = logged(study)
    given = entry["answers"]
    assert given["quality"] == 2 and given["remarks"].strip() == "grainy 2nd"
    assert given["places"]["apex"] == pytest.approx(point, abs=3.0) and given["places"]["base"] is None
    assert not slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")


def test_a_pause_hides_the_case_and_stops_the_clock(panel, tmp_path):
    study = write_study(tmp_path / "study", singles=1, questions=(WHAT, PLACES))
    begin(panel, study, "Anna")
    panel.click("what_real")
    panel.click("pauseButton")
    seconds = panel.widget._reading._reading.seconds
    assert views.pixels("Red").max() == 0
    assert not panel.is_enabled("nextCaseButton") and "Paused" in panel.text("answerNote")
    panel.serve_turns(20)
    assert panel.widget._reading._reading.seconds == seconds
    panel.click("pauseButton")
    assert views.pixels("Red").max() > 0 and panel["what_real"].checked
    panel.leave()
    assert panel.widget._reading._reading.paused, "another module was chosen"
    panel.return_()
    close_scene()
    panel.click("pauseButton")
    assert views.pixels("Red").max() > 0, "loaded again after the scene was closed"
    assert slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode"), "so are the points"
    assert [entry["kind"] for entry in logged(study, "pause")] == ["pause", "pause"]


def test_when_the_time_is_over_what_was_entered_is_kept(panel, tmp_path):
    study = write_study(tmp_path / "study", singles=2, questions=(QUALITY, WHAT), limit=1.0)
    begin(panel, study, "Anna")
    panel.click("quality_3")
    panel.click("what_real")  # and not how sure: half an answer is none
    panel.wait_until(lambda: panel.text("caseLabel") == "Case 2 of 2")
    assert panel.text("readingNote").startswith("The time limit of that case was reached")
    [entry] = logged(study)[:1]
    assert entry["timed_out"] and entry["answers"] == {"quality": 3, "what": None}
    panel.click("pauseButton")
    assert "s left" in panel.text("timeLabel")


def test_an_answer_is_corrected_with_a_reason_and_the_earlier_one_stays(panel, tmp_path):
    study = write_study(tmp_path / "study", singles=3, limit=60.0)
    begin(panel, study, "Anna")
    assert not panel.is_visible("correctButton"), "nothing is answered yet"
    first = item_of(panel)
    answer(panel, study, "Anna", first)
    answer(panel, study, "Anna", item_of(panel))
    panel.choose("correctionBox", "Case 1")
    panel.click("correctButton")
    seconds = panel.widget._reading._reading.seconds
    [kind] = truth_of(study, first)
    assert grey("Red", MIDDLE) == GREYS[kind] and panel.text("caseLabel").startswith("Case 1: correct the answer")
    panel.click("what_real")
    panel.choose("what_confidence", "1: guess")
    panel.click("nextCaseButton")
    assert "without a reason" in panel.text("answerNote"), "a correction says why"
    panel.type("correctionReasonEdit", "slip of the mouse")
    panel.click("nextCaseButton")
    assert panel.text("answerNote").startswith("The correction is saved") and views.pixels("Red").max() == 0
    assert not panel.is_enabled("nextCaseButton"), "the open case waits until the reader goes on"
    assert panel.widget._reading._reading.seconds == seconds, "a correction does not count as reading time"
    panel.click("pauseButton")
    [kind] = truth_of(study, item_of(panel))
    assert panel.text("caseLabel") == "Case 3 of 3" and grey("Red", MIDDLE) == GREYS[kind]
    [correction], answers = logged(study, "correction"), logged(study)
    assert len(answers) == 2 and correction["of"] == answers[0]["n"]
    assert correction["answers"] == {"what": {"choice": "real", "confidence": 1}}
    answer(panel, study, "Anna", item_of(panel))
    panel.click("startButton")
    assert panel.text("caseLabel") == "All 3 cases are read." and not panel.is_enabled("nextCaseButton")
    panel.choose("correctionBox", "Case 3")
    panel.click("correctButton")
    panel.leave()
    panel.return_()
    assert views.pixels("Red").max() == 0, "a correction that was begun is dropped with the module"
    panel.click("leaveButton")
    assert len(logged(study, "correction")) == 1 and panel.is_visible("startButton")


def test_missing_images_and_a_tampered_log_are_named_and_nothing_is_lost(panel, tmp_path):
    study = write_study(tmp_path / "study", singles=3)
    begin(panel, study, "Anna")
    answer(panel, study, "Anna", item_of(panel))
    panel.click("leaveButton")
    [log] = (study.folder / "answers").glob("*.jsonl")
    honest = log.read_text()
    log.write_text(honest.replace('"confidence":2', '"confidence":3').replace('"confidence": 2', '"confidence": 3'))
    assert log.read_text() != honest
    panel.click("startButton")
    assert "line" in panel.text("readingNote") and panel.is_visible("startButton")
    log.write_text(honest)
    images = sorted((study.folder / "images").iterdir())
    for image in images:
        image.rename(image.with_suffix(".away"))
    panel.click("startButton")
    assert "3 images" in panel.text("readingNote") and "DOE" not in panel.text("readingNote")
    for image in images:
        image.with_suffix(".away").write_text("no image")
        image.with_suffix(".away").rename(image)
    panel.click("startButton")
    assert panel.text("readingNote").startswith("Found that Case 2 cannot be read")
    assert len(logged(study)) == 1


def test_what_is_in_the_scene_goes_only_with_consent(panel, tmp_path, a_block):
    study = write_study(tmp_path / "study", singles=1)
    a_block("my work", 100)
    dialogs.answer("Cancel")
    begin(panel, study, "Anna")
    assert panel.is_visible("startButton") and slicer.util.getNode("my work") is not None
    dialogs.answer("OK")
    panel.click("startButton")
    assert panel.text("caseLabel") == "Case 1 of 1"
    assert [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")] == ["Case 1"]
