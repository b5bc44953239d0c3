"""A reader's session: what is shown next, what is logged, and what is refused."""

from __future__ import annotations

import json

import pytest

from SlicerSynthReg.reading.log import check_log
from SlicerSynthReg.reading.question import LANDMARKS, Question, StudyError
from SlicerSynthReg.reading.session import Reading, log_path
from SlicerSynthReg.reading.study import read_study
from SlicerSynthReg.reading.unblinding import unblind, unfinished, verified_logs
from Testing.Backend.reading.conftest import REMARKS, WHICH, read_to_the_end


def entries(study, reader="Ann"):
    return check_log(log_path(study, reader)).entries


def test_answers_one_after_another_to_the_end(a_study):
    study = a_study()
    with Reading(study, "Ann") as reading:
        assert not reading.recovered and reading.current is reading.items[0]
        for number in range(1, 7):
            item = reading.show()
            assert item.number == number
            following = reading.answer({"which": "right"})
            assert following is reading.current
        assert reading.complete and len(reading.answers) == 6
        with pytest.raises(StudyError, match="nothing left to read"):
            reading.show()


def test_the_time_is_what_was_seen_without_pauses(a_study, ticking):
    study = a_study(time_limit_s=100.0)
    with Reading(study, "Ann", clock=ticking.clock, timer=ticking.timer) as reading:
        assert reading.remaining_s == 100
        ticking.now = 50
        reading.show()
        ticking.now = 60
        assert (reading.seconds, reading.remaining_s) == (10, 90)
        reading.pause()
        reading.pause()
        ticking.now = 1000
        assert reading.paused and reading.seconds == 10
        reading.resume()
        ticking.now = 1002.5
        assert not reading.paused and reading.seconds == 12.5
        reading.answer({"which": "left"})
        assert reading.seconds == 0
    begin, show, pause, resume, answer = entries(study)
    assert answer["seconds"] == 12.5 and answer["time"] == "2030-01-01T00:16:42.500+00:00"
    assert [one["kind"] for one in (begin, show, pause, resume)] == ["begin", "show", "pause", "resume"]


def test_time_over_needs_no_answer_and_takes_one(a_study, ticking):
    study = a_study(time_limit_s=10.0)
    with Reading(study, "Ann", timer=ticking.timer) as reading:
        reading.show()
        ticking.now = 11
        assert reading.remaining_s == 0
        with pytest.raises(StudyError, match="no answer to 'Which one"):
            reading.answer({})
        reading.answer({}, timed_out=True)
        reading.show()
        reading.answer({"which": "left"}, timed_out=True)
        first, second = reading.answers[1], reading.answers[2]
    assert first["timed_out"] and first["answers"] == {"which": None}
    assert second["answers"]["which"]["choice"] == "left"


def test_an_answer_before_the_case_was_seen_is_none(a_study):
    with Reading(a_study(), "Ann") as reading:
        with pytest.raises(StudyError, match="before the case was shown"):
            reading.answer({"which": "left"})
        reading.show()
        reading.answer({"which": "left"})
        with pytest.raises(StudyError, match="before the case was shown"):
            reading.answer({"which": "left"})
        assert len(reading.answers) == 1


def test_a_refused_answer_changes_nothing(a_study):
    study = a_study(pair_questions=(WHICH, REMARKS))
    with Reading(study, "Ann") as reading:
        reading.show()
        for wrong in ({}, {"which": "up"}, {"which": "left", "who": 1}, {"remarks": "x"}):
            with pytest.raises(StudyError, match="expected"):
                reading.answer(wrong)
        assert [one["kind"] for one in entries(study)] == ["begin", "show"]
        reading.answer({"which": "left", "remarks": "line\nbreak “ü”  "})
    assert entries(study)[-1]["answers"]["remarks"] == "line\nbreak “ü”  "


def test_going_on_after_closing(a_study):
    study = a_study()
    assert read_to_the_end(study, "Ann", stop_after=2) == 2
    with Reading(study, "Ann") as reading:
        assert reading.current.number == 3 and sorted(reading.answers) == [1, 2]
    assert read_to_the_end(study, "Ann") == 4
    assert read_to_the_end(study, "Bo") == 6, "another reader begins at the beginning"


def test_what_the_log_says_of_a_case_is_enough_to_judge_it(a_study):
    study = a_study(pairs=2)
    with Reading(study, "Ann") as reading:
        item = reading.show()
        reading.answer({"which": "right"})
    answer = entries(study)[-1]
    assert answer["images"] == [image.token for image in item.images]
    assert (answer["case"], answer["part"], answer["number"], answer["repeat"]) == (item.case.token, "pairs", 1, 0)
    assert "patient" not in json.dumps(entries(study))


def test_a_correction_is_a_new_entry(a_study):
    study = a_study(pairs=2)
    with Reading(study, "Ann") as reading:
        reading.show()
        with pytest.raises(StudyError, match="item 1 unanswered"):
            reading.correct(1, {"which": "left"}, "slip")
        reading.answer({"which": "left"})
        with pytest.raises(StudyError, match="without a reason"):
            reading.correct(1, {"which": "right"}, " ")
        reading.correct(1, {"which": "right"}, "slip of the mouse")
        assert reading.current.number == 2
    first, corrected = (one for one in entries(study) if one["kind"] in ("answer", "correction"))
    assert first["answers"]["which"]["choice"] == "left" and corrected["answers"]["which"]["choice"] == "right"
    assert (corrected["of"], corrected["reason"]) == (first["n"], "slip of the mouse")
    with Reading(study, "Ann") as reading:
        assert reading.answers[1]["answers"]["which"]["choice"] == "right"


def test_a_study_file_that_changed_takes_no_more_answers(a_study):
    study = a_study()
    read_to_the_end(study, "Ann", stop_after=1)
    values = json.loads((study.folder / "study.json").read_text())
    values["seed"] += 1
    (study.folder / "study.json").write_text(json.dumps(values))
    with pytest.raises(StudyError, match="another state of the study file"):
        Reading(read_study(study.folder), "Ann")


def test_a_failed_opening_leaves_the_log_free(a_study):
    study = a_study()
    read_to_the_end(study, "Ann", stop_after=1)
    path = log_path(study, "Ann")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"left"', b'"best"'))
    with pytest.raises(StudyError, match="was changed"):
        Reading(study, "Ann")
    path.write_bytes(whole)
    Reading(study, "Ann").close()


def test_two_windows_of_one_reader(a_study):
    study = a_study()
    with Reading(study, "Ann"), pytest.raises(StudyError, match="in use by another window"):
        Reading(study, "Ann")


def test_landmarks_in_the_log(a_study):
    question = Question("points", LANDMARKS, "Place them", points=("apex", "hilum"))
    study = a_study(pairs=1, pair_questions=(question,))
    with Reading(study, "Ann") as reading:
        reading.show()
        reading.answer({"points": {"apex": [1, 2.5, -3], "hilum": None}})
    assert entries(study)[2]["answers"] == {"points": {"apex": [1.0, 2.5, -3.0], "hilum": None}}


def test_the_key_stays_shut_until_all_expected_readers_are_done(a_study):
    study = a_study(readers=("Ann", "Bo"))
    read_to_the_end(study, "Ann")
    with pytest.raises(StudyError, match="Found Bo not finished, expected a complete study"):
        unblind(study, "me")
    read_to_the_end(study, "Bo", stop_after=5)
    assert unfinished(study, verified_logs(study)) == ("Bo",)
    with pytest.raises(StudyError, match="Bo not finished"):
        unblind(study, "me", reason="  ")
    assert "unblind" not in [one["kind"] for one in entries(study)]
    read_to_the_end(study, "Bo")
    assert unblind(study, "me").truth(study.parts[0].cases[0].token).name.startswith("patient")
    assert entries(study)[-1]["by"] == "me" and entries(study, "Bo")[-1]["kind"] == "unblind"


def test_a_crash_right_after_the_last_answer(a_study, monkeypatch):
    study = a_study(pairs=2)
    read_to_the_end(study, "Ann", stop_after=1)
    with Reading(study, "Ann") as reading:
        reading.show()
        monkeypatch.setattr(reading, "_note_completion", lambda: None)
        reading.answer({"which": "left"})
    assert entries(study)[-1]["kind"] == "answer" and unfinished(study, verified_logs(study)) == ()
    with Reading(study, "Ann"), Reading(study, "Bo"):
        pass
    with Reading(study, "Ann") as reading:
        assert reading.complete and [one["kind"] for one in entries(study)].count("complete") == 1
    with pytest.raises(StudyError, match="Found Bo not finished"):
        unblind(study, "me")


def test_opening_early_is_logged_and_ends_the_reading(a_study):
    study = a_study()
    read_to_the_end(study, "Ann", stop_after=2)
    unblind(study, "The Boss", reason="interim analysis")
    last = entries(study)[-1]
    assert (last["by"], last["reason"], last["unfinished"]) == ("The Boss", "interim analysis", ["Ann"])
    with Reading(study, "Ann") as reading:
        reading.show()
        with pytest.raises(StudyError, match="unblinded.*no answers after that"):
            reading.answer({"which": "left"})


def test_no_truth_from_a_tampered_log_or_with_a_wrong_key(a_study):
    study = a_study()
    read_to_the_end(study, "Ann")
    with pytest.raises(StudyError, match="no key at other.json"):
        unblind(study, "me", key=study.folder / "other.json")
    assert "unblind" not in [one["kind"] for one in entries(study)], "nothing was opened"
    path = log_path(study, "Ann")
    path.write_bytes(path.read_bytes().replace(b'"left"', b'"best"', 1))
    with pytest.raises(StudyError, match=r"line 3 of the log ann-.* was changed.*Nothing is computed"):
        unblind(study, "me")


def test_logs_of_another_study_and_copies_are_refused(a_study, tmp_path):
    study = a_study()
    read_to_the_end(study, "Ann")
    path = log_path(study, "Ann")
    for suffix in (".jsonl", ".head.json"):
        copy = path.with_name(f"copy{suffix}")
        copy.write_bytes(path.with_name(path.name.replace(".jsonl", suffix)).read_bytes())
    with pytest.raises(StudyError, match="two logs of one reader, the second copy.jsonl|anna?-"):
        verified_logs(study)
    values = json.loads((study.folder / "study.json").read_text())
    (study.folder / "study.json").write_text(json.dumps(values, indent=3))
    with pytest.raises(StudyError, match="another state of this one"):
        verified_logs(read_study(study.folder))
