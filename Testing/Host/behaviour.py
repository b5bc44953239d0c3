"""What a worker of these tests does before it computes, as SYNTHREG_TEST_BEHAVIOUR says.

Imports no torch: a run that is stopped does not wait for it.

"slow": reports progress for a minute beside a child process. "deaf": starts a child process and reports nothing for two
minutes. "memory": runs out of memory. "die": ends by signal 9. Anything else: reports progress a few times.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from SlicerSynthReg.progress import Progress
from SlicerSynthReg.request import Request, TaskOutcome
from SlicerSynthReg.tasks.registry import Task, TaskSpec

BEHAVIOUR = "SYNTHREG_TEST_BEHAVIOUR"


def behave(progress: Progress) -> None:
    """Behave as the environment says; `progress` raises where the run is cancelled."""
    behaviour = os.environ.get(BEHAVIOUR, "")
    progress(0.05, "computing")
    if behaviour in ("slow", "deaf"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
        progress(0.1, f"child {child.pid}")
    if behaviour == "deaf":
        time.sleep(120)
    for step in range(600 if behaviour == "slow" else 4):
        progress(0.1 + step / 1000, "computing")
        time.sleep(0.1 if behaviour == "slow" else 0.01)
    if behaviour == "memory":
        raise MemoryError
    if behaviour == "die":
        os.kill(os.getpid(), signal.SIGKILL)


def imported(module: str, name: str) -> Callable[..., Any]:
    """Return a function that imports `name` of `module` when it is called: a worker that is stopped before needs no
    torch."""

    def call(*arguments: Any, **options: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*arguments, **options)

    return call


def behaving(spec: TaskSpec) -> TaskSpec:
    """Return the task, run after `behave`."""

    def load() -> Task:
        def task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
            behave(progress)
            return spec.load()(request, workspace, progress)

        return task

    return dataclasses.replace(spec, load=load)
