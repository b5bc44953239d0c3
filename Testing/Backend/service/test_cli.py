"""The command line: help texts, error panels with codes, exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import nibabel
import numpy as np
import pytest
import typer

from SlicerSynthReg.cli.console import flag
from SlicerSynthReg.cli.main import COMMANDS, app
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.transforms import write_transform
from SlicerSynthReg.parameters.base import GROUPS
from SlicerSynthReg.runtime import synthreg_version
from SlicerSynthReg.spatial.transform import Affine
from SlicerSynthReg.tasks.registry import TASKS
from SlicerSynthReg.weights.registry import available
from Testing.Backend.service.conftest import PATIENT, ROOT, synthreg


def commands(group=None, prefix=()) -> list[list[str]]:
    """Every command of `synthreg`, groups included; `train` has a command line of its own."""
    group = group or typer.main.get_command(app)
    found = [list(prefix)]
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found += commands(command, (*prefix, name))
        elif name != "train":
            found.append([*prefix, name])
    return found


def options_of(words: list[str]) -> list[str]:
    command = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    return [name for one in command.params for name in (*one.opts, *one.secondary_opts) if name.startswith("--")]


@pytest.fixture(scope="module")
def help_texts() -> dict[str, str]:
    """Help text of each command on 80 columns, all from one process, which must not import torch."""
    code = (
        "import io, json, sys, contextlib; from SlicerSynthReg.cli.main import app; found = {}\n"
        f"for words in {commands()!r}:\n"
        "    text = io.StringIO()\n"
        "    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit): app([*words, '--help'])\n"
        "    found[' '.join(words)] = text.getvalue()\n"
        "print(json.dumps([found, 'torch' in sys.modules]))"
    )
    environment = {**os.environ, "COLUMNS": "80", "TERMINAL_WIDTH": "80", "NO_COLOR": "1"}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env=environment
    )
    texts, torch_imported = json.loads(result.stdout)
    assert not torch_imported
    return texts


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_help_on_80_columns_shows_every_option_name_whole(help_texts, words):
    text = help_texts[" ".join(words)]
    shown = set(re.findall(r"--[a-z0-9-]+", text))
    assert {*options_of(words), "--help"} <= shown
    assert max(map(len, text.splitlines())) <= 80


def test_the_help_text_has_the_groups_of_the_parameter_record_in_their_order(help_texts):
    for task, command in COMMANDS.items():
        groups = [spec.group for spec in TASKS[task].parameter_specs().values()]
        titles = re.findall(r"^╭─ (\w+) ─", help_texts[command], re.MULTILINE)
        assert set(groups) <= set(titles), command
        assert groups == sorted(groups, key=GROUPS.index)


def test_every_input_and_parameter_of_a_task_is_an_option_or_argument(help_texts):
    for task, command in COMMANDS.items():
        spec, options = TASKS[task], set(options_of(command.split()))
        optional = [name for name, one in spec.inputs.items() if not one.required]
        assert {flag(name) for name in (*optional, *spec.parameter_specs(), "out", "debug")} <= options
        for name, one in spec.inputs.items():
            assert not one.required or name in help_texts[command]


def test_the_version_is_printed():
    result = synthreg("--version")
    assert result.returncode == 0 and result.stdout.strip() == f"synthreg {synthreg_version()}"


def test_the_package_runs_as_a_module():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "SlicerSynthReg", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert synthreg_version() in result.stdout


def test_a_missing_torch_is_reported_with_its_installation(pair, tmp_path):
    code = "import sys; sys.modules['torch'] = None; from SlicerSynthReg.cli.main import app; app(sys.argv[1:])"
    for words in (["register", *pair.values(), "--model", "none", "--out", tmp_path / "out"], ["demo"], ["train"]):
        command = [sys.executable, "-c", code, *map(str, words)]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert result.returncode == 2, result.stderr
        assert "torch-missing" in result.stderr and "install torch" in result.stderr
        assert "Traceback" not in result.stderr


def test_an_error_is_one_panel_and_exit_code_2(pair, tmp_path):
    found = synthreg("register", pair["fixed"], tmp_path / "nowhere.nii", "--out", tmp_path / "out")
    assert found.returncode == 2 and found.stdout == ""
    assert "Error: path-missing" in found.stderr and "(nowhere.nii)" in found.stderr
    assert "Traceback" not in found.stderr and PATIENT not in found.stderr
    debug = synthreg("register", pair["fixed"], tmp_path / "nowhere.nii", "--out", tmp_path / "out", "--debug")
    assert debug.returncode not in (0, 2) and "Traceback" in debug.stderr


def test_an_unknown_choice_is_refused(pair, tmp_path):
    found = synthreg("register", *pair.values(), "--out", tmp_path / "out", "--preset", "quick")
    assert found.returncode == 2 and "Error: parameter-value" in found.stderr


def test_transform_apply_moves_an_image(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.arange(60.0).reshape(3, 4, 5), np.eye(4)), tmp_path / "image.nii")
    image = read_image(tmp_path / "image.nii")
    shift = np.eye(4)
    shift[0, 3] = 1.0
    write_transform(Affine(shift), tmp_path / "shift.tfm", image.grid, image.grid)
    files = ("shift.tfm", "image.nii", "--image", "image.nii", "--out", "out")
    found = synthreg("transform", "apply", *files, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    moved = read_image(tmp_path / "out" / "moved_image.nii.gz").data[0]
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
    assert found.returncode == 0 and "own-model" in found.stdout
    assert "synthetic images only" in synthreg("models", "own-model").stdout
    unknown = synthreg("models", "owl-model")
    assert unknown.returncode == 2 and "Error: model-missing" in unknown.stderr


def test_the_list_of_models_on_80_columns_has_one_line_each_and_whole_names(tmp_path, monkeypatch):
    result = synthreg("models", columns=80)
    lines = result.stdout.splitlines()
    assert len(lines) == 1 + len(available()) and max(map(len, lines)) <= 80
    for line, name in zip(lines[1:], available()):
        assert line.split()[0] == name
