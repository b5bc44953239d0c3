"""Bad rows, foreign spreadsheets, detached data files, and arbitrary bytes on the worker's pipe."""

from __future__ import annotations

import io
import json
import os
import signal
from pathlib import Path

import pytest

from SlicerSynthReg.io.dependencies import dependencies
from SlicerSynthReg.io.file_lock import FileLock
from SlicerSynthReg.io.tables import read_csv_rows
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.batch import LOCK, as_text_cell, run_batch
from SlicerSynthReg.service.client import WorkerClient
from SlicerSynthReg.service.fingerprint import fingerprint
from SlicerSynthReg.service.worker import Worker
from SlicerSynthReg.service.worker_events import end_of_worker
from SlicerSynthReg.service.worklist import read_worklist
from Testing.Backend.refusals import refused
from Testing.Backend.service.fake_tasks import FAKE


@pytest.mark.parametrize(
    "data",
    [
        b"fixed,moving,,\na,b,,\n,,,\n",
        b"sep=;\r\nfixed;moving;\r\na;b;\r\n",
        "fixed;moving\na;b\n".encode("utf-16"),
        b'\xef\xbb\xbf"fixed"\t"moving"\r\n"a"\tb\r\n',
    ],
    ids=["trailing-empty", "sep-line", "utf-16", "bom-quotes-tabs"],
)
def test_tables_as_spreadsheets_write_them(tmp_path, data):
    (tmp_path / "w.csv").write_bytes(data)
    assert read_csv_rows(tmp_path / "w.csv") == [["fixed", "moving"], ["a", "b"]]


def test_a_cell_above_the_limit_of_csv_is_read(tmp_path):
    (tmp_path / "w.csv").write_text("fixed,moving\n" + "a" * 200_000 + ",b\n")
    assert len(read_csv_rows(tmp_path / "w.csv")[1][0]) == 200_000


def test_the_home_of_an_unknown_user_fails_its_own_row(tmp_path):
    (tmp_path / "w.csv").write_text("fixed,moving\n~nosuchuser/x.nii,b\n")
    rows = read_worklist(tmp_path / "w.csv", tasks=FAKE)
    with refused("path-missing", "input fixed"):
        rows.request(rows.rows[0], tmp_path / "out", FAKE)


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("a.mhd", "NDims = 3\nElementDataFile = a.raw\n"),
        ("a.mhd", "NDims = 3\nElementDataFile = LIST\na.raw\n"),
        ("a.mhd", "NDims = 3\nElementDataFile = a%d.raw 1 1 1\n"),
        ("a.nhdr", "NRRD0004\ndata file: a.raw\n"),
        ("a.nhdr", "NRRD0004\ndata file: LIST\na.raw\n"),
        ("a.hdr", "header"),
    ],
)
def test_a_detached_data_file_changes_the_fingerprint(tmp_path, header, named):
    (tmp_path / header).write_text(named)
    data = tmp_path / ("a1.raw" if "%d" in named else "a.img" if header == "a.hdr" else "a.raw")
    request = Request("register", {"fixed": str(tmp_path / header)}, "out")
    data.write_bytes(b"old")
    before = fingerprint(request)
    data.write_bytes(b"new")
    assert fingerprint(request) != before


def test_a_missing_data_file_is_an_error(tmp_path):
    (tmp_path / "a.mhd").write_text("ElementDataFile = gone.raw\n")
    with refused("data-file-missing", "gone.raw"):
        dependencies(tmp_path / "a.mhd")


@pytest.mark.skipif(os.name == "nt", reason="uses POSIX devices")
def test_devices_and_pipes_are_refused_without_being_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe"):
        with refused("input-kind"):
            dependencies(path)


HOSTILE = [
    b'{"command":"cancel","id":[1]}',
    b"\xff\xfe",
    b"[" * 100_000,
    b"null",
    b'{"command":["run"]}',
    b'{"command":"run","id":{"a":1}}',
    b'{"command":"finish","id":1e999}',
    b'{"command":"run","id":"x","request":[1]}',
    b'{"command":"dance","id":"x"}',
]


@pytest.mark.parametrize("line", HOSTILE, ids=range(len(HOSTILE)))
def test_no_line_ends_the_worker_silently(line):
    events = io.StringIO()
    stream = io.BytesIO(line + b"\n" + b'{"command":"ping","id":"p"}\n{"command":"shutdown"}\n')
    worker = Worker(stream, events, FAKE)
    worker.shutdown = lambda: worker._queue.put(None)  # the timer would end this process
    worker.serve()
    found = [json.loads(text) for text in events.getvalue().splitlines()]
    assert {"error", "pong"} <= {event["event"] for event in found}


@pytest.mark.skipif(os.name == "nt", reason="uses SIGSTOP")
def test_a_stopped_worker_is_detected(fake_worker, request_for):
    client = WorkerClient(fake_worker, stall_limit_s=1.0)
    with refused("worker-stalled", "heartbeat"):
        client.run(request_for(manner="long"), lambda *_: os.kill(client.pid or 0, signal.SIGSTOP))


def test_a_time_limit_ends_the_run(fake_worker, request_for):
    client = WorkerClient(fake_worker)
    with refused("time-limit"):
        client.run(request_for(manner="long"), time_limit_s=0.1)
    client.close()


@pytest.mark.skipif(os.name == "nt", reason="uses POSIX signals")
def test_the_cause_of_an_end_is_told_by_evidence():
    assert end_of_worker(-signal.SIGSEGV, False).code == "worker-crashed"
    assert "no lack of memory was recorded" in str(end_of_worker(-signal.SIGKILL, False))
    assert end_of_worker(-signal.SIGKILL, True).code == "memory"
    assert "SIGTERM" in str(end_of_worker(-signal.SIGTERM, True))


def test_a_second_batch_in_the_same_folder_is_refused(tmp_path):
    (tmp_path / "w.csv").write_text("fixed,moving\na,b\n")
    lock = FileLock(tmp_path / LOCK)
    assert lock.acquire()
    with refused("batch-running", "another batch"):
        run_batch(read_worklist(tmp_path / "w.csv", tasks=FAKE), tmp_path, tasks=FAKE)
    lock.release()
    assert not (tmp_path / "results.csv").exists()


def test_formulas_in_cells_are_neutralised_and_numbers_stay_numbers():
    assert [as_text_cell(cell) for cell in ("=1+1", "@x", -0.5, "a")] == ["'=1+1", "'@x", -0.5, "a"]
