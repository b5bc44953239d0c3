"""Run a request: the entry point of the command line, the worker, the batch and Slicer.

Imports no torch; the implementation of a task is imported with its first request.
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

from SlicerSynthReg.errors import (
    Cancelled,
    FinishNow,
    ImageError,
    RequestError,
    Suggestion,
    SynthRegError,
    missing_package_error,
)
from SlicerSynthReg.io.manifest import MANIFEST
from SlicerSynthReg.parameters.base import recorded
from SlicerSynthReg.progress import Progress, no_progress
from SlicerSynthReg.request import Request, Result, display_name, to_jsonable
from SlicerSynthReg.runtime import require_device
from SlicerSynthReg.service.fingerprint import fingerprint
from SlicerSynthReg.service.validation import validated
from SlicerSynthReg.service.workspace import Workspace, earlier_result, require_own
from SlicerSynthReg.tasks.registry import TASKS, TaskSpec

_LIMITED = {errno.EDQUOT, errno.EFBIG}
_FULL = {errno.ENOSPC, *_LIMITED}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_MEMORY_WORDS = ("out of memory", "DefaultCPUAllocator")


def run(request: Request, progress: Progress = no_progress, tasks: Mapping[str, TaskSpec] = TASKS) -> Result:
    """Run `request`; its output folder then holds complete files and report.json, or is unchanged.

    progress: called from this thread; its exceptions end the run. Raises RequestError with a code, and Cancelled from
    `progress`.
    """
    request = validated(request, tasks)
    require_device(request.parameters.get("device", "cpu"))
    spec = tasks[request.task]
    _require_free(request, spec)
    try:
        with Workspace(Path(request.outputs)) as workspace:
            try:
                return _run_in(workspace, request, spec, progress)
            except Cancelled:
                raise
            except Exception as error:
                raise _request_error(error, request, spec, workspace.path) from error
    except OSError as error:
        raise _write_error(error, request) from error


def result_hash(request: Request, tasks: Mapping[str, TaskSpec] = TASKS) -> str:
    """Return the fingerprint that report.json holds after `request` was run. Raises RequestError."""
    request = validated(request, tasks)
    return _fingerprint(request, tasks[request.task])


def _run_in(workspace: Workspace, request: Request, spec: TaskSpec, progress: Progress) -> Result:
    key = _fingerprint(request, spec)
    with suppress(FinishNow):  # the task receives it again at its next call
        progress(0.0, "starting")
    outcome = spec.load()(request, workspace.path, progress)
    outputs = {name: _relative(name, file, workspace.path) for name, file in outcome.outputs.items()}
    report = to_jsonable(outcome.report)
    warnings = [_without_paths(text, request, workspace.path) for text in outcome.warnings]
    with suppress(FinishNow):
        progress(1.0, "done")
    workspace.publish(
        {
            "task": request.task,
            "inputs": {name: display_name(path) for name, path in request.inputs.items()},
            "parameters": to_jsonable(recorded(spec.parameters, request.parameters)),
            "fingerprint": key,
            "outputs": outputs,
            "warnings": warnings,
            "report": report,
        },
        _inputs(request, spec),
    )
    return Result({name: str(workspace.target / file) for name, file in outputs.items()}, report, warnings)


def _inputs(request: Request, spec: TaskSpec) -> list[Path]:
    return [*map(Path, request.inputs.values()), *spec.files(request.inputs)]


def _require_free(request: Request, spec: TaskSpec) -> None:
    """Refuse, before the computation, a folder with another task's result or with one that this run reads."""
    folder = Path(request.outputs)
    task, owned = earlier_result(folder)
    try:
        inputs = _inputs(request, spec)
    except (SynthRegError, OSError):  # the task reports what is wrong with its inputs
        inputs = []
    names = owned or [MANIFEST]
    require_own(folder, names, owned if task == request.task else (), inputs)


def _fingerprint(request: Request, spec: TaskSpec) -> str:
    unhashed = [p.name for p in spec.parameter_specs().values() if not p.changes_result]
    weights = spec.weights(request.parameters)
    try:
        return fingerprint(request, unhashed, weights, spec.files(request.inputs))
    except OSError as error:
        raise RequestError(
            f"Found that an input can no longer be read ({error.strerror}), expected files that stay readable during "
            "the run. Check the permissions in its folder, and that its drive is connected.",
            code="input-unreadable",
        ) from error


def _relative(name: str, file: str, folder: Path) -> str:
    path = (folder / file).resolve()
    if not path.is_file() or folder.resolve() not in path.parents:
        raise RuntimeError(f"Found the output {name} of the task outside its workspace, expected a file inside.")
    return path.relative_to(folder.resolve()).as_posix()


def _request_error(error: Exception, request: Request, spec: TaskSpec, folder: Path) -> RequestError:
    """Return `error` with its code, without paths; an unexpected one has the code "internal" and a log."""
    if isinstance(error, RequestError):
        text = _without_paths(error.text, request, folder)
        return RequestError(text, error.suggestion, code=error.code, log=error.log)
    if isinstance(error, OSError) and error.errno in _FULL | _FORBIDDEN:
        return _write_error(error, request)
    message = str(error.strerror or error) if isinstance(error, OSError) else str(error)
    if isinstance(error, ImageError):
        return _input_error(error, request, spec, folder)
    if isinstance(error, SynthRegError):
        return RequestError(_without_paths(error.text, request, folder), code=error.code)
    if isinstance(error, OSError) and message.startswith("Found"):
        return RequestError(_without_paths(message, request, folder), code="file")
    if isinstance(error, ImportError) and (missing := missing_package_error(error)) is not None:
        return missing
    if isinstance(error, MemoryError) or any(word in message for word in _MEMORY_WORDS):
        return RequestError(
            "Found too little memory for this run, expected enough for the images and the network. Close other "
            "programs, choose preset fast or device cpu, or crop or resample the images; nothing was written.",
            code="memory",
        )
    log = _write_log(error, request, spec, folder)
    remedy = f"Please report it with the file {log}, which names no file of yours" if log else "Please report it"
    return RequestError(
        f"Found an unexpected {type(error).__name__} in the task {request.task}, expected none: an error of the "
        f"program; nothing was written. {remedy}.",
        code="internal",
        log=log,
    )


def _input_error(error: ImageError, request: Request, spec: TaskSpec, folder: Path) -> RequestError:
    """Return `error` with the name of its input; its suggestion becomes the task's parameter of that input."""
    roles = [role for role, path in request.inputs.items() if error.path and Path(path) == error.path]
    head, suggestion = "", None
    if error.path and roles:
        head = f"Input {roles[0]} ({display_name(error.path)}): "
    elif error.path:
        head = f"{display_name(error.path)}: "
    if proposed := error.suggestion:
        known = spec.parameter_specs()
        names = [
            name for role in roles for name in (f"{role}_{proposed.parameter}", proposed.parameter) if name in known
        ]
        unused = [name for name in names if request.parameters[name] == known[name].default]
        suggestion = next((Suggestion(name, proposed.value, proposed.effect) for name in unused), None)
    return RequestError(_without_paths(head + error.text, request, folder), suggestion, code=error.code)


def _write_error(error: OSError, request: Request) -> RequestError:
    outputs = Path(request.outputs)
    if error.errno not in _FULL:
        return RequestError(
            f"Found that the output folder {outputs.name} cannot be written ({os.strerror(error.errno or errno.EIO)}), "
            "expected a folder with write permission. Choose another one, or have its permissions changed; nothing was "
            "written.",
            code="output-unwritable",
        )
    if error.errno in _LIMITED:
        return RequestError(
            f"Found that the results in {outputs.name} exceed a limit of this disk or account "
            f"({os.strerror(error.errno or errno.EIO)}), expected room for all files. Choose a folder on another disk, "
            "or have the limit raised; nothing was written.",
            code="disk-limit",
        )
    free = ""
    with suppress(OSError):
        place = next(p for p in (outputs, *outputs.parents) if p.exists())
        free = f" ({shutil.disk_usage(place).free / 1e6:.0f} MB free)"
    return RequestError(
        f"Found no space left for the results in {outputs.name}{free}, expected room for all files. "
        "Free space or choose a folder on another disk; nothing was written.",
        code="disk-full",
    )


def _without_paths(text: str, request: Request, folder: Path, names: bool = True) -> str:
    """Return `text` with paths of inputs and outputs replaced by base names, or with names=False by their roles.

    The folders of inputs and output are always replaced by their roles.
    """
    output = Path(request.outputs)
    roles = {Path(path): role for role, path in request.inputs.items()}
    known = {path.parent: f"<folder of {role}>" for path, role in roles.items()} | {output.parent: "<folder of output>"}
    known |= dict.fromkeys((output, folder), output.name if names else "<output folder>")
    known |= {path: display_name(path) if names else f"<{role}>" for path, role in roles.items()}
    forms = {}
    for path, shown in known.items():
        for form in (str(path), os.path.realpath(path), repr(str(path))[1:-1]):
            if len(form) > 1:
                forms[re.escape(form)] = shown
    if not names:
        for role, input_spec in request.inputs.items():
            for form in {Path(input_spec).name, Path(input_spec).name.split(".")[0]} - {""}:
                forms[rf"(?<!\w){re.escape(form)}(?!\w)"] = f"<{role}>"
    patterns = sorted(forms, key=len, reverse=True)
    return re.sub("|".join(f"({p})" for p in patterns), lambda found: forms[patterns[(found.lastindex or 1) - 1]], text)


def _write_log(error: Exception, request: Request, spec: TaskSpec, folder: Path) -> str | None:
    """Write traceback and request, inputs by role only, and return the file; None if it cannot be written."""
    lines = ["".join(traceback.format_tb(error.__traceback__)), type(error).__qualname__]
    innermost = traceback.extract_tb(error.__traceback__)[-1:]
    if not any("pydicom" in frame.filename for frame in innermost):  # its messages quote the values of tags
        lines.append(str(error))
    parameters = to_jsonable(recorded(spec.parameters, request.parameters))
    lines.append(f"task {request.task}, inputs {sorted(request.inputs)}, parameters {parameters}")
    with suppress(OSError):
        handle, name = tempfile.mkstemp(prefix="synthreg-", suffix=".log", text=True)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(_without_paths("\n".join(lines), request, folder, names=False) + "\n")
        return name
    return None
