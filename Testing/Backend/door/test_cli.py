"""The command line as a person meets it: quick help, one readable panel for an error, exit codes for scripts."""

from __future__ import annotations

import json
import subprocess
import sys

import nibabel
import numpy as np
import pytest

from SlicerSynthReg.space.transform import Affine
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.transforms import write_transform
from Testing.Backend.door.conftest import PATIENT, ROOT, synthreg

CLOCK = "import sys, time; t = time.process_time(); from SlicerSynthReg.cli import app\n"


@pytest.mark.parametrize(
    "command", [[], ["register"], ["register-sequence"], ["batch"], ["models"], ["transform", "apply"], ["demo"]]
)
def test_help_comes_within_a_second_and_without_torch(command):
    code = (
        f"{CLOCK}try: app([*{command!r}, '--help'])\n"
        "except SystemExit: pass\nprint('\\n', 'torch' in sys.modules, time.process_time() - t)"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    loaded, seconds = said.split()[-2:]
    assert loaded == "False" and float(seconds) < 1.0


def test_every_parameter_and_input_of_a_task_is_an_option():
    said = synthreg("register", "--help").stdout
    for option in ("--out", "--fixed-landmarks", "--no-refine", "--affine-only", "fast|accurate", "--assume-geometry"):
        assert option in said


def test_an_error_is_one_panel_and_exit_code_2(pair, tmp_path):
    found = synthreg("register", pair["fixed"], tmp_path / "nowhere.nii", "--out", tmp_path / "out")
    assert found.returncode == 2 and found.stdout == ""
    assert "Found nothing at the path of the input moving (nowhere.nii)" in found.stderr
    assert "Traceback" not in found.stderr and PATIENT not in found.stderr
    debug = synthreg("register", pair["fixed"], tmp_path / "nowhere.nii", "--out", tmp_path / "out", "--debug")
    assert debug.returncode not in (0, 2) and "Traceback" in debug.stderr


def test_a_choice_that_is_none_is_refused(pair, tmp_path):
    found = synthreg("register", *pair.values(), "--out", tmp_path / "out", "--preset", "quick")
    assert found.returncode == 2 and "expected one of fast, accurate" in found.stderr


def test_transform_apply_moves_an_image(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.arange(60.0).reshape(3, 4, 5), np.eye(4)), tmp_path / "image.nii")
    image = read_volume(tmp_path / "image.nii")
    shift = np.eye(4)
    shift[0, 3] = 1.0
    write_transform(Affine(shift), tmp_path / "shift.tfm", image.grid, image.grid)
    files = ("shift.tfm", "image.nii", "--image", "image.nii", "--out", "out")
    found = synthreg("transform", "apply", *files, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    moved = read_volume(tmp_path / "out" / "moved_image.nii.gz").data[0]
    assert np.allclose(moved[:2], image.data[0, 1:]) and "moved_image.nii.gz" in found.stdout


def test_a_batch_with_failed_rows_says_so_by_its_exit_code(tmp_path):
    (tmp_path / "w.csv").write_text("fixed,moving\na.nii,b.nii\n")
    found = synthreg("batch", tmp_path / "w.csv", "--out", tmp_path / "out")
    assert found.returncode == 1 and "0 done, 0 skipped, 1 failed" in found.stdout
    assert (tmp_path / "out" / "index.html").is_file()
    assert synthreg("batch", tmp_path / "none.csv", "--out", tmp_path / "out").returncode == 2


def test_models_come_from_their_cards(tmp_path, monkeypatch):
    text = dict.fromkeys(
        ("method", "sha256", "licence", "training_data", "intended_use", "limits", "trained_with"), "-"
    )
    card = {"name": "own-model", "architecture": {}, "spacing_mm": 2.0, "modalities": "MR", **text}
    (tmp_path / "own-model.json").write_text(json.dumps(card))
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path))
    found = synthreg("models")
    assert found.returncode == 0 and "own-model" in found.stdout and "synthetic images only" in found.stdout
