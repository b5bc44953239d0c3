"""Jobs on nodes: a temporary folder, a request to the worker, new nodes; asynchronous or synchronous."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Callable, TypeVar

import slicer

from SlicerSynthReg.progress import Progress, no_progress
from SlicerSynthReg.request import Request, Result
from SynthRegLib.job import JobSteps

_End = TypeVar("_End")
_INPUTS, _RESULT = "inputs", "result"


def node_job(
    task: str,
    write: Callable[[Path], Generator[None, None, dict[str, str]]],
    parameters: Mapping[str, Any],
    load: Callable[[Result], Any],
    place: Callable[[Any], Generator[None, None, Any]],
) -> JobSteps:
    """Return the steps of a request `task` to scene_worker in a temporary folder.

    write: writes the nodes into a folder and returns the inputs of the request. load: off the GUI thread, reads what
    place needs; input files and arrays (outputs X_array) are removed after it. place: on the GUI thread, adds the
    nodes.
    """
    folder = Path(tempfile.mkdtemp(prefix="SynthReg-", dir=slicer.app.temporaryPath))

    def prepare() -> Generator[None, None, Request]:
        (folder / _INPUTS).mkdir()
        inputs = yield from write(folder / _INPUTS)
        return Request(task, inputs, str(folder / _RESULT), dict(parameters))

    def loaded(result: Result) -> Any:
        arrays = load(result)
        shutil.rmtree(folder / _INPUTS, ignore_errors=True)
        for name, path in result.outputs.items():
            if name.endswith("_array"):
                Path(path).unlink()
        return arrays

    return JobSteps(prepare, loaded, place, folder)


def run_sync(work: JobSteps, run: Callable[[Request, Progress], Result], progress: Progress = no_progress) -> Any:
    """Run a job and return the value of its last step. run: as WorkerClient.run.

    Raises RequestError; the scene is then unchanged.
    """
    try:
        progress(0.0, "reading the images")
        result = run(run_steps(work.prepare()), progress)
        return run_steps(work.place(work.load(result)))
    except BaseException:
        shutil.rmtree(work.folder, ignore_errors=True)
        raise


def run_steps(steps: Generator[None, None, _End]) -> _End:
    """Run all steps of a generator and return its value."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
