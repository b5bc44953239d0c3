"""Batches: every row ends in a result or a recorded failure; complete rows are skipped."""

from __future__ import annotations

import csv
import dataclasses
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.transforms import write_transform
from SlicerSynthReg.service.batch import Workers, run_batch
from SlicerSynthReg.service.run import run
from SlicerSynthReg.service.worklist import read_worklist
from SlicerSynthReg.spatial.transform import Affine
from Testing.Backend.service.conftest import PATIENT
from Testing.Backend.service.fake_tasks import FAKE

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def worklist(pair, tmp_path):
    """Write rows under a header of name, fixed, moving, manner, seconds; paths are relative to the file."""

    def write(*rows: str) -> Path:
        path = tmp_path / "worklist.csv"
        images = f"{PATIENT}/fixed.nii.gz,{PATIENT}/moving.nii.gz"
        lines = ["name,fixed,moving,manner,seconds", *(row.replace("PAIR", images) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture
def batch(fake_worker, tmp_path):
    def start(path: Path, **more: object):
        rows = read_worklist(path, tasks=FAKE)
        return run_batch(rows, tmp_path / "out", Workers(2, command=fake_worker), **{"tasks": FAKE, **more})

    return start


def table(tmp_path) -> dict[str, dict[str, str]]:
    with open(tmp_path / "out" / "results.csv", newline="") as stream:
        return {row["name"]: row for row in csv.DictReader(stream)}


def test_failures_are_recorded_and_the_batch_goes_on(worklist, batch, tmp_path):
    heard = []
    path = worklist(
        "good,PAIR,,",
        "killed,PAIR,die,",
        "refused,PAIR,refuse,",
        "crashed,PAIR,crash,",
        f"gone,x.nii,{PATIENT}/y.nii,,",
        "odd,PAIR,sideways,",
        "number,PAIR,,fast",
        "last,PAIR,well,0.05",
    )
    results = batch(path, row_done=heard.append)
    assert [r.name for r in results] == ["good", "killed", "refused", "crashed", "gone", "odd", "number", "last"]
    assert [r.status for r in results] == ["done", *["failed"] * 6, "done"]
    assert {r.name for r in heard} == {r.name for r in results}
    found = table(tmp_path)
    assert list(found) == [r.name for r in results]
    assert {name: row["code"] for name, row in found.items()} == {
        "good": "",
        "killed": "worker-ended",
        "refused": "fake-unfit",
        "crashed": "internal",
        "gone": "path-missing",
        "odd": "parameter-value",
        "number": "parameter-value",
        "last": "",
    }
    assert found["refused"]["message"] == "Found fixed.nii.gz unfit, expected better. Replace it."
    assert found["good"]["overlap.dice_after"] == "0.5" and found["good"]["run.stages.affine"] == "1.5"
    assert PATIENT not in (tmp_path / "out" / "results.csv").read_text()
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"good", "index.html", "last", "results.csv"}
    page = (tmp_path / "out" / "index.html").read_text()
    assert "signal 9" in page and "8 cases" in page and PATIENT not in page


def test_a_batch_goes_on_where_it_stopped(worklist, batch, tmp_path, pair):
    path = worklist("a,PAIR,,", "b,PAIR,refuse,", "c,PAIR,,")
    batch(path)
    stamp = (tmp_path / "out" / "a" / "report.json").stat().st_mtime_ns
    worklist("a,PAIR,,", "b,PAIR,,", "c,PAIR,,0.01", "d,PAIR,,")
    assert [r.status for r in batch(path)] == ["skipped", "done", "done", "done"]
    assert (tmp_path / "out" / "a" / "report.json").stat().st_mtime_ns == stamp
    (tmp_path / "out" / "a" / "moved.nii.gz").unlink()
    assert [r.status for r in batch(path)] == ["done", "skipped", "skipped", "skipped"]
    Path(pair["fixed"]).write_bytes(b"another image")
    assert {r.status for r in batch(path)} == {"done"}
    assert table(tmp_path)["a"]["overlap.dice_after"] == "0.5"


def test_new_weights_make_a_batch_compute_its_rows_again(worklist, batch, tmp_path):
    path = worklist("a,PAIR,,")
    weights = ["first"]
    tasks = {"register": dataclasses.replace(FAKE["register"], weights=lambda parameters: weights[0])}
    (row,) = read_worklist(path, tasks=tasks).rows
    request = read_worklist(path, tasks=tasks).request(row, tmp_path / "out", tasks)
    run(request, tasks=tasks)
    assert [r.status for r in batch(path, tasks=tasks)] == ["skipped"]
    weights[0] = "second"
    assert [r.status for r in batch(path, tasks=tasks)] == ["done"]


def test_a_killed_batch_takes_its_workers_along_and_keeps_what_was_done(worklist, fake_worker, tmp_path):
    path = worklist("a,PAIR,,", "b,PAIR,,1e6", "c,PAIR,,")
    code = (
        "import sys; from pathlib import Path; from SlicerSynthReg.service.batch import Workers, run_batch; "
        "from SlicerSynthReg.service.worklist import read_worklist; "
        "from Testing.Backend.service.fake_tasks import FAKE; "
        f"run_batch(read_worklist(Path({str(path)!r}), tasks=FAKE), Path({str(tmp_path / 'out')!r}), "
        f"Workers(1, command={fake_worker!r}), tasks=FAKE)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    out = tmp_path / "out"
    while not ((out / "results.csv").exists() and "a" in table(tmp_path) and list(out.glob(".synthreg-*"))):
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    while list(out.glob(".synthreg-*")):  # the orphaned worker removes its workspace
        time.sleep(0.05)
    assert table(tmp_path)["a"]["status"] == "done"
    assert not (tmp_path / "out" / "b").exists()


def test_an_interrupted_batch_ends_its_workers(worklist, batch, tmp_path):
    path = worklist("a,PAIR,,", "b,PAIR,deaf,", "c,PAIR,deaf,")

    def interrupt(result):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch(path, row_done=interrupt)
    assert threading.active_count() < 10
    assert table(tmp_path)["a"]["status"] == "done"


@pytest.mark.parametrize(
    ("text", "code", "found"),
    [
        ("fixed,mov\na,b\n", "worklist-columns", "no column moving, the column 'mov'"),
        ("fixed,moving\n", "worklist-columns", "no rows"),
        ("", "worklist-columns", "no column fixed, no column moving"),
        ("fixed,moving,name\na,b,../x\n", "worklist-row", "the name '../x'"),
        ("fixed,moving,name\na,b,x\na,b,X\n", "worklist-row", "the name 'x'"),
        ("fixed,moving\na,b,c\n", "worklist-row", "3 cells in row 1"),
        ("fixed,moving,fixed\na,b,c\n", "worklist-columns", "the column 'fixed'"),
    ],
)
def test_a_worklist_that_cannot_be_read_is_refused_as_a_whole(tmp_path, text, code, found):
    (tmp_path / "w.csv").write_text(text)
    with pytest.raises(RequestError) as caught:
        read_worklist(tmp_path / "w.csv")
    assert caught.value.code == code and found in str(caught.value)


def test_semicolons_names_and_empty_cells(tmp_path):
    text = b"\xef\xbb\xbffixed;moving;preset;refine\r\na.nii;/b.nii;;no\r\n\r\nc.nii;d.nii;fast;\r\n"
    (tmp_path / "w.csv").write_bytes(text)
    rows = read_worklist(tmp_path / "w.csv")
    first, second = (rows.request(row, tmp_path / "out") for row in rows.rows)
    assert dict(first.inputs) == {"fixed": str(tmp_path / "a.nii"), "moving": "/b.nii"}
    assert first.parameters == {"refine": False} and first.outputs == str(tmp_path / "out" / "row-0001")
    assert second.parameters == {"preset": "fast"}


@pytest.fixture
def transforms(tmp_path):
    """A worklist of the task `apply`: one row that can be done and one whose transform is an image."""
    nibabel.save(nibabel.Nifti1Image(np.arange(60.0).reshape(3, 4, 5), np.eye(4)), tmp_path / "image.nii")
    write_transform(Affine(), tmp_path / "still.tfm", *[read_image(tmp_path / "image.nii").grid] * 2)
    rows = ["name,reference,image,transform", "a,image.nii,image.nii,still.tfm", "b,image.nii,image.nii,image.nii"]
    (tmp_path / "w.csv").write_text("\n".join(rows))
    return read_worklist(tmp_path / "w.csv", "apply")


@pytest.mark.slow
def test_the_same_requests_on_dask(transforms, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        results = run_batch(transforms, tmp_path / "out", Workers(scheduler=cluster.scheduler_address))
        again = run_batch(transforms, tmp_path / "out", Workers(scheduler=cluster.scheduler_address))
    assert [r.status for r in results] == ["done", "failed"] and [r.status for r in again] == ["skipped", "failed"]
    assert "(image.nii): Found" in results[1].message and results[1].code
    assert (tmp_path / "out" / "a" / "moved_image.nii.gz").is_file()


def test_an_unreachable_scheduler_is_reported(transforms, tmp_path):
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    import dask

    with dask.config.set({"distributed.comm.timeouts.connect": "0.5s"}), pytest.raises(RequestError) as caught:
        run_batch(transforms, tmp_path / "out", Workers(scheduler="tcp://127.0.0.1:9"))
    assert caught.value.code == "scheduler-unreachable"
