"""Run requests in this process with a registration that finds a known transform."""

from __future__ import annotations

from SynthRegLib.scene_worker import nodes_spec

from SlicerSynthReg.progress import Progress
from SlicerSynthReg.request import Request, Result
from SlicerSynthReg.service.run import run
from SlicerSynthReg.spatial.transform import Transform
from Testing.Slicer.answers import known_registration


def running(answer: Transform):
    """Return a function that takes the place of WorkerClient.run and registers with the transform `answer`."""
    tasks = {"register_nodes": nodes_spec("register", known_registration(answer))}

    def run_request(request: Request, progress: Progress) -> Result:
        return run(request, progress, tasks)

    return run_request
