"""The worker process: line protocol, cancellation, kill, orphans."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from SlicerSynthReg.errors import Cancelled, RequestError, WorkerEnded
from SlicerSynthReg.progress import message_values
from SlicerSynthReg.service.client import WorkerClient
from Testing.Backend.service.conftest import PATIENT, content

ROOT = Path(__file__).resolve().parents[3]
FOREVER = 1e6
"""Seconds of a run that only a cancellation or a kill ends."""
SAFETY_S, POLL_S = 600, 0.05
"""Ends a test that would hang; far above what a loaded machine needs, and asserted nowhere."""
"""Seconds after which a wait is given up, and between two looks at a process."""

@pytest.fixture
def client(fake_worker):
    client = WorkerClient(fake_worker)
    yield client
    client.close()


@pytest.fixture
def raw(fake_worker):
    """A worker spoken to line by line."""
    process = subprocess.Popen(
        fake_worker,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert receive(process)["event"] == "ready"
    yield process
    process.kill()
    process.communicate()


def send(process, **message):
    process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()


def receive(process):
    return json.loads(process.stdout.readline())


def receive_until(process, event):
    while True:
        received = receive(process)
        if received["event"] == event:
            return received


def wait_until_gone(pid: int) -> None:
    """Return when the process has ended; fails only after SAFETY_S of waiting."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for _ in range(round(SAFETY_S / POLL_S)):
            if process.status() == psutil.STATUS_ZOMBIE:
                return
            with suppress(psutil.TimeoutExpired):
                process.wait(POLL_S)
                return
        pytest.fail(f"process {pid} is still running")


def test_one_worker_serves_one_request_after_another(client, request_for, tmp_path):
    received = []
    result = client.run(request_for(seconds=0.1), lambda fraction, text: received.append(text))
    first = client.pid
    assert result.report["overlap"]["dice_after"] == 0.5 and "computing" in received
    assert (tmp_path / "out" / "report.json").is_file()
    with pytest.raises(RequestError) as caught:
        client.run(request_for(manner="refuse"))
    assert caught.value.code == "fake-unfit"
    client.run(request_for())
    assert client.pid == first


def test_numbers_come_with_the_text_of_progress(client, request_for):
    received = []
    client.run(request_for(seconds=0.1), lambda fraction, text: received.append((text, message_values(text))))
    assert ("computing", {"step": 3, "loss": 0.25}) in received, "values that are no numbers are left out"
    assert dict(received)["starting"] == {}


def test_what_libraries_print_stays_out_of_the_events(raw, request_for):
    send(raw, id="n", command="run", request=request_for(manner="noise").to_json())
    assert receive_until(raw, "result")["id"] == "n"
    _, errors = raw.communicate(timeout=SAFETY_S)
    assert "a library talks" in errors and "and one in C" in errors


def test_ping_is_answered_while_a_run_is_under_way_and_cancel_ends_it(raw, request_for, tmp_path):
    send(raw, id="long", command="run", request=request_for(seconds=FOREVER).to_json())
    send(raw, id="next", command="run", request=request_for(seconds=FOREVER).to_json())
    receive_until(raw, "progress")
    send(raw, id="p", command="ping")
    assert receive_until(raw, "pong")["id"] == "p"
    send(raw, command="cancel", id="next")
    send(raw, command="cancel", id="long")
    ended = [receive_until(raw, "error") for _ in range(2)]
    assert [(e["id"], e["code"]) for e in ended] == [("long", "cancelled"), ("next", "cancelled")]
    assert [p.name for p in tmp_path.iterdir()] == [PATIENT]


def test_a_run_that_can_ends_early_with_its_result_when_it_is_asked_to(client, request_for, tmp_path):
    request = replace(request_for(manner="long"), task="finishing")
    assert client.run(request, lambda fraction, text: client.finish()).report["overlap"]["dice_after"] == 0.5
    assert (tmp_path / "out" / "report.json").is_file()
    another = replace(request_for(), outputs=str(tmp_path / "another"))
    assert client.run(another).outputs, "the next run is not finished by it"


def test_a_run_that_cannot_end_early_goes_on(raw, request_for):
    send(raw, id="1", command="run", request=request_for(seconds=0.5).to_json())
    receive_until(raw, "progress")
    send(raw, id="1", command="finish")
    assert receive_until(raw, "result")["id"] == "1"


def test_invalid_lines_are_answered_and_the_worker_goes_on(raw, request_for):
    raw.stdin.write("no json\n[]\n")
    send(raw, id="1", command="dance")
    send(raw, id="2", command="run", request={"task": "register"})
    send(raw, id="3", command="run", request=request_for().to_json())
    assert [receive_until(raw, "error")["id"] for _ in range(4)] == [None, None, "1", "2"]
    assert receive_until(raw, "result")["id"] == "3"
    send(raw, command="shutdown")
    assert raw.wait(SAFETY_S) == 0


def test_kill_9_in_mid_run_leaves_no_output(raw, request_for, tmp_path):
    send(raw, id="1", command="run", request=request_for(seconds=FOREVER).to_json())
    receive_until(raw, "progress")
    raw.kill()
    raw.wait()
    assert not (tmp_path / "out").exists()
    [left] = [p for p in tmp_path.iterdir() if p.name != PATIENT]
    assert left.name.startswith(".synthreg-")


def test_kill_9_in_mid_run_keeps_an_earlier_result_and_the_next_run_sweeps(client, raw, request_for, tmp_path):
    client.run(request_for())
    before = content(tmp_path / "out")
    send(raw, id="1", command="run", request=request_for(seconds=FOREVER).to_json())
    receive_until(raw, "progress")
    raw.kill()
    raw.wait()
    after = content(tmp_path / "out")
    assert {name: after[name] for name in before} == before
    assert all(name.startswith(".synthreg-") for name in set(after) - set(before))
    client.run(request_for())
    assert set(content(tmp_path / "out")) == set(before)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that can be answered")
@pytest.mark.parametrize("end", ["stdin closes", "SIGTERM"])
def test_a_worker_that_is_no_longer_wanted_cleans_up(raw, request_for, tmp_path, end):
    send(raw, id="1", command="run", request=request_for(seconds=FOREVER).to_json())
    receive_until(raw, "progress")
    if end == "SIGTERM":
        raw.send_signal(signal.SIGTERM)
    else:
        raw.stdin.close()
    raw.wait(SAFETY_S)
    assert [p.name for p in tmp_path.iterdir()] == [PATIENT]
    raw.stdin = None


def test_a_worker_deep_in_a_step_ends_with_its_stdin(raw, request_for):
    send(raw, id="1", command="run", request=request_for(manner="deaf").to_json())
    receive_until(raw, "progress")
    raw.stdin.close()
    raw.wait(SAFETY_S)
    raw.stdin = None


@pytest.mark.skipif(os.name == "nt", reason="uses a POSIX shell's background job")
def test_a_worker_ends_with_its_parent_though_the_pipe_stays_open(fake_worker, tmp_path):
    read, write = os.pipe()
    code = (
        f"import subprocess; p = subprocess.Popen({list(fake_worker)}, stdin={read}, pass_fds=[{read}], "
        "stdout=subprocess.PIPE); p.stdout.readline(); print(p.pid)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with open(tmp_path / "said", "w") as said:
        subprocess.run([sys.executable, "-c", code], pass_fds=[read], stdout=said, env=environment, check=True)
    pid = int((tmp_path / "said").read_text().splitlines()[0])
    try:
        wait_until_gone(pid)
    finally:
        os.close(write)
        os.close(read)


def test_a_worker_that_dies_is_reported_and_replaced(client, request_for, tmp_path):
    with pytest.raises(WorkerEnded) as caught:
        client.run(request_for(manner="die"))
    assert caught.value.code == "worker-ended" and "signal 9" in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert client.run(request_for()).outputs


def test_cancelling_kills_the_whole_tree(client, request_for, tmp_path):
    received: list[str] = []

    def progress(fraction: float, text: str) -> None:
        received.append(text)
        if text.startswith("computing"):
            raise Cancelled

    with pytest.raises(Cancelled):
        client.run(request_for(manner="child", seconds=FOREVER), progress)
    [child] = [int(text.split()[1]) for text in received if text.startswith("child")]
    assert client.pid is None
    wait_until_gone(child)
    assert not (tmp_path / "out").exists()


def test_kill_from_another_thread_ends_the_run(client, request_for):
    started = threading.Event()
    threading.Thread(target=lambda: (started.wait(SAFETY_S), client.kill())).start()
    with pytest.raises(WorkerEnded):
        client.run(request_for(manner="child", seconds=FOREVER), lambda fraction, text: started.set())
