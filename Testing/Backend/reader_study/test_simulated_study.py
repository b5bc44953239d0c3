"""Two simulated readers of 40 cases, whose processes are killed during writes: statistics equal their answers."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from itertools import product
from pathlib import Path
from statistics import NormalDist

import pytest
from scipy.stats import beta

from SlicerSynthReg.reader_study.session import ReadingSession
from SlicerSynthReg.reader_study.statistics import StudyStatistics, study_statistics
from SlicerSynthReg.reader_study.study import Study
from SlicerSynthReg.reader_study.unblinding import unblind, verified_logs
from Testing.Backend.reader_study.conftest import refused, write_study
from Testing.Backend.reader_study.simulated import confidence, is_correct, quality, roles_of

ROOT = Path(__file__).resolve().parents[3]
READERS = ("Dr. Ö. Næss / “2nd floor”", "李医生 <li@x>")
CASES, REPEATS = 20, 3
pytestmark = pytest.mark.skipif(os.name == "nt", reason="uses SIGKILL")


def read_with_kills(folder: Path, reader: str) -> list[int]:
    """Run processes that are killed until one completes; return the number of acknowledged answers of each."""
    acknowledged = []
    for attempt in range(20):
        moment, keep = 31 + 4 * attempt, (0, 30, 70, 99, 100)[attempt % 5]
        command = [sys.executable, "-m", "Testing.Backend.reader_study.simulated", str(folder), reader]
        done = subprocess.run([*command, str(moment), str(keep)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        acknowledged.append(int((done.stdout.split() or ["0"])[-1]))
        if done.returncode == 0:
            return acknowledged
        assert done.returncode == -signal.SIGKILL
    raise AssertionError("did not finish")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    folder = tmp_path_factory.mktemp("simulated") / "study"
    made = write_study(folder, pairs=CASES, singles=CASES, repeats=REPEATS, readers=READERS)
    with refused("log-missing"):
        unblind(made, "me", reason="curious")
    for number, reader in enumerate(READERS):
        seen = read_with_kills(folder, reader)
        assert len(seen) > 2 and sorted(seen) == seen and seen[-1] == 2 * (CASES + REPEATS), seen
        if number == 0:
            with refused("study-unfinished"):
                unblind(made, "me")
    return made


@pytest.fixture(scope="module")
def statistics(study) -> StudyStatistics:
    key = unblind(study, "the statistician")
    return study_statistics(study, key, verified_logs(study))


def cases_of(study: Study, part: str) -> list[str]:
    return [case.token for case in study.part(part).cases]


def test_no_answer_is_lost_or_counted_twice(study, statistics):
    for reader, entries in verified_logs(study).items():
        kinds = [entry["kind"] for entry in entries]
        assert reader in READERS
        assert kinds.count("answer") == 2 * (CASES + REPEATS) and kinds.count("complete") == kinds.count("unblind") == 1
        assert kinds.count("show") > kinds.count("answer"), "an interrupted case is presented and logged again"
    assert any("recovered" in [e["kind"] for e in entries] for entries in verified_logs(study).values())
    names = sorted(path.name for path in (study.folder / "answers").glob("*.jsonl"))
    assert [name[:-17] for name in names] == ["dr-o-nss-2nd-floor", "li-x"] and all(name.isascii() for name in names)


def test_accuracy_with_interval_and_p_value(study, statistics):
    for part, question in (("pairs", "which"), ("singles", "what")):
        [found] = [q for q in statistics.questions if (q.part, q.question.name) == (part, question)]
        tokens = cases_of(study, part)
        total = 0
        for score in found.readers:
            right = sum(is_correct(score.reader, token, 0) for token in tokens)
            total += right
            assert (score.accuracy.successes, score.accuracy.count, score.missing) == (right, CASES, 0)
            assert score.accuracy.lower == pytest.approx(beta.ppf(0.025, right, CASES - right + 1))
            assert score.accuracy.upper == pytest.approx(beta.ppf(0.975, right + 1, CASES - right))
            far = max(right, CASES - right)
            tail = sum(math.comb(CASES, k) for k in range(far, CASES + 1)) / 2**CASES
            assert score.accuracy.p_value == pytest.approx(min(1.0, 2 * tail))
        assert (found.pooled.successes, found.pooled.count) == (total, 2 * CASES)


def test_d_prime(study, statistics):
    roles = roles_of(study.folder)
    [found] = [q for q in statistics.questions if q.question.name == "what"]
    z = NormalDist().inv_cdf
    for score in found.readers:
        generated = [t for t in cases_of(study, "singles") if "generated" in roles[t].values()]
        real = [t for t in cases_of(study, "singles") if "real" in roles[t].values()]
        hits = sum(is_correct(score.reader, t, 0) for t in generated)
        alarms = sum(not is_correct(score.reader, t, 0) for t in real)
        h, f = (hits + 0.5) / (len(generated) + 1), (alarms + 0.5) / (len(real) + 1)
        assert score.sensitivity.d_prime == pytest.approx(z(h) - z(f))
        assert score.sensitivity.bias == pytest.approx(-(z(h) + z(f)) / 2)


def test_d_prime_of_pairs_uses_the_presented_sides(study, statistics):
    roles = roles_of(study.folder)
    logs = verified_logs(study)
    [found] = [q for q in statistics.questions if q.question.name == "which"]
    z = NormalDist().inv_cdf
    for score in found.readers:
        entries = [e for e in logs[score.reader] if e["kind"] == "answer" and e["part"] == "pairs" and not e["repeat"]]
        left = [e for e in entries if roles[e["case"]][e["images"][0]] == "generated"]
        right = [e for e in entries if e not in left]
        said = [sum(e["answers"]["which"]["choice"] == "left" for e in those) for those in (left, right)]
        h, f = (said[0] + 0.5) / (len(left) + 1), (said[1] + 0.5) / (len(right) + 1)
        assert score.sensitivity.d_prime == pytest.approx((z(h) - z(f)) / math.sqrt(2))


def test_auc_by_counting_pairs(study, statistics):
    roles = roles_of(study.folder)
    [found] = [q for q in statistics.questions if q.question.name == "what"]
    for score in found.readers:
        grades = {"real": [], "generated": []}
        for token in cases_of(study, "singles"):
            [role] = roles[token].values()
            towards_generated = (role == "generated") == is_correct(score.reader, token, 0)
            grades[role].append((1 if towards_generated else -1) * confidence(score.reader, token))
        wins = [(g > r) + (g == r) / 2 for g, r in product(grades["generated"], grades["real"])]
        assert score.roc.auc == pytest.approx(sum(wins) / len(wins))
        assert score.roc.lower < score.roc.auc < score.roc.upper


def test_agreement(study, statistics):
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater", reason="statsmodels is not installed")
    roles = roles_of(study.folder)
    for name, size in (("which", 2), ("what", 2), ("quality", 4)):
        [found] = [q for q in statistics.questions if q.question.name == name]
        table = [[0] * size for _ in range(size)]
        for token in cases_of(study, found.part):
            [*role] = roles[token].values()
            if name == "quality":
                one, two = (quality(reader, token, 0) - 1 for reader in READERS)
            elif name == "which":
                one, two = (int(is_correct(reader, token, 0)) for reader in READERS)
            else:
                one, two = (int((role[0] == "generated") == is_correct(reader, token, 0)) for reader in READERS)
            table[one][two] += 1
        expected = inter_rater.cohens_kappa(table, wt="quadratic" if name == "quality" else None)
        cohen, fleiss, ac1 = found.agreement
        assert cohen.name.startswith("Cohen's kappa") and cohen.name.endswith(f": {READERS[0]} and {READERS[1]}")
        assert cohen.estimate == pytest.approx(expected.kappa)
        assert cohen.standard_error == pytest.approx(expected.std_kappa)
        rows = [[(i == a) + (i == b) for i in range(size)] for a in range(size) for b in range(size)
                for _ in range(table[a][b])]  # fmt: skip
        assert fleiss.estimate == pytest.approx(inter_rater.fleiss_kappa(rows))
        shares = [sum(row[i] for row in rows) / (2 * len(rows)) for i in range(size)]
        by_chance = sum(p * (1 - p) for p in shares) / (size - 1)
        equal = sum(table[i][i] for i in range(size)) / CASES
        assert ac1.estimate == pytest.approx((equal - by_chance) / (1 - by_chance))


def test_intra_reader_agreement(study, statistics):
    logs = verified_logs(study)
    [found] = [q for q in statistics.questions if q.question.name == "quality"]
    for score in found.readers:
        repeats = [e for e in logs[score.reader] if e["kind"] == "answer" and e["repeat"] == 1]
        again = {e["case"] for e in repeats if e["part"] == "singles"}
        same = sum(quality(score.reader, token, 0) == quality(score.reader, token, 1) for token in again)
        assert (score.repeats.agreement.successes, score.repeats.agreement.count) == (same, REPEATS)


def test_comments_and_likert_counts(study, statistics):
    comments = [q for q in statistics.questions if q.question.name == "comments"][0].comments
    assert all(text.endswith(reader) for reader, _, text in comments) and len(comments) > CASES
    [found] = [q for q in statistics.questions if q.question.name == "quality"]
    roles = roles_of(study.folder)
    for score in found.readers:
        for role, counts in score.grades.items():
            own = [quality(score.reader, t, 0) for t in cases_of(study, "singles") if role in roles[t].values()]
            assert counts == tuple(own.count(level) for level in (1, 2, 3, 4))


def test_no_answer_is_accepted_after_unblinding(study, statistics):
    with ReadingSession(study, READERS[0]) as reading:
        assert reading.complete and reading.unblinded
        with refused("reading-unblinded"):
            reading.correct(1, {"which": "left"}, "a second thought")
    before = {reader: len(entries) for reader, entries in verified_logs(study).items()}
    unblind(study, "again")
    assert {reader: len(entries) for reader, entries in verified_logs(study).items()} == before
