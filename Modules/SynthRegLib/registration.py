"""A registration of two nodes, put together: what the panel's job does step by step, and the same in one call."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any, Callable, TypeVar

import slicer

from SlicerSynthReg.request import Progress, Request, RequestError, Result, silent
from SynthRegLib.inputs import RegistrationNodes, fault, missing
from SynthRegLib.job import Work
from SynthRegLib.nodes import write_scene
from SynthRegLib.results import Registered, load, place
from SynthRegLib.settings import Settings

_End = TypeVar("_End")
_INPUTS, _RESULT = "inputs", "result"


def work_for(nodes: RegistrationNodes, settings: Settings) -> Work:
    """What a Job does. Raises RequestError when the nodes cannot be registered as they are."""
    wrong = missing(nodes) or fault(nodes)
    if wrong:
        raise RequestError(wrong)
    folder = Path(tempfile.mkdtemp(prefix="SynthReg-", dir=slicer.app.temporaryPath))

    def prepare() -> Generator[None, None, Request]:
        (folder / _INPUTS).mkdir()
        inputs = yield from write_scene(nodes, folder / _INPUTS)
        return Request("register_nodes", inputs, str(folder / _RESULT), settings.parameters())

    def loaded(result: Result) -> Any:
        arrays = load(result, settings.wanted())
        shutil.rmtree(folder / _INPUTS, ignore_errors=True)
        for name, path in result.outputs.items():
            if name.endswith("_array"):
                Path(path).unlink()
        return arrays

    return Work(prepare, loaded, lambda arrays: place(nodes, arrays), folder)


def register(
    nodes: RegistrationNodes,
    settings: Settings,
    run: Callable[[Request, Progress], Result],
    progress: Progress = silent,
) -> Registered:
    """Everything at once, for scripts: returns when the nodes are in the scene. run: as WorkerClient.run.

    Raises RequestError (found, expected, remedy); the scene is then as before.
    """
    work = work_for(nodes, settings)
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
