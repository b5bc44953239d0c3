"""What a Job does, put together: a temporary folder, a request to the worker, new nodes; and the same at once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Callable, TypeVar

import slicer

from SlicerSynthReg.request import Progress, Request, Result, silent
from SynthRegLib.job import Work

_End = TypeVar("_End")
_INPUTS, _RESULT = "inputs", "result"


def nodes_work(
    task: str,
    write: Callable[[Path], Generator[None, None, dict[str, str]]],
    parameters: Mapping[str, Any],
    load: Callable[[Result], Any],
    place: Callable[[Any], Generator[None, None, Any]],
) -> Work:
    """A request `task` of scene_worker in a temporary folder of its own.

    write: puts the nodes into a folder and returns the inputs of the request (nodes.write_nodes). load: off the GUI
    thread, reads what place needs; the input files and the arrays (outputs named X_array) are removed after it. place:
    on the GUI thread, makes the nodes.
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

    return Work(prepare, loaded, place, folder)


def at_once(work: Work, run: Callable[[Request, Progress], Result], progress: Progress = silent) -> Any:
    """For scripts: returns what place returns, when the nodes are in the scene. run: as WorkerClient.run.

    Raises RequestError (found, expected, remedy); the scene is then as before.
    """
    try:
        progress(0.0, "reading the images")
        result = run(finished(work.prepare()), progress)
        return finished(work.place(work.load(result)))
    except BaseException:
        shutil.rmtree(work.folder, ignore_errors=True)
        raise


def finished(steps: Generator[None, None, _End]) -> _End:
    """All steps at once; what they return."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
