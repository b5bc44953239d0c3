"""Creation of studies from folders and tables: allocation, balance and blinding."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from SlicerSynthReg.cli.main import app
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.reader_study.blinding_key import read_blinding_key
from SlicerSynthReg.reader_study.ct_windows import CT_WINDOW_PRESETS
from SlicerSynthReg.reader_study.make import PartPlan, StudyPlan, make_study
from SlicerSynthReg.reader_study.question import LANDMARKS, LIKERT, PAIR, SINGLE, ReadingQuestion
from SlicerSynthReg.reader_study.sources import find_case_sources
from SlicerSynthReg.reader_study.study import read_study
from SlicerSynthReg.spatial.grid import Grid
from Testing.Backend.reader_study.conftest import refused

PATIENT = "DOE_JANE"
WHICH, WHAT = (
    ReadingQuestion("which", PAIR, "Which one is generated?"),
    ReadingQuestion("what", SINGLE, "Real or generated?"),
)
GRADE = ReadingQuestion("grade", LIKERT, "Quality", levels=("bad", "good"))


def write_noise(path: Path, seed: int, spacing: float = 2.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).normal(size=(4, 5, 6))
    grid = Grid((4, 5, 6), np.diag([spacing, 2, 2, 1]))
    write_image(Image(torch.from_numpy(values[None]).float(), grid), path, derived=path.parent.name == "generated")
    return path


@pytest.fixture
def two_folders(tmp_path) -> Path:
    """Write ten cases with a real and a generated image, and one with each alone."""
    for n in range(11):
        write_noise(tmp_path / "data" / "real" / f"{PATIENT}_{n:02d}.nii.gz", n)
    for n in [*range(10), 11]:
        write_noise(tmp_path / "data" / "generated" / f"{PATIENT}_{n:02d}.nii.gz", 100 + n)
    return tmp_path / "data"


def plan(**counts) -> StudyPlan:
    questions = {"pairs": (WHICH, GRADE), "singles": (WHAT,), "ratings": (GRADE,)}
    parts = tuple(PartPlan(name, questions[name], count) for name, count in counts.items())
    return StudyPlan("A study", parts, seed=3)


def test_pairs_and_singles_from_two_folders(two_folders, tmp_path):
    study = make_study(find_case_sources(two_folders), plan(pairs=4, singles=6), tmp_path / "study")
    key = read_blinding_key(study)
    assert [len(part.cases) for part in study.parts] == [4, 6]
    assert len({case.name for case in key.cases}) == 10, "no case is in two parts"
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


def test_only_the_key_holds_names_and_roles(two_folders, tmp_path):
    study = make_study(
        find_case_sources(two_folders), plan(pairs=5, singles=5), tmp_path / "study", tmp_path / "safe.json"
    )
    files = {path: path.read_bytes() for path in study.folder.rglob("*") if path.is_file()}
    assert len(files) == 1 + 15 and (tmp_path / "safe.json").exists()
    for path, data in files.items():
        assert PATIENT.encode() not in data and PATIENT not in path.name and str(two_folders).encode() not in data
        if path.suffix == ".json":
            for word in (b'"real"', b'"generated"', b"data/"):
                assert word not in data
    headers = {data[:348] for path, data in files.items() if path.suffix == ".nii"}
    assert len(headers) == 1, "real and generated images have equal headers"
    assert sorted(path.name for path in study.folder.iterdir()) == ["images", "study.json"]
    read_blinding_key(study, tmp_path / "safe.json")


def test_order_in_the_file_is_independent_of_the_role(tmp_path):
    """In twenty studies of ten pairs, the generated image is first in about half of the cases."""
    for n in range(10):
        write_noise(tmp_path / "data" / "real" / f"{n}.nii", n)
        write_noise(tmp_path / "data" / "generated" / f"{n}.nii", 50 + n)
    sources, first = find_case_sources(tmp_path / "data"), 0
    for number in range(20):
        study = make_study(sources, replace(plan(pairs=10), copy_images=False), tmp_path / f"study{number}")
        key = read_blinding_key(study)
        for case in study.parts[0].cases:
            first += key.truth(case.token).images[case.images[0].token] == "generated"
        assert [c.token for c in study.parts[0].cases] == sorted(c.token for c in study.parts[0].cases)
    assert 70 < first < 130


def test_folder_per_case_and_images_without_reference(tmp_path):
    write_noise(tmp_path / "cases" / "A" / "real.nii", 1)
    write_noise(tmp_path / "cases" / "A" / "generated.nii", 2)
    write_noise(tmp_path / "cases" / "B" / "real.nrrd", 3)
    (tmp_path / "cases" / "notes.txt").write_text("x")
    a, b = find_case_sources(tmp_path / "cases")
    assert set(a.images) == {"real", "generated"} and set(b.images) == {"real"} and (a.name, b.name) == ("A", "B")
    write_noise(tmp_path / "plain" / "x.nii", 1)
    write_noise(tmp_path / "plain" / "y.nii", 2)
    study = make_study(find_case_sources(tmp_path / "plain"), plan(ratings=None), tmp_path / "study")
    assert {role for case in read_blinding_key(study).cases for role in case.images.values()} == {"image"}


def test_table_with_landmarks(tmp_path):
    write_noise(tmp_path / "im" / "a.nii", 1)
    (tmp_path / "a.csv").write_text("label,x,y,z\napex,1,2,3\nbase,4,5,6\n")
    (tmp_path / "cases.csv").write_text("name;image;landmarks\nMeier;im/a.nii;a.csv\n")
    question = ReadingQuestion("points", LANDMARKS, "Where?", points=("apex",))
    part = PartPlan("points", (question,), 1)
    study = make_study(find_case_sources(tmp_path / "cases.csv"), StudyPlan("S", (part,)), tmp_path / "study")
    [case] = read_blinding_key(study).cases
    assert case.name == "Meier" and case.landmarks == {"apex": [1.0, 2.0, 3.0]}
    wrong = StudyPlan("S", (PartPlan("points", (ReadingQuestion("p", LANDMARKS, "?", points=("hilum",)),), 1),))
    with refused("landmarks-missing"):
        make_study(find_case_sources(tmp_path / "cases.csv"), wrong, tmp_path / "other")


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ("who,real\nA,im/a.nii\n", "table-columns"),
        ("name,real\nA,im/gone.nii\n", "table-row"),
        ("name,real\n,im/a.nii\n", "table-row"),
        ("name,real\nA,im/a.nii\na,im/b.nii\n", "name-duplicate"),
        ("name,real,image\nA,im/a.nii,im/b.nii\n", "table-row"),
        ("name,real\n", "cases-missing"),
    ],
)
def test_invalid_tables_are_refused(tmp_path, table, code):
    write_noise(tmp_path / "im" / "a.nii", 1)
    write_noise(tmp_path / "im" / "b.nii", 2)
    (tmp_path / "cases.csv").write_text(table)
    with refused(code):
        find_case_sources(tmp_path / "cases.csv")


def test_missing_sources_are_refused(tmp_path):
    with refused("cases-missing"):
        find_case_sources(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with refused("cases-missing"):
        find_case_sources(tmp_path / "empty")
    for suffix in ("nii", "nrrd"):
        write_noise(tmp_path / "double" / f"a.{suffix}", 1)
    with refused("case-duplicate"):
        find_case_sources(tmp_path / "double")


def nothing_written(tmp_path: Path) -> bool:
    return not (tmp_path / "study").exists() and not list(tmp_path.glob(".*partial"))


def test_too_few_cases(two_folders, tmp_path):
    with refused("too-few-cases"):
        make_study(find_case_sources(two_folders), plan(pairs=11), tmp_path / "study")
    with refused("too-few-cases"):
        make_study(find_case_sources(two_folders), plan(pairs=8, singles=5), tmp_path / "study")
    assert nothing_written(tmp_path)


def test_same_image_under_two_names_is_refused(tmp_path):
    for name, seed in (("a", 1), ("b", 2), ("c", 1)):
        write_noise(tmp_path / "data" / f"{name}.nii", seed)
    with refused("image-duplicate"):
        make_study(find_case_sources(tmp_path / "data"), plan(ratings=3), tmp_path / "study")
    assert nothing_written(tmp_path)


def test_pair_on_two_grids_is_refused(tmp_path):
    write_noise(tmp_path / "data" / "real" / "a.nii", 1)
    write_noise(tmp_path / "data" / "generated" / "a.nii", 2, spacing=2.1)
    with refused("grids-differ"):
        make_study(find_case_sources(tmp_path / "data"), plan(pairs=1), tmp_path / "study")
    assert nothing_written(tmp_path)
    make_study(find_case_sources(tmp_path / "data"), replace(plan(pairs=1), any_grid=True), tmp_path / "study")


def test_study_is_not_overwritten(two_folders, tmp_path):
    study = make_study(find_case_sources(two_folders), plan(pairs=1), tmp_path / "study")
    before = (study.folder / "study.json").read_bytes()
    with refused("folder-not-empty"):
        make_study(find_case_sources(two_folders), plan(pairs=1), tmp_path / "study")
    with refused("key-exists"):
        make_study(find_case_sources(two_folders), plan(pairs=1), tmp_path / "new", key=study.folder / "key.json")
    assert (study.folder / "study.json").read_bytes() == before and not (tmp_path / "new").exists()


def test_images_in_place_are_referenced(two_folders, tmp_path):
    study = make_study(find_case_sources(two_folders), replace(plan(pairs=2), copy_images=False), tmp_path / "study")
    assert not list((study.folder / "images").iterdir())
    for case in study.parts[0].cases:
        assert all(study.path(image).parent.parent == two_folders for image in case.images)
        read_image(study.path(case.images[0]))


def test_same_seed_allocates_the_same_cases_with_new_tokens(two_folders, tmp_path):
    studies = [make_study(find_case_sources(two_folders), plan(pairs=3, singles=3), tmp_path / n) for n in ("a", "b")]
    names = [
        sorted((case.name, *sorted(case.images.values())) for case in read_blinding_key(one).cases) for one in studies
    ]
    tokens = [{case["token"] for case in json.loads((s.folder / "key.json").read_text())["cases"]} for s in studies]
    assert names[0] == names[1] and not tokens[0] & tokens[1]


def test_command(two_folders, tmp_path):
    arguments = ["review", "make", str(two_folders), "-o", str(tmp_path / "study"), "--key", str(tmp_path / "k.json")]
    asked = ["--pairs", "3", "--singles", "4", "--repeats", "1", "--confidence", "3"]
    asked += ["--likert", "Quality", "--remarks", "--landmarks", "apex"]
    more = ["--levels", "bad, fair,good", "--window", "liver", "--reader", "Ann", "--reader", "李"]
    result = CliRunner().invoke(app, [*arguments, "--singles", "0", "--pairs", "0"])
    assert result.exit_code == 2 and "study-empty" in result.output
    result = CliRunner().invoke(app, [*arguments, *asked, *more, "--time-limit", "90"])
    assert result.exit_code == 0, result.output
    study = read_study(tmp_path / "study")
    pairs, singles = study.parts
    assert (len(pairs.cases), len(singles.cases), pairs.repeats, pairs.time_limit_s) == (3, 4, 1, 90.0)
    assert [q.kind for q in pairs.questions] == ["pair", "likert", "landmarks", "text"]
    assert pairs.questions[1].levels == ("bad", "fair", "good") and pairs.questions[0].confidence == 3
    assert study.readers == ("Ann", "李") and study.window == CT_WINDOW_PRESETS["liver"]
    assert PATIENT not in result.output and (tmp_path / "k.json").exists()
