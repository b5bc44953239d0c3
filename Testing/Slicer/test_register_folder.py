"""The script of Resources/Scripts, as it is, on slicer-core: a folder in, results out, resumable, honest exit codes."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from SynthRegLib.phantom import make_phantom

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.spatial.grid import Grid

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "Modules" / "SynthRegister" / "Resources" / "Scripts" / "register_folder.py"


@pytest.fixture(scope="module")
def a_folder_of_heads(tmp_path_factory) -> Path:
    """atlas.nii.gz, and in scans/ one head and one file that is no image."""
    folder = tmp_path_factory.mktemp("heads")
    head = make_phantom(5.0)
    (folder / "scans").mkdir()
    for path, values, affine in (
        (folder / "atlas.nii.gz", head.fixed, head.fixed_affine),
        (folder / "scans" / "one.nii.gz", head.moving, head.moving_affine),
    ):
        data = torch.from_numpy(values.astype(np.float32))[None]
        write_image(Image(data, Grid(values.shape, affine)), path)
    (folder / "scans" / "broken.nii.gz").write_bytes(b"no image")
    (folder / "scans" / "notes.txt").write_text("not listed")
    return folder


def run_script(*words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "Modules")])}
    environment["PATH"] = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if "slicerhost" not in p)
    command = [sys.executable, str(SCRIPT), "--", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def rows(out: Path) -> dict[str, dict[str, str]]:
    with open(out / "results.csv", newline="", encoding="utf-8") as stream:
        return {row["name"]: row for row in csv.DictReader(stream)}


@pytest.mark.slow
def test_a_folder_is_registered_and_started_again_goes_on(a_folder_of_heads, tmp_path):
    words = ["--fixed", a_folder_of_heads / "atlas.nii.gz", "--moving", a_folder_of_heads / "scans"]
    words += ["--out", tmp_path / "out", "--model", "none", "--preset", "fast", "--workers", 1]
    first = run_script(*words)
    assert first.returncode == 1, first.stderr
    found = rows(tmp_path / "out")
    assert set(found) == {"one.nii.gz", "broken.nii.gz"}
    assert found["one.nii.gz"]["status"] == "done" and found["broken.nii.gz"]["status"] == "failed"
    assert "Found" in found["broken.nii.gz"]["message"]
    for name in ("moved.nii.gz", "forward.h5", "inverse.h5", "report.html"):
        assert (tmp_path / "out" / "one.nii.gz" / name).is_file()
    assert (tmp_path / "out" / "index.html").is_file()
    again = run_script(*words)
    assert again.returncode == 1
    assert rows(tmp_path / "out")["one.nii.gz"]["status"] == "skipped"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fixed", "atlas.nii.gz", "--moving", "nowhere", "--out", "out"], "Found no folder"),
        (["--fixed", "atlas.nii.gz", "--moving", ".", "--out", "out"], "Found no image"),
        (["--fixed", "atlas.nii.gz", "--out", "out"], "expected --fixed and --moving"),
        (["--worklist", "nothing.csv", "--out", "out"], "nothing.csv"),
    ],
)
def test_what_cannot_be_started_ends_with_two_and_says_why(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run_script(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "out").exists()
