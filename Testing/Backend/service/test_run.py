"""Runs in this process: complete results or none, and errors with codes."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from SlicerSynthReg.errors import Cancelled, RequestError
from SlicerSynthReg.io.manifest import read_manifest
from SlicerSynthReg.request import Request, to_jsonable
from SlicerSynthReg.service.fingerprint import fingerprint
from SlicerSynthReg.service.run import result_hash, run
from SlicerSynthReg.service.workspace import Workspace
from SlicerSynthReg.tasks.registry import TASKS
from Testing.Backend.service.conftest import PATIENT, content
from Testing.Backend.service.fake_tasks import FAKE

ROOT = Path(__file__).resolve().parents[3]


def refusal(request: Request, tasks=FAKE) -> RequestError:
    with pytest.raises(RequestError) as caught:
        run(request, tasks=tasks)
    return caught.value


def test_a_request_survives_json(request_for):
    asked = request_for(seconds=0.0)
    assert Request.from_json(json.loads(json.dumps(asked.to_json()))) == asked


@pytest.mark.parametrize("wrong", [[], {"task": "register"}, {"task": 1, "inputs": {}, "outputs": ""}, {"extra": 1}])
def test_json_of_another_shape_is_refused(wrong):
    with pytest.raises(RequestError) as caught:
        Request.from_json(wrong)
    assert caught.value.code == "request-format"


def test_a_run_leaves_the_results_and_nothing_else(request_for, tmp_path):
    heard = []
    result = run(request_for(), lambda fraction, text: heard.append(fraction), FAKE)
    assert result.outputs == {"moved": str(tmp_path / "out" / "moved.nii.gz")}
    assert set(content(tmp_path / "out")) == {"moved.nii.gz", "pages/index.html", "report.json"}
    assert content(tmp_path / "out")["moved.nii.gz"] == b"halffixed"
    assert heard == sorted(heard) and heard[-1] == 1.0
    manifest = read_manifest(tmp_path / "out")
    assert (
        manifest
        and manifest["report"]["overlap"]["dice_after"] == 0.5
        and manifest["inputs"]["fixed"] == "fixed.nii.gz"
    )
    assert PATIENT not in json.dumps(manifest)
    assert sorted(p.name for p in tmp_path.iterdir()) == [PATIENT, "out"]


def test_a_second_run_replaces_the_first_and_keeps_strangers(request_for, pair, tmp_path):
    run(request_for(), tasks=FAKE)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    manifest = json.loads((tmp_path / "out" / "report.json").read_text())
    (tmp_path / "out" / "labels.nii.gz").write_text("of the first run only")
    (tmp_path / "out" / "report.json").write_text(
        json.dumps({**manifest, "files": [*manifest["files"], "labels.nii.gz"]})
    )
    Path(pair["fixed"]).write_bytes(b"new")
    run(request_for(), tasks=FAKE)
    found = content(tmp_path / "out")
    assert set(found) == {"moved.nii.gz", "pages/index.html", "report.json", "notes.txt"}
    assert found["moved.nii.gz"] == b"halfnew"


def test_a_failed_run_leaves_the_earlier_result_as_it_was(request_for, tmp_path):
    run(request_for(), tasks=FAKE)
    before = content(tmp_path / "out")
    Path(refusal(request_for(manner="crash")).log or "").unlink()
    assert content(tmp_path / "out") == before


def test_cancelling_leaves_nothing(request_for, tmp_path):
    def progress(fraction: float, text: str) -> None:
        if text == "computing":
            raise Cancelled

    with pytest.raises(Cancelled):
        run(request_for(seconds=5.0), progress, FAKE)
    assert [p.name for p in tmp_path.iterdir()] == [PATIENT]


def test_nan_becomes_null_in_strict_json(request_for, tmp_path):
    assert run(request_for(manner="nan"), tasks=FAKE).report["overlap"]["dice_after"] is None
    assert "NaN" not in (tmp_path / "out" / "report.json").read_text()
    assert to_jsonable({"a": (1, float("inf"))}) == {"a": [1, None]}


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"task": "regster"}, "unknown-task", "did you mean register"),
        ({"inputs": {"fixed": "nowhere/fixed.nii.gz"}}, "path-missing", "input fixed (fixed.nii.gz)"),
        ({"inputs": {}}, "input-missing", "no input fixed and no input moving"),
        ({"inputs": {"fixd": "x"}}, "unknown-input", "did you mean fixed"),
        ({"parameters": {"second": 1.0}}, "unknown-parameter", "did you mean seconds"),
        ({"parameters": {"seconds": -1}}, "parameter-value", "a number of at least 0"),
        ({"parameters": {"seconds": float("nan")}}, "parameter-value", "a number"),
        ({"parameters": {"threads": 1.5}}, "parameter-value", "a whole number of at least 1"),
        ({"parameters": {"threads": True}}, "parameter-value", "a whole number"),
        ({"parameters": {"manner": "odd"}}, "parameter-value", "one of well, refuse"),
        ({"outputs": " "}, "output-missing", "--out"),
        ({"outputs": __file__}, "output-is-file", "test_run.py"),
    ],
)
def test_invalid_requests_are_refused_before_any_work(request_for, tmp_path, change, code, words):
    error = refusal(dataclasses.replace(request_for(), **change))
    assert error.code == code and words in str(error) and "expected" in str(error)
    assert [p.name for p in tmp_path.iterdir()] == [PATIENT]


def test_messages_hold_base_names_only(request_for):
    assert str(refusal(request_for(manner="refuse"))) == "Found fixed.nii.gz unfit, expected better. Replace it."


def test_an_unforeseen_error_leaves_a_log_without_names(request_for):
    error = refusal(request_for(manner="crash"))
    assert error.code == "internal" and PATIENT not in str(error) and error.log
    log = Path(error.log).read_text()
    os.unlink(error.log)
    assert "fake_tasks.py" in log and "in <fixed> of" in log and "and <fixed>" in log
    assert PATIENT not in log and "fixed.nii.gz" not in log


def test_a_full_disk_is_called_so(request_for, tmp_path):
    error = refusal(request_for(manner="full"))
    assert error.code == "disk-full" and "MB free" in str(error)
    assert [p.name for p in tmp_path.iterdir()] == [PATIENT]


def test_a_really_full_disk(pair, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", full], capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    try:
        Path(pair["fixed"]).write_bytes(b"x" * 50_000)
        assert refusal(Request("register", pair, str(full / "out"))).code == "disk-full"
        assert list(full.iterdir()) == []
    finally:
        subprocess.run(["umount", full], check=True)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_folder_that_may_not_be_written(request_for, tmp_path, monkeypatch, code):
    def mkdir(self: Path, *args: object, **kwargs: object) -> None:
        raise OSError(code, os.strerror(code), str(self))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    error = refusal(request_for())
    assert error.code == "output-unwritable" and PATIENT not in str(error)


@pytest.fixture
def open_folder():
    """A folder that others may enter, which pytest's own is not; meanwhile root acts as nobody, who may not write."""
    if not hasattr(os, "seteuid"):
        pytest.skip("Windows keeps no write permission for folders")
    import psutil  # noqa: F401 (nobody may not read it)

    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    root = os.geteuid() == 0
    yield folder, lambda: os.seteuid(65534) if root else None
    if root:
        os.seteuid(0)
    shutil.rmtree(folder)


@pytest.mark.parametrize("which", ["out", "locked/out"])
def test_a_read_only_folder(open_folder, which):
    folder, become_nobody = open_folder
    for name in ("fixed", "moving"):
        (folder / name).write_bytes(b"x")
    (folder / which.split("/")[0]).mkdir(mode=0o555)
    inputs = {name: str(folder / name) for name in ("fixed", "moving")}
    become_nobody()
    error = refusal(Request("register", inputs, str(folder / which)))
    assert error.code == "output-unwritable" and "Permission denied" in str(error)


def test_the_fingerprint_is_of_contents_and_parameters_only(request_for, pair, tmp_path):
    first = result_hash(request_for(), FAKE)
    copy = tmp_path / "copy.nii.gz"
    copy.write_bytes(Path(pair["fixed"]).read_bytes())
    moved = dataclasses.replace(request_for(device="cuda"), inputs={**pair, "fixed": str(copy)}, outputs="elsewhere")
    assert result_hash(moved, FAKE) == first
    assert result_hash(request_for(seconds=0.1), FAKE) != first
    swapped = dataclasses.replace(request_for(), inputs={"fixed": pair["moving"], "moving": pair["fixed"]})
    assert result_hash(swapped, FAKE) != first
    copy.write_bytes(b"fixeD")
    assert result_hash(moved, FAKE) != first


def test_new_weights_make_another_fingerprint(pair, tmp_path, monkeypatch):
    """So that a batch computes its rows again; a model of the same name and weights leaves them."""
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path))
    text = dict.fromkeys(("licence", "training_data", "intended_use", "limits", "trained_with"), "-")
    text["method"] = "SynthMorph"
    asked = Request("register", pair, "out", {"model": "own"})

    def hash_with(sha256: str, **more: str) -> str:
        card = {"name": "own", "architecture": {}, "spacing_mm": 2.0, "modalities": "MR", "sha256": sha256, **text}
        (tmp_path / "own.json").write_text(json.dumps({**card, **more}))
        return result_hash(asked)

    first = hash_with("0" * 64)
    assert hash_with("0" * 64, limits="another sentence") == first
    assert hash_with("1" * 64) != first
    assert result_hash(dataclasses.replace(asked, parameters={"model": "none"})) != first


def test_a_model_that_is_not_there_is_refused_before_anything_is_read(pair, tmp_path):
    asked = Request("register", pair, str(tmp_path / "out"), {"model": "brians"})
    assert refusal(asked, TASKS).code == "model-missing"


def test_the_fingerprint_of_a_folder_is_of_its_files(tmp_path):
    asked = Request("register", {"fixed": str(tmp_path)}, "out")
    (tmp_path / "1.dcm").write_bytes(b"one")
    first = fingerprint(asked)
    (tmp_path / "2.dcm").write_bytes(b"two")
    assert fingerprint(asked) != first


def test_a_killed_run_is_swept_by_the_next_and_a_living_one_is_not(tmp_path, request_for):
    with Workspace(tmp_path / "out") as living:
        dead = living.path.with_name(living.path.name.replace(f"-{os.getpid()}-", "-4194304-"))
        dead.mkdir()
        foreign = tmp_path / ".synthreg-0badc0de-1-1-ffffffff"
        foreign.mkdir()
        forgotten = tmp_path / ".synthreg-0badc0de-2-1-ffffffff"
        forgotten.mkdir()
        os.utime(forgotten, (time.time() - 1e6,) * 2)
        run(request_for(), tasks=FAKE)
        assert living.path.is_dir() and foreign.is_dir()
        assert not dead.exists() and not forgotten.exists()


def test_a_manifest_whose_files_are_gone_or_outside_is_none(request_for, tmp_path):
    run(request_for(), tasks=FAKE)
    manifest = tmp_path / "out" / "report.json"
    assert read_manifest(tmp_path / "out")
    (tmp_path / "out" / "moved.nii.gz").unlink()
    assert read_manifest(tmp_path / "out") is None
    manifest.write_text(json.dumps({"files": ["../DOE_JANE_19700101/fixed.nii.gz"]}))
    assert read_manifest(tmp_path / "out") is None
    manifest.write_text(manifest.read_text()[:9])
    assert read_manifest(tmp_path / "out") is None


def test_a_missing_package_is_reported_with_its_installation(request_for):
    def load():
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    error = refusal(request_for(), {"register": dataclasses.replace(FAKE["register"], load=load)})
    assert error.code == "torch-missing" and "pip install torch" in str(error) and error.log is None


HEAVY = ("torch", "scipy", "matplotlib", "nibabel", "SimpleITK", "pydicom")


@pytest.mark.parametrize(
    "module",
    [
        "service.run",
        "service.worker",
        "service.client",
        "service.batch",
        "service.worklist",
        "cli.main",
        "parameters.base",
    ],
)
def test_importing_the_service_imports_no_torch(module):
    code = f"import sys; import SlicerSynthReg.{module}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_importing_the_package_imports_no_heavy_library():
    code = f"import sys; import SlicerSynthReg; sys.exit(','.join({{'numpy', *{HEAVY!r}}} & set(sys.modules)) or 0)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_every_task_tells_what_each_parameter_is():
    for spec in TASKS.values():
        assert all(one.help.endswith(".") for one in [*spec.parameter_specs().values(), *spec.inputs.values()])
        assert not set(spec.parameter_specs()) & {*spec.inputs, "name", "out", "debug"}
