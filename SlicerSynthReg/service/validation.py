"""Validation of requests, once, before any work. Validated requests are not checked again."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.parameters.base import ParameterSpec
from SlicerSynthReg.request import Request, display_name
from SlicerSynthReg.tasks.registry import TaskSpec

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def validated(request: Request, tasks: Mapping[str, TaskSpec]) -> Request:
    """Return the request with absolute paths and all parameters.

    Raises RequestError: unknown-task, unknown-input, unknown-parameter, parameter-value, path-missing, path-unreadable,
    input-missing, output-missing, output-is-file, output-dangling.
    """
    if request.task not in tasks:
        raise RequestError(
            f"Found the task {request.task!r}, expected {_one_of(request.task, tasks)}.", code="unknown-task"
        )
    spec = tasks[request.task]
    inputs = {name: str(Path(path).expanduser().absolute()) for name, path in request.inputs.items()}
    _check_inputs(inputs, spec)
    known = spec.parameter_specs()
    for name in request.parameters:
        if name not in known:
            raise RequestError(
                f"Found the parameter {name!r}, expected {_one_of(name, known)}.", code="unknown-parameter"
            )
    parameters = {name: card.validated(request.parameters.get(name, card.default)) for name, card in known.items()}
    if not request.outputs.strip():
        raise RequestError(
            "Found no output folder, expected a folder for the results. Give one with --out.", code="output-missing"
        )
    outputs = Path(request.outputs).expanduser().absolute()
    if os.path.isfile(outputs):
        raise RequestError(
            f"Found a file named {outputs.name}, expected an output folder. Choose another name.", code="output-is-file"
        )
    if outputs.is_symlink() and not outputs.exists():
        raise RequestError(
            f"Found that the output folder {outputs.name} is a link to nothing, expected a folder. Is its drive "
            "connected? Connect it, or choose another folder.",
            code="output-dangling",
        )
    return replace(request, inputs=inputs, outputs=str(outputs), parameters=parameters)


def from_text(spec: ParameterSpec, text: str) -> Any:
    """Return the value of a worklist's cell; the default if empty. Raises RequestError (parameter-value)."""
    text = text.strip()
    if not text:
        return spec.default
    try:
        return _WORDS[text.lower()] if spec.kind is bool else spec.kind(text)
    except (KeyError, ValueError):
        raise RequestError(
            f"Found {spec.name} = {text!r}, expected {spec.expected()}.", code="parameter-value"
        ) from None


def _check_inputs(inputs: Mapping[str, str], spec: TaskSpec) -> None:
    for name, path in inputs.items():
        if name not in spec.inputs:
            raise RequestError(
                f"Found the input {name!r}, expected {_one_of(name, spec.inputs)}.", code="unknown-input"
            )
        found = Path(path)
        label = f" ({found.name})" if found.suffix else ""  # without suffix it may be a folder named after a patient
        if not os.path.exists(found):
            raise RequestError(
                f"Found nothing at the path of the input {name}{label}, expected a file or a DICOM folder. "
                "Check the path; is the drive connected?",
                code="path-missing",
            )
        if not os.access(found, os.R_OK | (os.X_OK if found.is_dir() else 0)):
            raise RequestError(
                f"Found that the input {name} ({display_name(found)}) may not be read, expected read permission. "
                "Copy it to a folder of yours, or have its permissions changed.",
                code="path-unreadable",
            )
    missing = [name for name, input_spec in spec.inputs.items() if input_spec.required and name not in inputs]
    if missing:
        raise RequestError(
            f"Found no input {' and no input '.join(missing)}, expected a path for each. Add them.",
            code="input-missing",
        )


def _one_of(given: str, names: Iterable[str]) -> str:
    """Return the list of names, with the closest one to `given` as a suggestion."""
    near = difflib.get_close_matches(given, list(names), n=1)
    listing = ", ".join(sorted(names))
    return f"one of {listing}; did you mean {near[0]}?" if near else f"one of {listing}"
