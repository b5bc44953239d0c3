"""A worker that answers a pair of nodes with a known map (manner "still": with none), every frame of a sequence with
a shift, and looks for changes as the backend does, as slowly or badly as SYNTHREG_TEST_MANNER says.

Started in the place of SynthRegLib.scene_worker, with the repository in PYTHONPATH."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from SynthRegLib.scene_worker import nodes_spec, tasks_on_nodes

from SlicerSynthReg.request import Progress, Request, TaskOutcome
from SlicerSynthReg.space.transform import Affine
from SlicerSynthReg.worker import main
from Testing.Slicer.answers import answering, known_map


def misbehave(progress: Progress) -> None:
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


def register(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    misbehave(progress)
    still = os.environ.get("SYNTHREG_TEST_MANNER") == "still"
    outcome = answering(Affine(np.eye(4)) if still else known_map())(request, workspace, progress)
    measured = {"folding_share": 0.0, "similarity_after": 0.7, "stages": {"affine": 2.0, "refinement": 5.0}}
    if request.parameters["affine_only"]:
        measured = {**measured, "similarity_after": 0.4, "stages": {"affine": 2.0}}
    return dataclasses.replace(outcome, report={**outcome.report, **measured})


def register_sequence(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """The backend's own task, in which each frame's registration finds the shift of 2 mm a frame along +R."""
    from SlicerSynthReg.tasks import sequence
    from SlicerSynthReg.tasks.alignment import Alignment

    def aligned(parameters, reference, frame, device, tell) -> Alignment:
        misbehave(tell)
        shift = np.eye(4)
        shift[0, 3] = 2.0 * int(frame.name)
        return Alignment(Affine(shift), shift, None, {}, 0.5, 0.6)

    sequence._aligned = aligned
    return sequence.sequence_task(request, workspace, progress)


def topology(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    from SlicerSynthReg.tasks.topology import topology_task

    misbehave(progress)
    return topology_task(request, workspace, progress)


if __name__ == "__main__":
    known = {"register": register, "sequence": register_sequence, "topology": topology}
    main({**tasks_on_nodes(), **{f"{name}_nodes": nodes_spec(name, task) for name, task in known.items()}})
