"""Studies from folders and tables: no case twice, halves balanced, and no name, header or side that tells anything."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from SlicerSynthReg.cli import app
from SlicerSynthReg.reading.key import read_key
from SlicerSynthReg.reading.make import PartPlan, StudyPlan, make_study
from SlicerSynthReg.reading.question import LANDMARKS, LIKERT, PAIR, SINGLE, Question, StudyError
from SlicerSynthReg.reading.sources import find_sources
from SlicerSynthReg.reading.study import read_study
from SlicerSynthReg.reading.windows import PRESETS
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume

PATIENT = "DOE_JANE"
WHICH, WHAT = Question("which", PAIR, "Which one is generated?"), Question("what", SINGLE, "Real or generated?")
GRADE = Question("grade", LIKERT, "Quality", levels=("bad", "good"))


def write_image(path: Path, seed: int, spacing: float = 2.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).normal(size=(4, 5, 6))
    grid = Grid((4, 5, 6), np.diag([spacing, 2, 2, 1]))
    write_volume(Volume(torch.from_numpy(values[None]).float(), grid), path, derived=path.parent.name == "generated")
    return path


@pytest.fixture
def two_folders(tmp_path) -> Path:
    """real and generated, ten cases with both and one with each alone."""
    for n in range(11):
        write_image(tmp_path / "data" / "real" / f"{PATIENT}_{n:02d}.nii.gz", n)
    for n in [*range(10), 11]:
        write_image(tmp_path / "data" / "generated" / f"{PATIENT}_{n:02d}.nii.gz", 100 + n)
    return tmp_path / "data"


def plan(**counts) -> StudyPlan:
    questions = {"pairs": (WHICH, GRADE), "singles": (WHAT,), "ratings": (GRADE,)}
    parts = tuple(PartPlan(name, questions[name], count) for name, count in counts.items())
    return StudyPlan("A study", parts, seed=3)


def test_pairs_and_singles_from_two_folders(two_folders, tmp_path):
    study = make_study(find_sources(two_folders), plan(pairs=4, singles=6), tmp_path / "study")
    key = read_key(study)
    assert [len(part.cases) for part in study.parts] == [4, 6]
    assert len({case.name for case in key.cases}) == 10, "no case is read in two parts"
    roles = {case.token: sorted(case.images.values()) for case in key.cases}
    assert all(roles[case.token] == ["generated", "real"] for case in study.part("pairs").cases)
    singles = [roles[case.token][0] for case in study.part("singles").cases]
    assert sorted(singles) == ["generated"] * 3 + ["real"] * 3
    study.require_images()
    study.require_unchanged_images()
    for case in key.cases:
        for token, role in case.images.items():
            shown = nibabel.load(study.folder / "images" / f"{token}.nii")
            original = nibabel.load(two_folders / role / f"{case.name}.nii.gz")
            assert np.array_equal(shown.get_fdata(), original.get_fdata())
            assert np.allclose(shown.affine, original.affine)


def test_nothing_but_the_key_tells_who_or_what(two_folders, tmp_path):
    study = make_study(find_sources(two_folders), plan(pairs=5, singles=5), tmp_path / "study", tmp_path / "safe.json")
    files = {path: path.read_bytes() for path in study.folder.rglob("*") if path.is_file()}
    assert len(files) == 1 + 15 and (tmp_path / "safe.json").exists()
    for path, data in files.items():
        assert PATIENT.encode() not in data and PATIENT not in path.name and str(two_folders).encode() not in data
        if path.suffix == ".json":
            for word in (b'"real"', b'"generated"', b"data/"):
                assert word not in data
    headers = {data[:348] for path, data in files.items() if path.suffix == ".nii"}
    assert len(headers) == 1, "real and generated images have one header"
    assert sorted(path.name for path in study.folder.iterdir()) == ["images", "study.json"]
    read_key(study, tmp_path / "safe.json")


def test_the_order_in_the_file_tells_nothing(tmp_path):
    """Over twenty studies of ten pairs, the generated image comes first in about half of the cases."""
    for n in range(10):
        write_image(tmp_path / "data" / "real" / f"{n}.nii", n)
        write_image(tmp_path / "data" / "generated" / f"{n}.nii", 50 + n)
    sources, first = find_sources(tmp_path / "data"), 0
    for number in range(20):
        study = make_study(sources, plan(pairs=10), tmp_path / f"study{number}", copy=False)
        key = read_key(study)
        for case in study.parts[0].cases:
            first += key.truth(case.token).images[case.images[0].token] == "generated"
        assert [c.token for c in study.parts[0].cases] == sorted(c.token for c in study.parts[0].cases)
    assert 70 < first < 130


def test_a_folder_for_each_case_and_plain_images(tmp_path):
    write_image(tmp_path / "cases" / "A" / "real.nii", 1)
    write_image(tmp_path / "cases" / "A" / "generated.nii", 2)
    write_image(tmp_path / "cases" / "B" / "real.nrrd", 3)
    (tmp_path / "cases" / "notes.txt").write_text("x")
    a, b = find_sources(tmp_path / "cases")
    assert set(a.images) == {"real", "generated"} and set(b.images) == {"real"} and (a.name, b.name) == ("A", "B")
    write_image(tmp_path / "plain" / "x.nii", 1)
    write_image(tmp_path / "plain" / "y.nii", 2)
    study = make_study(find_sources(tmp_path / "plain"), plan(ratings=None), tmp_path / "study")
    assert {role for case in read_key(study).cases for role in case.images.values()} == {"image"}


def test_a_table_with_landmarks(tmp_path):
    write_image(tmp_path / "im" / "a.nii", 1)
    (tmp_path / "a.csv").write_text("label,x,y,z\napex,1,2,3\nbase,4,5,6\n")
    (tmp_path / "cases.csv").write_text("name;image;landmarks\nMeier;im/a.nii;a.csv\n")
    question = Question("points", LANDMARKS, "Where?", points=("apex",))
    part = PartPlan("points", (question,), 1)
    study = make_study(find_sources(tmp_path / "cases.csv"), StudyPlan("S", (part,)), tmp_path / "study")
    [case] = read_key(study).cases
    assert case.name == "Meier" and case.landmarks == {"apex": [1.0, 2.0, 3.0]}
    wrong = StudyPlan("S", (PartPlan("points", (Question("p", LANDMARKS, "?", points=("hilum",)),), 1),))
    with pytest.raises(StudyError, match="no point hilum in the landmarks of the case Meier"):
        make_study(find_sources(tmp_path / "cases.csv"), wrong, tmp_path / "other")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("who,real\nA,im/a.nii\n", "columns who, real .*expected name"),
        ("name,real\nA,im/gone.nii\n", "no file for real in line 2"),
        ("name,real\n,im/a.nii\n", "line 2"),
        ("name,real\nA,im/a.nii\na,im/b.nii\n", "case a more than once"),
        ("name,real,image\nA,im/a.nii,im/b.nii\n", "an image beside real and generated in line 2"),
        ("name,real\n", "no cases in cases.csv"),
    ],
)
def test_tables_with_faults(tmp_path, table, message):
    write_image(tmp_path / "im" / "a.nii", 1)
    write_image(tmp_path / "im" / "b.nii", 2)
    (tmp_path / "cases.csv").write_text(table)
    with pytest.raises(StudyError, match=message):
        find_sources(tmp_path / "cases.csv")


def test_sources_that_are_none(tmp_path):
    with pytest.raises(StudyError, match="Found nothing at nowhere"):
        find_sources(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudyError, match="no cases in empty"):
        find_sources(tmp_path / "empty")
    for suffix in ("nii", "nrrd"):
        write_image(tmp_path / "double" / f"a.{suffix}", 1)
    with pytest.raises(StudyError, match=r"a.nii and a.nrrd in one folder"):
        find_sources(tmp_path / "double")


def left_alone(tmp_path: Path) -> bool:
    return not (tmp_path / "study").exists() and not list(tmp_path.glob(".*partial"))


def test_too_few_cases(two_folders, tmp_path):
    with pytest.raises(StudyError, match="Found 10 unused cases with a real and a generated image.*expected 11"):
        make_study(find_sources(two_folders), plan(pairs=11), tmp_path / "study")
    with pytest.raises(StudyError, match="Found 4 unused cases with a real or a generated image.*expected 5"):
        make_study(find_sources(two_folders), plan(pairs=8, singles=5), tmp_path / "study")
    assert left_alone(tmp_path)


def test_one_image_under_two_names(tmp_path):
    for name, seed in (("a", 1), ("b", 2), ("c", 1)):
        write_image(tmp_path / "data" / f"{name}.nii", seed)
    with pytest.raises(StudyError, match="the same image twice"):
        make_study(find_sources(tmp_path / "data"), plan(ratings=3), tmp_path / "study")
    assert left_alone(tmp_path)


def test_a_pair_on_two_grids_gives_itself_away(tmp_path):
    write_image(tmp_path / "data" / "real" / "a.nii", 1)
    write_image(tmp_path / "data" / "generated" / "a.nii", 2, spacing=2.1)
    with pytest.raises(StudyError, match="different grids in the case a, expected one grid"):
        make_study(find_sources(tmp_path / "data"), plan(pairs=1), tmp_path / "study")
    assert left_alone(tmp_path)
    make_study(find_sources(tmp_path / "data"), plan(pairs=1), tmp_path / "study", any_grid=True)


def test_a_study_is_not_written_over(two_folders, tmp_path):
    study = make_study(find_sources(two_folders), plan(pairs=1), tmp_path / "study")
    before = (study.folder / "study.json").read_bytes()
    with pytest.raises(StudyError, match="Found files in study, expected a new folder"):
        make_study(find_sources(two_folders), plan(pairs=1), tmp_path / "study")
    with pytest.raises(StudyError, match="key.json there already"):
        make_study(find_sources(two_folders), plan(pairs=1), tmp_path / "new", key=study.folder / "key.json")
    assert (study.folder / "study.json").read_bytes() == before and not (tmp_path / "new").exists()


def test_in_place_the_files_stay_where_they_are(two_folders, tmp_path):
    study = make_study(find_sources(two_folders), plan(pairs=2), tmp_path / "study", copy=False)
    assert not list((study.folder / "images").iterdir())
    for case in study.parts[0].cases:
        assert all(study.path(image).parent.parent == two_folders for image in case.images)
        read_volume(study.path(case.images[0]))


def test_the_same_seed_draws_the_same_cases_under_new_tokens(two_folders, tmp_path):
    studies = [make_study(find_sources(two_folders), plan(pairs=3, singles=3), tmp_path / n) for n in ("a", "b")]
    names = [sorted((case.name, *sorted(case.images.values())) for case in read_key(one).cases) for one in studies]
    tokens = [{case["token"] for case in json.loads((s.folder / "key.json").read_text())["cases"]} for s in studies]
    assert names[0] == names[1] and not tokens[0] & tokens[1]


def test_the_command(two_folders, tmp_path):
    arguments = ["review", "make", str(two_folders), "-o", str(tmp_path / "study"), "--key", str(tmp_path / "k.json")]
    asked = ["--pairs", "3", "--singles", "4", "--repeats", "1", "--confidence", "3"]
    asked += ["--likert", "Quality", "--remarks", "--landmarks", "apex"]
    more = ["--levels", "bad, fair,good", "--window", "liver", "--reader", "Ann", "--reader", "李"]
    told = CliRunner().invoke(app, [*arguments, "--singles", "0", "--pairs", "0"])
    assert told.exit_code == 2 and "expected any of --pairs" in " ".join(told.output.replace("│", " ").split())
    told = CliRunner().invoke(app, [*arguments, *asked, *more, "--time-limit", "90"])
    assert told.exit_code == 0, told.output
    study = read_study(tmp_path / "study")
    pairs, singles = study.parts
    assert (len(pairs.cases), len(singles.cases), pairs.repeats, pairs.time_limit_s) == (3, 4, 1, 90.0)
    assert [q.kind for q in pairs.questions] == ["pair", "likert", "landmarks", "text"]
    assert pairs.questions[1].levels == ("bad", "fair", "good") and pairs.questions[0].confidence == 3
    assert study.readers == ("Ann", "李") and study.window == PRESETS["liver"]
    assert PATIENT not in told.output and (tmp_path / "k.json").exists()
