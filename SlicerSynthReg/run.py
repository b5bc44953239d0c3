"""request -> result: the only door to the compute, for the command line, the worker, the batch and Slicer alike.

Imports no torch; the task is loaded when its request comes.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from SlicerSynthReg.request import (
    Cancelled,
    FinishNow,
    Progress,
    Request,
    RequestError,
    Result,
    Suggestion,
    fingerprint,
    plain,
    shown_name,
    silent,
)
from SlicerSynthReg.tasks.device import require_device
from SlicerSynthReg.tasks.parameters import recorded
from SlicerSynthReg.tasks.table import TASKS, TaskSpec
from SlicerSynthReg.validate import validated
from SlicerSynthReg.workspace import Workspace

if TYPE_CHECKING:
    from SlicerSynthReg.volume.volume import VolumeError

_LIMITED = {errno.EDQUOT, errno.EFBIG}
_FULL = {errno.ENOSPC, *_LIMITED}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_MEMORY_WORDS = ("out of memory", "DefaultCPUAllocator")


def run(request: Request, progress: Progress = silent, tasks: Mapping[str, TaskSpec] = TASKS) -> Result:
    """Do what `request` asks; its output folder then holds whole files and report.json, or is as it was before.

    progress: called from this thread; what it raises ends the run. Errors: RequestError (plain text: found, expected,
    remedy); Cancelled, from `progress`.
    """
    request = validated(request, tasks)
    require_device(request.parameters.get("device", "cpu"))
    spec = tasks[request.task]
    try:
        with Workspace(Path(request.outputs)) as workspace:
            try:
                return _run_in(workspace, request, spec, progress)
            except Cancelled:
                raise
            except Exception as error:
                raise _told(error, request, spec, workspace.path) from error
    except OSError as error:
        raise RequestError(_cannot_write(error, request)) from error


def result_hash(request: Request, tasks: Mapping[str, TaskSpec] = TASKS) -> str:
    """What report.json says under "fingerprint" when `request` has been run. Raises RequestError."""
    request = validated(request, tasks)
    return _fingerprint(request, tasks[request.task])


def _run_in(workspace: Workspace, request: Request, spec: TaskSpec, progress: Progress) -> Result:
    key = _fingerprint(request, spec)
    with suppress(FinishNow):  # the task is told again
        progress(0.0, "starting")
    outcome = spec.load()(request, workspace.path, progress)
    outputs = {name: _relative(name, file, workspace.path) for name, file in outcome.outputs.items()}
    report = plain(outcome.report)
    warnings = [_without_paths(text, request, workspace.path) for text in outcome.warnings]
    with suppress(FinishNow):
        progress(1.0, "done")
    workspace.publish(
        {
            "task": request.task,
            "inputs": {name: shown_name(path) for name, path in request.inputs.items()},
            "parameters": plain(recorded(spec.parameters, request.parameters)),
            "fingerprint": key,
            "outputs": outputs,
            "warnings": warnings,
            "report": report,
        }
    )
    return Result({name: str(workspace.target / file) for name, file in outputs.items()}, report, warnings)


def _fingerprint(request: Request, spec: TaskSpec) -> str:
    unhashed = [p.name for p in spec.parameter_specs().values() if not p.changes_result]
    weights = spec.weights(request.parameters)
    try:
        return fingerprint(request, unhashed, weights, spec.files(request.inputs))
    except OSError as error:
        raise RequestError(
            f"Found that an input can no longer be read ({error.strerror}), expected files that stay readable during "
            "the run. Check the permissions in its folder, and that its drive is connected."
        ) from error


def _relative(name: str, file: str, folder: Path) -> str:
    path = (folder / file).resolve()
    if not path.is_file() or folder.resolve() not in path.parents:
        raise RuntimeError(f"the task names the output {name}, which is no file in its workspace")
    return path.relative_to(folder.resolve()).as_posix()


def _told(error: Exception, request: Request, spec: TaskSpec, folder: Path) -> RequestError:
    """`error` as the caller sees it."""
    if isinstance(error, RequestError):
        return RequestError(_without_paths(error.text, request, folder), error.log, error.suggestion)
    if isinstance(error, OSError) and error.errno in _FULL | _FORBIDDEN:
        return RequestError(_cannot_write(error, request))
    told = str(error.strerror or error) if isinstance(error, OSError) else str(error)
    own = type(error).__module__.startswith("SlicerSynthReg.")
    if own:
        from SlicerSynthReg.volume.volume import VolumeError  # torch, which whoever raised this has loaded

        if isinstance(error, VolumeError):
            return _told_of_input(error, request, spec, folder)
    if own or (isinstance(error, OSError) and told.startswith("Found")):
        return RequestError(_without_paths(told, request, folder))
    if isinstance(error, MemoryError) or any(word in told for word in _MEMORY_WORDS):
        return RequestError(
            "Found too little memory for this run, expected enough for the images and the network. Close other "
            "programs, choose preset fast or device cpu, or crop or resample the images; nothing was written."
        )
    log = _write_log(error, request, spec, folder)
    remedy = f"Please report it with the file {log}, which names no file of yours" if log else "Please report it"
    return RequestError(
        f"Found an unexpected {type(error).__name__} in the task {request.task}, expected none: a fault of the "
        f"program; nothing was written. {remedy}.",
        log,
    )


def _told_of_input(error: VolumeError, request: Request, spec: TaskSpec, folder: Path) -> RequestError:
    """Which input it is about, and as its way out the parameter of that name, or of that name after the input's."""
    roles = [role for role, path in request.inputs.items() if error.path and Path(path) == error.path]
    head, suggestion = "", None
    if error.path and roles:
        head = f"Input {roles[0]} ({shown_name(error.path)}): "
    elif error.path:
        head = f"{shown_name(error.path)}: "
    if out := error.way_out:
        known = spec.parameter_specs()
        names = [name for role in roles for name in (f"{role}_{out.keyword}", out.keyword) if name in known]
        given = [name for name in names if request.parameters[name] == known[name].default]
        suggestion = next((Suggestion(name, out.value, out.effect) for name in given), None)
    return RequestError(_without_paths(head + error.text, request, folder), suggestion=suggestion)


def _cannot_write(error: OSError, request: Request) -> str:
    outputs = Path(request.outputs)
    if error.errno not in _FULL:
        return (
            f"Found that the output folder {outputs.name} cannot be written ({os.strerror(error.errno or errno.EIO)}), "
            "expected a folder with write permission. Choose another one, or have its permissions changed; nothing was "
            "written."
        )
    if error.errno in _LIMITED:
        return (
            f"Found that the results in {outputs.name} exceed a limit of this disk or account "
            f"({os.strerror(error.errno or errno.EIO)}), expected room for all files. Choose a folder on another disk, "
            "or have the limit raised; nothing was written."
        )
    free = ""
    with suppress(OSError):
        place = next(p for p in (outputs, *outputs.parents) if p.exists())
        free = f" ({shutil.disk_usage(place).free / 1e6:.0f} MB free)"
    return (
        f"Found no space left for the results in {outputs.name}{free}, expected room for all files. "
        "Free space or choose a folder on another disk; nothing was written."
    )


def _without_paths(text: str, request: Request, folder: Path, names: bool = True) -> str:
    """Paths of inputs and outputs reduced to base names, or with names=False to what they are in the request.

    Folders that hold an input, and the one that holds the output, are named by what they are in either case.
    """
    output = Path(request.outputs)
    roles = {Path(path): role for role, path in request.inputs.items()}
    known = {path.parent: f"<folder of {role}>" for path, role in roles.items()} | {output.parent: "<folder of output>"}
    known |= dict.fromkeys((output, folder), output.name if names else "<output folder>")
    known |= {path: shown_name(path) if names else f"<{role}>" for path, role in roles.items()}
    forms = {}
    for path, shown in known.items():
        for form in (str(path), os.path.realpath(path), repr(str(path))[1:-1]):
            if len(form) > 1:
                forms[re.escape(form)] = shown
    if not names:
        for role, one in request.inputs.items():
            for form in {Path(one).name, Path(one).name.split(".")[0]} - {""}:
                forms[rf"(?<!\w){re.escape(form)}(?!\w)"] = f"<{role}>"
    patterns = sorted(forms, key=len, reverse=True)
    return re.sub("|".join(f"({p})" for p in patterns), lambda found: forms[patterns[(found.lastindex or 1) - 1]], text)


def _write_log(error: Exception, request: Request, spec: TaskSpec, folder: Path) -> str | None:
    """Traceback and request, inputs by their role only; None when there is no place for it."""
    lines = ["".join(traceback.format_tb(error.__traceback__)), type(error).__qualname__]
    innermost = traceback.extract_tb(error.__traceback__)[-1:]
    if not any("pydicom" in frame.filename for frame in innermost):  # its messages quote the values of tags
        lines.append(str(error))
    parameters = plain(recorded(spec.parameters, request.parameters))
    lines.append(f"task {request.task}, inputs {sorted(request.inputs)}, parameters {parameters}")
    with suppress(OSError):
        handle, name = tempfile.mkstemp(prefix="synthreg-", suffix=".log", text=True)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(_without_paths("\n".join(lines), request, folder, names=False) + "\n")
        return name
    return None
