"""kill -9 at any moment: the output folder holds complete files, and the next run removes what is left."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from SlicerSynthReg.io.manifest import read_manifest
from SlicerSynthReg.progress import Progress
from SlicerSynthReg.request import Request, TaskOutcome
from SlicerSynthReg.service.run import run
from SlicerSynthReg.tasks.registry import TaskSpec
from Testing.Backend.service.conftest import ROOT, content
from Testing.Backend.service.fake_tasks import FAKE, FakeParameters

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="uses SIGKILL")]
FILES, BYTES = 3, 1 << 16
KILLS = 15


def many_files(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Files that all hold the number of one run, each ending in its own checksum."""
    number = int(request.parameters["seconds"])
    outputs = {}
    for name in (f"{n}.bin" for n in range(FILES)):
        body = f"{number:08d}".encode() * (BYTES // 8)
        (workspace / name).write_bytes(body + hashlib.sha256(body).digest())
        outputs[name] = name
    return TaskOutcome(outputs, {"number": number})


TASKS = {"register": TaskSpec("Writes.", FAKE["register"].inputs, FakeParameters, lambda: many_files)}


def write(fixed: str, moving: str, out: str, number: float) -> None:
    run(Request("register", {"fixed": fixed, "moving": moving}, out, {"seconds": number}), tasks=TASKS)


def write_for_ever(fixed: str, moving: str, out: str) -> None:
    print("started", flush=True)
    for number in range(1, 100_000):
        write(fixed, moving, out, float(number))


def write_once(fixed: str, moving: str, out: str, moment: int) -> None:
    """Killed just before its `moment`-th step that makes, opens, renames or removes something near `out`."""
    parent, steps = str(Path(out).parent), 0

    def step(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal steps
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir") and parent in str(arguments[0]):
            steps += 1
            if steps == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(step)
    write(fixed, moving, out, float(moment))


def number_of(data: bytes) -> int:
    """The run that wrote the file; fails where it is not whole."""
    body, digest = data[:-32], data[-32:]
    assert len(body) == BYTES and hashlib.sha256(body).digest() == digest
    return int(body[:8])


def whole(folder: Path) -> set[int]:
    """The runs that wrote what lies there: every file whole, and all of one run if there is a manifest."""
    found = {name: data for name, data in content(folder).items() if not name.startswith(".synthreg-")}
    assert set(found) <= {*(f"{n}.bin" for n in range(FILES)), "report.json"}
    numbers = {number_of(data) for name, data in found.items() if name.endswith(".bin")}
    manifest = read_manifest(folder)
    if manifest is not None:
        assert numbers == {manifest["report"]["number"]} and len(found) == FILES + 1
    return numbers


@pytest.fixture
def child(pair):
    """A process that calls a function of this module with the pair, the output folder and more."""

    def start(function: str, out: Path, *more: object) -> subprocess.Popen[str]:
        arguments = ", ".join(map(repr, (pair["fixed"], pair["moving"], str(out), *more)))
        code = f"from Testing.Backend.service.test_kill import {function}; {function}({arguments})"
        return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)

    return start


def clears_up(pair, out: Path) -> None:
    write(pair["fixed"], pair["moving"], str(out), 0.0)
    assert whole(out) == {0} and read_manifest(out) and not list(out.parent.rglob(".synthreg-*"))


@pytest.mark.parametrize("place", ["new", "there"])
def test_kill_9_before_every_single_step(pair, child, tmp_path, place):
    outcomes = set()
    for moment in range(1, 1000):
        out = tmp_path / "results" / ("out" if place == "there" else f"out{moment}")
        if place == "there":
            clears_up(pair, out)
        with child("write_once", out, moment) as process:
            process.wait()
        numbers = whole(out)
        if process.returncode == 0:
            assert numbers == {moment}
            break
        assert process.returncode == -signal.SIGKILL
        outcomes.add((read_manifest(out) is not None, len(numbers)))
    assert moment > 3 * FILES, "too few steps were seen"
    assert outcomes >= ({(True, 1), (False, 2), (False, 1)} if place == "there" else {(False, 0)})
    clears_up(pair, out)


def test_kill_9_at_random_moments(pair, child, tmp_path):
    chance, out = random.Random(7), tmp_path / "results" / "out"
    for _ in range(KILLS):
        with child("write_for_ever", out) as process:
            assert process.stdout and process.stdout.readline() == "started\n"
            time.sleep(chance.uniform(0, 0.1))
            process.kill()
        whole(out)
    clears_up(pair, out)
