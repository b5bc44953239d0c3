"""The page and the commands of a study: contents, self-containedness, anonymity of cases."""

from __future__ import annotations

import json
import math
import re

import pytest
from typer.testing import CliRunner

from SlicerSynthReg.cli.main import app
from SlicerSynthReg.metrics.readers.proportion import proportion
from SlicerSynthReg.reader_study.page import accuracy_statement, study_page
from SlicerSynthReg.reader_study.question import LANDMARKS, ReadingQuestion
from SlicerSynthReg.reader_study.statistics import study_statistics
from SlicerSynthReg.reader_study.unblinding import unblind, verified_logs
from Testing.Backend.reader_study.conftest import QUALITY, complete_reading, write_study
from Testing.Backend.reader_study.simulated import answers

RUN = CliRunner().invoke


@pytest.fixture(scope="module")
def finished_with_grades(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "study"
    study = write_study(folder, pairs=6, singles=8, repeats=2, readers=("Ann", "<Bo>"))
    for reader in study.readers:
        complete_reading(study, reader, lambda item, reader=reader: answers(study.folder, reader, item))
    return study


def test_page(finished_with_grades):
    statistics = study_statistics(
        finished_with_grades, unblind(finished_with_grades, "me"), verified_logs(finished_with_grades)
    )
    page = study_page(statistics)
    assert "patient" not in page and "<Bo>" not in page and "&lt;Bo&gt;" in page
    assert not re.search(r'(src|href)="(?!data:image/png;base64,|#)', page), "no external resources"
    score = statistics.questions[0].readers[0].accuracy
    assert f"{score.successes} of 6" in page and f"({score.lower:.0%} to {score.upper:.0%})" in page
    for word in ("Clopper", "Hautus", "DeLong", "Gwet", "Cohen&#x27;s kappa: Ann and &lt;Bo&gt;", "repeated cases"):
        assert word in page, word
    assert page.count("<img") >= 5 and "Unblinded before the end" not in page


def test_accuracy_statements_of_the_papers_counts():
    assert accuracy_statement(proportion(17, 20)) == "Distinguished real from generated images better than chance."
    assert accuracy_statement(proportion(14, 20)).startswith("Not distinguishable from chance; 46% to 88%")
    assert accuracy_statement(proportion(2, 20)).startswith("Confused real and generated")


def test_landmark_distances(new_study):
    question = ReadingQuestion("points", LANDMARKS, "Place", points=("apex",))
    study = new_study(pairs=2, pair_questions=(question, QUALITY))
    data = json.loads((study.folder / "key.json").read_text())
    data["cases"][0]["landmarks"] = {"apex": [0.0, 0.0, 0.0]}
    tokens = [case["token"] for case in data["cases"]]

    def place(shift):
        def choose(item):
            apex = None if shift is None and item.case.token == tokens[1] else [3.0, 4.0, float(shift or 0)]
            return {"points": {"apex": apex}, "quality": 2}

        return choose

    complete_reading(study, "Ann", place(0))
    complete_reading(study, "Bo", place(12))
    complete_reading(study, "Cy", place(None))
    logs, key = verified_logs(study), unblind(study, "me")
    cases = tuple(
        type(case)(case.token, case.name, case.images, {"apex": [0.0, 0.0, 0.0]} if case.token == tokens[0] else {})
        for case in key.cases
    )
    found = study_statistics(study, type(key)(key.title, key.salt, cases), logs)
    [point] = found.questions[0].distances
    assert point.to_expert_mm == pytest.approx({"Ann": 5.0, "Bo": 13.0, "Cy": 5.0})
    assert (point.placed, point.not_placed) == (5, 1)
    assert point.between_readers_mm == pytest.approx((12 + 0 + 12 + 12) / 4)
    assert "13.0 mm" in study_page(found) and math.isnan(found.questions[1].agreement[0].estimate)


def test_commands(finished_with_grades, tmp_path):
    result = RUN(app, ["review", "stats", str(finished_with_grades.folder), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    values = json.loads((tmp_path / "out" / "statistics.json").read_text())
    assert values["questions"][0]["readers"][0]["reader"] == "Ann" and "NaN" not in json.dumps(values)
    assert {"statistics.html", "accuracy.png", "times.png", "singles-what-roc.png", "singles-quality-grades.png"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    result = RUN(app, ["review", "verify", str(finished_with_grades.folder)])
    assert result.exit_code == 0 and result.output.count("unmod") == 2
    [path, _] = sorted((finished_with_grades.folder / "answers").glob("*.jsonl"))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"confidence":', b'"Confidence":', 1))
    result = RUN(app, ["review", "verify", str(path)])
    path.write_bytes(whole)
    assert result.exit_code == 1 and "line 3" in " ".join(result.output.split())


def test_statistics_before_the_end_need_a_reason(new_study, tmp_path):
    study = new_study()
    complete_reading(study, "Ann", stop_after=3)
    result = RUN(app, ["review", "stats", str(study.folder), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2 and "Ann not finished" in " ".join(result.output.replace("│", " ").split())
    assert not (tmp_path / "out").exists()
    result = RUN(app, ["review", "stats", str(study.folder), "--out", str(tmp_path / "out"), "--incomplete", "a look"])
    assert result.exit_code == 0, result.output
    assert "Unblinded before the end" in (tmp_path / "out" / "statistics.html").read_text()


def test_table_of_the_papers_counts():
    """MFM, section 4.2, with intervals, which the paper does not report."""
    result = RUN(app, ["review", "counts", "pairs=17/20", "singles=14/20", "others=20/20"], env={"COLUMNS": "200"})
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert lines[1].startswith("pairs 17 of 20 85% (62.1% to 96.8%) 0.003 Distinguished")
    assert lines[2].startswith("singles 14 of 20 70% (45.7% to 88.1%) 0.115 Not distinguishable")
    assert lines[3].startswith("others 20 of 20 100% (83.2% to 100.0%) < 0.001 Distinguished")
    assert RUN(app, ["review", "counts", "21/20"]).exit_code == 2


def test_sample_size_planning(tmp_path):
    arguments = ["review", "plan", "--accuracy", "0.7", "--width", "0.2", "--rule-out", "0.65"]
    result = RUN(app, [*arguments, "--plot", str(tmp_path / "power.png")], env={"COLUMNS": "200"}).output
    assert (tmp_path / "power.png").read_bytes().startswith(b"\x89PNG")
    assert re.search(r"from 50% with power 80%\s+54\s", result)
    assert re.search(r"no wider than 20% at 70%\s+88\s", result) and re.search(
        r"exclude an accuracy of 65%.*\s77\s", result
    )
