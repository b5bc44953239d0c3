"""The door with a known answer behind it, in this process."""

from __future__ import annotations

from SynthRegLib.scene_worker import nodes_spec

from SlicerSynthReg.request import Progress, Request, Result
from SlicerSynthReg.run import run
from SlicerSynthReg.space.transform import Transform
from Testing.Slicer.answers import answering


def running(answer: Transform):
    """What takes the place of WorkerClient.run: the door in this process, knowing only the known map."""
    tasks = {"register_nodes": nodes_spec("register", answering(answer))}

    def door(request: Request, progress: Progress) -> Result:
        return run(request, progress, tasks)

    return door
