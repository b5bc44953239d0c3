"""A stand-in for the registration: as slow, as well or as badly behaved as its parameters say. Run as a script it is a
worker that knows only this task."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from SlicerSynthReg.report.record import RegistrationReport
from SlicerSynthReg.request import Figured, FinishNow, Progress, Request, RequestError, TaskOutcome
from SlicerSynthReg.tasks.parameters import parameter
from SlicerSynthReg.tasks.table import InputSpec, TaskSpec
from SlicerSynthReg.worker import main

MANNERS = ("well", "refuse", "crash", "full", "die", "noise", "child", "deaf", "nan", "long")


@dataclass(frozen=True)
class FakeParameters:
    seconds: float = parameter(float, 0.0, "How long to take.", low=0.0)
    manner: str = parameter(str, "well", "What happens.", choices=MANNERS)
    device: str = parameter(str, "cpu", "Nothing.", changes_result=False)
    threads: int | None = parameter(int, None, "Nothing.", low=1)


def fake_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    manner = request.parameters["manner"]
    moved = workspace / "moved.nii.gz"
    moved.write_bytes(b"half")
    (workspace / "pages").mkdir()
    (workspace / "pages" / "index.html").write_text("page")
    end = time.monotonic() + request.parameters["seconds"]
    if manner == "child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        progress(0.1, f"child {child.pid}")
    if manner == "deaf":
        time.sleep(60)
    try:
        while manner == "long" or time.monotonic() < end:
            progress(0.5, Figured("computing", {"step": 3, "loss": 0.25, "lost": float("nan")}))
            time.sleep(0.02)
    except FinishNow:
        pass
    if manner == "refuse":
        raise RequestError(f"Found {request.inputs['fixed']} unfit, expected better. Replace it.")
    if manner == "crash":
        raise ZeroDivisionError(f"in {request.inputs['fixed']} of DOE^JANE and {Path(request.inputs['fixed']).name}")
    if manner == "full":
        raise OSError(errno.ENOSPC, "No space left on device", str(moved))
    if manner == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if manner == "noise":
        print("a library talks")
        os.write(1, b"and one in C\n")
    moved.write_bytes(b"half" + Path(request.inputs["fixed"]).read_bytes())
    dice = float("nan") if manner == "nan" else 0.5
    report = RegistrationReport("fixed.nii.gz", "moving.nii.gz", "fake", {}, {"affine": 1.5}, 0.0, 0.5, 2.0, 0.1, 0.05)
    return TaskOutcome({"moved": "moved.nii.gz"}, dataclasses.asdict(dataclasses.replace(report, dice_after=dice)), [])


FAKE = {
    "register": TaskSpec(
        help="A stand-in.",
        inputs={
            "fixed": InputSpec("Stays.", required=True),
            "moving": InputSpec("Moves.", required=True),
            "fixed_mask": InputSpec("Region."),
        },
        parameters=FakeParameters,
        load=lambda: fake_task,
    )
}

FAKE["finishing"] = dataclasses.replace(FAKE["register"], finishes=True)

if __name__ == "__main__":
    main(FAKE)
