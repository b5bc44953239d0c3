"""Fake registration task whose duration and failures are parameters; as a script, a worker with only this task."""

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

from SlicerSynthReg.errors import FinishNow, RequestError
from SlicerSynthReg.parameters.base import parameter
from SlicerSynthReg.progress import Progress, ProgressMessage
from SlicerSynthReg.report.record import LabelOverlap, RegistrationReport, RunRecord, TransformQuality
from SlicerSynthReg.request import Request, TaskOutcome
from SlicerSynthReg.service.worker import main
from SlicerSynthReg.tasks.registry import InputSpec, TaskSpec

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
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1e6)"])
        progress(0.1, f"child {child.pid}")
    if manner == "deaf":
        time.sleep(1e6)
    try:
        while manner == "long" or time.monotonic() < end:
            progress(0.5, ProgressMessage("computing", {"step": 3, "loss": 0.25, "lost": float("nan")}))
            time.sleep(0.02)
    except FinishNow:
        pass
    if manner == "refuse":
        raise RequestError(f"Found {request.inputs['fixed']} unfit, expected better. Replace it.", code="fake-unfit")
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
    report = RegistrationReport(
        "fixed.nii.gz",
        "moving.nii.gz",
        TransformQuality(0.0, 0.5, 2.0, 0.1, 0.05),
        RunRecord("fake", {}, {"affine": 1.5}),
        LabelOverlap(0.25, dice, {}),
    )
    return TaskOutcome({"moved": "moved.nii.gz"}, report.to_dict(), [])


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
