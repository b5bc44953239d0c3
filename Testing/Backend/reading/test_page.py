"""The page of a study: what it says, and that it fetches nothing and names no case."""

from __future__ import annotations

import json
import math
import re

import pytest
from typer.testing import CliRunner

from SlicerSynthReg.cli import app
from SlicerSynthReg.evaluate.readers.proportion import proportion
from SlicerSynthReg.reading.page import study_page, verdict
from SlicerSynthReg.reading.question import LANDMARKS, Question
from SlicerSynthReg.reading.statistics import study_statistics
from SlicerSynthReg.reading.unblinding import unblind, verified_logs
from Testing.Backend.reading.conftest import QUALITY, read_to_the_end, write_study
from Testing.Backend.reading.simulated import answers

RUN = CliRunner().invoke


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "study"
    study = write_study(folder, pairs=6, singles=8, repeats=2, readers=("Ann", "<Bo>"))
    for reader in study.readers:
        read_to_the_end(study, reader, lambda item, reader=reader: answers(study.folder, reader, item))
    return study


def test_the_page(finished):
    statistics = study_statistics(finished, unblind(finished, "me"), verified_logs(finished))
    page = study_page(statistics)
    assert "patient" not in page and "<Bo>" not in page and "&lt;Bo&gt;" in page
    assert not re.search(r'(src|href)="(?!data:image/png;base64,|#)', page), "nothing is fetched"
    score = statistics.questions[0].readers[0].accuracy
    assert f"{score.successes} of 6" in page and f"({score.lower:.0%} to {score.upper:.0%})" in page
    for word in ("Clopper", "Hautus", "DeLong", "Gwet", "Cohen&#x27;s kappa: Ann and &lt;Bo&gt;", "cases shown twice"):
        assert word in page, word
    assert page.count("<img") >= 5 and "Unblinded before the end" not in page


def test_the_verdicts_of_the_papers_counts():
    assert verdict(proportion(17, 20)) == "Told real from generated more often than by guessing."
    assert verdict(proportion(14, 20)).startswith("Not told from guessing by this many cases; anything from 46% to 88%")
    assert verdict(proportion(2, 20)).startswith("Took one for the other")


def test_distances_of_points(a_study):
    question = Question("points", LANDMARKS, "Place", points=("apex",))
    study = a_study(pairs=2, pair_questions=(question, QUALITY))
    data = json.loads((study.folder / "key.json").read_text())
    data["cases"][0]["landmarks"] = {"apex": [0.0, 0.0, 0.0]}
    tokens = [case["token"] for case in data["cases"]]

    def place(shift):
        def choose(item):
            apex = None if shift is None and item.case.token == tokens[1] else [3.0, 4.0, float(shift or 0)]
            return {"points": {"apex": apex}, "quality": 2}

        return choose

    read_to_the_end(study, "Ann", place(0))
    read_to_the_end(study, "Bo", place(12))
    read_to_the_end(study, "Cy", place(None))
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


def test_the_commands(finished, tmp_path):
    told = RUN(app, ["review", "stats", str(finished.folder), "--out", str(tmp_path / "out")])
    assert told.exit_code == 0, told.output
    values = json.loads((tmp_path / "out" / "statistics.json").read_text())
    assert values["questions"][0]["readers"][0]["reader"] == "Ann" and "NaN" not in json.dumps(values)
    assert {"statistics.html", "accuracy.png", "times.png", "singles-what-roc.png", "singles-quality-grades.png"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    told = RUN(app, ["review", "verify", str(finished.folder)])
    assert told.exit_code == 0 and told.output.count("untouched") == 2
    [path, _] = sorted((finished.folder / "answers").glob("*.jsonl"))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"confidence":', b'"Confidence":', 1))
    told = RUN(app, ["review", "verify", str(path)])
    path.write_bytes(whole)
    assert told.exit_code == 1 and "line 3" in " ".join(told.output.split())


def test_statistics_before_the_end_ask_for_a_reason(a_study, tmp_path):
    study = a_study()
    read_to_the_end(study, "Ann", stop_after=3)
    told = RUN(app, ["review", "stats", str(study.folder), "--out", str(tmp_path / "out")])
    assert told.exit_code == 2 and "Ann not finished" in " ".join(told.output.replace("│", " ").split())
    assert not (tmp_path / "out").exists()
    told = RUN(app, ["review", "stats", str(study.folder), "--out", str(tmp_path / "out"), "--incomplete", "a look"])
    assert told.exit_code == 0, told.output
    assert "Unblinded before the end" in (tmp_path / "out" / "statistics.html").read_text()


def test_the_paper_table_from_its_counts():
    """MFM, section 4.2, with the intervals that the paper does not give."""
    told = RUN(app, ["review", "counts", "pairs=17/20", "singles=14/20", "others=20/20"], env={"COLUMNS": "200"})
    lines = [" ".join(line.split()) for line in told.output.splitlines()]
    assert lines[1].startswith("pairs 17 of 20 85% (62.1% to 96.8%) 0.003 Told")
    assert lines[2].startswith("singles 14 of 20 70% (45.7% to 88.1%) 0.115 Not told")
    assert lines[3].startswith("others 20 of 20 100% (83.2% to 100.0%) < 0.001 Told")
    assert RUN(app, ["review", "counts", "21/20"]).exit_code == 2


def test_planning(tmp_path):
    arguments = ["review", "plan", "--accuracy", "0.7", "--width", "0.2", "--rule-out", "0.65"]
    told = RUN(app, [*arguments, "--plot", str(tmp_path / "power.png")], env={"COLUMNS": "200"}).output
    assert (tmp_path / "power.png").read_bytes().startswith(b"\x89PNG")
    assert re.search(r"tell 70% right answers from 50% with power 80%\s+54\s", told)
    assert re.search(r"no wider than 20% at 70%\s+88\s", told) and re.search(r"fewer than 65%.*\s77\s", told)
