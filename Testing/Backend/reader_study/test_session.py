"""Reading session: order, timing, logging, and refused calls."""

from __future__ import annotations

import json

import pytest

from SlicerSynthReg.errors import StudyError
from SlicerSynthReg.reader_study.question import LANDMARKS, ReadingQuestion
from SlicerSynthReg.reader_study.response_log import verify_log
from SlicerSynthReg.reader_study.session import ReadingSession, log_path
from SlicerSynthReg.reader_study.study import read_study
from SlicerSynthReg.reader_study.unblinding import unblind, unfinished_readers, verified_logs
from Testing.Backend.reader_study.conftest import COMMENTS, WHICH, complete_reading, refused


def entries(study, reader="Ann"):
    return verify_log(log_path(study, reader)).entries


def test_items_are_answered_in_order(new_study):
    study = new_study()
    with ReadingSession(study, "Ann") as reading:
        assert not reading.recovered and reading.current is reading.items[0]
        for number in range(1, 7):
            item = reading.show()
            assert item.number == number
            following = reading.answer({"which": "right"})
            assert following is reading.current
        assert reading.complete and len(reading.answers) == 6
        with refused("reading-complete"):
            reading.show()


def test_reading_time_excludes_pauses(new_study, manual_clock):
    study = new_study(time_limit_s=100.0)
    with ReadingSession(study, "Ann", clock=manual_clock.clock, timer=manual_clock.timer) as reading:
        assert reading.remaining_s == 100
        manual_clock.now = 50
        reading.show()
        manual_clock.now = 60
        assert (reading.seconds, reading.remaining_s) == (10, 90)
        reading.pause()
        reading.pause()
        manual_clock.now = 1000
        assert reading.paused and reading.seconds == 10
        reading.resume()
        manual_clock.now = 1002.5
        assert not reading.paused and reading.seconds == 12.5
        reading.answer({"which": "left"})
        assert reading.seconds == 0
    begin, show, pause, resume, answer = entries(study)
    assert answer["seconds"] == 12.5 and answer["time"] == "2030-01-01T00:16:42.500+00:00"
    assert [one["kind"] for one in (begin, show, pause, resume)] == ["begin", "show", "pause", "resume"]


def test_answers_are_optional_after_the_time_limit(new_study, manual_clock):
    study = new_study(time_limit_s=10.0)
    with ReadingSession(study, "Ann", timer=manual_clock.timer) as reading:
        reading.show()
        manual_clock.now = 11
        assert reading.remaining_s == 0
        with refused("answer-missing"):
            reading.answer({})
        reading.answer({}, timed_out=True)
        reading.show()
        reading.answer({"which": "left"}, timed_out=True)
        first, second = reading.answers[1], reading.answers[2]
    assert first["timed_out"] and first["answers"] == {"which": None}
    assert second["answers"]["which"]["choice"] == "left"


def test_answer_before_the_presentation_is_refused(new_study):
    with ReadingSession(new_study(), "Ann") as reading:
        with refused("case-not-shown"):
            reading.answer({"which": "left"})
        reading.show()
        reading.answer({"which": "left"})
        with refused("case-not-shown"):
            reading.answer({"which": "left"})
        assert len(reading.answers) == 1


def test_refused_answer_changes_nothing(new_study):
    study = new_study(pair_questions=(WHICH, COMMENTS))
    with ReadingSession(study, "Ann") as reading:
        reading.show()
        for wrong in ({}, {"which": "up"}, {"which": "left", "who": 1}, {"comments": "x"}):
            with pytest.raises(StudyError):
                reading.answer(wrong)
        assert [one["kind"] for one in entries(study)] == ["begin", "show"]
        reading.answer({"which": "left", "comments": "line\nbreak “ü”  "})
    assert entries(study)[-1]["answers"]["comments"] == "line\nbreak “ü”  "


def test_session_resumes_after_closing(new_study):
    study = new_study()
    assert complete_reading(study, "Ann", stop_after=2) == 2
    with ReadingSession(study, "Ann") as reading:
        assert reading.current.number == 3 and sorted(reading.answers) == [1, 2]
    assert complete_reading(study, "Ann") == 4
    assert complete_reading(study, "Bo") == 6, "another reader starts at the first item"


def test_log_identifies_case_and_images(new_study):
    study = new_study(pairs=2)
    with ReadingSession(study, "Ann") as reading:
        item = reading.show()
        reading.answer({"which": "right"})
    answer = entries(study)[-1]
    assert answer["images"] == [image.token for image in item.images]
    assert (answer["case"], answer["part"], answer["number"], answer["repeat"]) == (item.case.token, "pairs", 1, 0)
    assert "patient" not in json.dumps(entries(study))


def test_correction_is_a_new_entry(new_study):
    study = new_study(pairs=2)
    with ReadingSession(study, "Ann") as reading:
        reading.show()
        with refused("correction-invalid"):
            reading.correct(1, {"which": "left"}, "slip")
        reading.answer({"which": "left"})
        with refused("correction-invalid"):
            reading.correct(1, {"which": "right"}, " ")
        reading.correct(1, {"which": "right"}, "slip of the mouse")
        assert reading.current.number == 2
    first, corrected = (one for one in entries(study) if one["kind"] in ("answer", "correction"))
    assert first["answers"]["which"]["choice"] == "left" and corrected["answers"]["which"]["choice"] == "right"
    assert (corrected["of"], corrected["reason"]) == (first["n"], "slip of the mouse")
    with ReadingSession(study, "Ann") as reading:
        assert reading.answers[1]["answers"]["which"]["choice"] == "right"


def test_changed_study_file_is_refused(new_study):
    study = new_study()
    complete_reading(study, "Ann", stop_after=1)
    values = json.loads((study.folder / "study.json").read_text())
    values["seed"] += 1
    (study.folder / "study.json").write_text(json.dumps(values))
    with refused("log-mismatch"):
        ReadingSession(read_study(study.folder), "Ann")


def test_failed_opening_releases_the_lock(new_study):
    study = new_study()
    complete_reading(study, "Ann", stop_after=1)
    path = log_path(study, "Ann")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"left"', b'"best"'))
    with refused("log-damaged"):
        ReadingSession(study, "Ann")
    path.write_bytes(whole)
    ReadingSession(study, "Ann").close()


def test_second_session_of_a_reader_is_refused(new_study):
    study = new_study()
    with ReadingSession(study, "Ann"), refused("log-in-use"):
        ReadingSession(study, "Ann")


def test_landmarks_in_the_log(new_study):
    question = ReadingQuestion("points", LANDMARKS, "Place them", points=("apex", "hilum"))
    study = new_study(pairs=1, pair_questions=(question,))
    with ReadingSession(study, "Ann") as reading:
        reading.show()
        reading.answer({"points": {"apex": [1, 2.5, -3], "hilum": None}})
    assert entries(study)[2]["answers"] == {"points": {"apex": [1.0, 2.5, -3.0], "hilum": None}}


def test_unblinding_needs_all_expected_readers(new_study):
    study = new_study(readers=("Ann", "Bo"))
    complete_reading(study, "Ann")
    with refused("study-unfinished"):
        unblind(study, "me")
    complete_reading(study, "Bo", stop_after=5)
    assert unfinished_readers(study, verified_logs(study)) == ("Bo",)
    with refused("study-unfinished"):
        unblind(study, "me", reason="  ")
    assert "unblind" not in [one["kind"] for one in entries(study)]
    complete_reading(study, "Bo")
    assert unblind(study, "me").truth(study.parts[0].cases[0].token).name.startswith("patient")
    assert entries(study)[-1]["by"] == "me" and entries(study, "Bo")[-1]["kind"] == "unblind"


def test_crash_after_the_last_answer(new_study, monkeypatch):
    study = new_study(pairs=2)
    complete_reading(study, "Ann", stop_after=1)
    with ReadingSession(study, "Ann") as reading:
        reading.show()
        monkeypatch.setattr(reading, "_log_completion", lambda: None)
        reading.answer({"which": "left"})
    assert entries(study)[-1]["kind"] == "answer" and unfinished_readers(study, verified_logs(study)) == ()
    with ReadingSession(study, "Ann"), ReadingSession(study, "Bo"):
        pass
    with ReadingSession(study, "Ann") as reading:
        assert reading.complete and [one["kind"] for one in entries(study)].count("complete") == 1
    with refused("study-unfinished"):
        unblind(study, "me")


def test_early_unblinding_is_logged_and_ends_the_reading(new_study):
    study = new_study()
    complete_reading(study, "Ann", stop_after=2)
    unblind(study, "The Boss", reason="interim analysis")
    last = entries(study)[-1]
    assert (last["by"], last["reason"], last["unfinished"]) == ("The Boss", "interim analysis", ["Ann"])
    with ReadingSession(study, "Ann") as reading:
        reading.show()
        with refused("reading-unblinded"):
            reading.answer({"which": "left"})


def test_unblinding_needs_valid_logs_and_key(new_study):
    study = new_study()
    complete_reading(study, "Ann")
    with refused("key-missing"):
        unblind(study, "me", key=study.folder / "other.json")
    assert "unblind" not in [one["kind"] for one in entries(study)], "nothing was unblinded"
    path = log_path(study, "Ann")
    path.write_bytes(path.read_bytes().replace(b'"left"', b'"best"', 1))
    with refused("log-damaged"):
        unblind(study, "me")


def test_logs_of_another_study_and_copies_are_refused(new_study, tmp_path):
    study = new_study()
    complete_reading(study, "Ann")
    path = log_path(study, "Ann")
    for suffix in (".jsonl", ".head.json"):
        copy = path.with_name(f"copy{suffix}")
        copy.write_bytes(path.with_name(path.name.replace(".jsonl", suffix)).read_bytes())
    with refused("log-duplicate"):
        verified_logs(study)
    values = json.loads((study.folder / "study.json").read_text())
    (study.folder / "study.json").write_text(json.dumps(values, indent=3))
    with refused("log-mismatch"):
        verified_logs(read_study(study.folder))
