"""A worker that answers a pair of nodes with a known map, as slowly or badly as SYNTHREG_TEST_MANNER says. Started in
the place of SynthRegLib.scene_worker, with the repository in PYTHONPATH."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from SynthRegLib.scene_worker import nodes_spec

from SlicerSynthReg.request import Progress, Request, TaskOutcome
from SlicerSynthReg.worker import main
from Testing.Slicer.answers import answering, known_map


def register(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    manner = os.environ.get("SYNTHREG_TEST_MANNER", "")
    progress(0.05, "computing")
    if manner in ("slow", "deaf"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
        progress(0.1, f"child {child.pid}")
    if manner == "deaf":
        time.sleep(120)
    for step in range(600 if manner == "slow" else 4):
        progress(0.1 + step / 1000, "computing")
        time.sleep(0.1)
    if manner == "memory":
        raise MemoryError
    if manner == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return answering(known_map())(request, workspace, progress)


if __name__ == "__main__":
    main({"register_nodes": nodes_spec("register", register)})
