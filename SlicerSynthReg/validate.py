"""The one check of a request: what was found, what was expected, what to do. What passes is trusted inside."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from SlicerSynthReg.request import Request, RequestError, shown_name
from SlicerSynthReg.tasks.parameters import ParameterSpec
from SlicerSynthReg.tasks.table import TaskSpec

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def validated(request: Request, tasks: Mapping[str, TaskSpec]) -> Request:
    """The request with absolute paths and every parameter filled in. Raises RequestError."""
    if request.task not in tasks:
        raise RequestError(f"Found the task {request.task!r}, expected {_one_of(request.task, tasks)}.")
    spec = tasks[request.task]
    inputs = {name: str(Path(path).expanduser().absolute()) for name, path in request.inputs.items()}
    _check_inputs(inputs, spec)
    known = spec.parameter_specs()
    for name in request.parameters:
        if name not in known:
            raise RequestError(f"Found the parameter {name!r}, expected {_one_of(name, known)}.")
    parameters = {name: _checked(one, request.parameters.get(name, one.default)) for name, one in known.items()}
    if not request.outputs.strip():
        raise RequestError("Found no output folder, expected a folder for the results. Give one with --out.")
    outputs = Path(request.outputs).expanduser().absolute()
    if os.path.isfile(outputs):
        raise RequestError(f"Found a file named {outputs.name}, expected an output folder. Choose another name.")
    return replace(request, inputs=inputs, outputs=str(outputs), parameters=parameters)


def from_text(spec: ParameterSpec, text: str) -> Any:
    """A worklist's cell as a parameter; an empty one is the default. Raises RequestError."""
    text = text.strip()
    if not text:
        return spec.default
    try:
        return _WORDS[text.lower()] if spec.kind is bool else spec.kind(text)
    except (KeyError, ValueError):
        raise RequestError(f"Found {spec.name} = {text!r}, expected {_expected(spec)}.") from None


def _check_inputs(inputs: Mapping[str, str], spec: TaskSpec) -> None:
    for name, path in inputs.items():
        if name not in spec.inputs:
            raise RequestError(f"Found the input {name!r}, expected {_one_of(name, spec.inputs)}.")
        found = Path(path)
        called = f" ({found.name})" if found.suffix else ""  # without a suffix it may be a folder, named after whom
        if not os.path.exists(found):
            raise RequestError(
                f"Found nothing at the path of the input {name}{called}, expected a file or a DICOM folder. "
                "Check the path; is the drive connected?"
            )
        if not os.access(found, os.R_OK | (os.X_OK if found.is_dir() else 0)):
            raise RequestError(
                f"Found that the input {name} ({shown_name(found)}) may not be read, expected read permission. "
                "Copy it to a folder of yours, or have its permissions changed."
            )
    missing = [name for name, one in spec.inputs.items() if one.required and name not in inputs]
    if missing:
        raise RequestError(f"Found no input {' and no input '.join(missing)}, expected a path for each. Add them.")


def _checked(spec: ParameterSpec, given: Any) -> Any:
    if given is None and spec.default is None:
        return None
    value: Any = float(given) if spec.kind is float and type(given) is int else given
    if type(value) is not spec.kind or (spec.choices and value not in spec.choices) or not _in_bounds(spec, value):
        raise RequestError(f"Found {spec.name} = {given!r}, expected {_expected(spec)}.")
    return value


def _in_bounds(spec: ParameterSpec, value: Any) -> bool:
    if not isinstance(value, (int, float)):
        return True
    above = spec.low is None or value >= spec.low
    below = spec.high is None or value <= spec.high
    return math.isfinite(value) and above and below


def _expected(spec: ParameterSpec) -> str:
    if spec.choices:
        return f"one of {', '.join(spec.choices)}"
    kind = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[spec.kind]
    bounds = [f"at least {spec.low:g}"] if spec.low is not None else []
    bounds += [f"at most {spec.high:g}"] if spec.high is not None else []
    return f"{kind}{' of ' if bounds else ''}{' and '.join(bounds)}"


def _one_of(wrong: str, names: Iterable[str]) -> str:
    """The nearest name first, where one is near."""
    near = difflib.get_close_matches(wrong, list(names), n=1)
    listing = ", ".join(sorted(names))
    return f"one of {listing}; did you mean {near[0]}?" if near else f"one of {listing}"
