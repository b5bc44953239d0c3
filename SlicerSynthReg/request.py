"""Requests to the compute service and their results: frozen records with JSON form. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from SlicerSynthReg.errors import RequestError


@dataclass(frozen=True)
class Request:
    """Request of one run. task: name in tasks.registry.TASKS. inputs: name -> path. outputs: folder of the results."""

    task: str
    inputs: Mapping[str, str]
    outputs: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "inputs": dict(self.inputs),
            "outputs": self.outputs,
            "parameters": dict(self.parameters),
        }

    @classmethod
    def from_json(cls, values: Any) -> Request:
        """Return the request of a JSON object. Raises RequestError (request-format)."""
        expected = {"task": str, "inputs": dict, "outputs": str, "parameters": dict}
        if not isinstance(values, dict):
            raise RequestError(
                f"Found a request of type {type(values).__name__}, expected a JSON object.", code="request-format"
            )
        given = {"parameters": {}, **values}
        invalid = [name for name, kind in expected.items() if not isinstance(given.get(name), kind)]
        invalid += sorted(set(given) - set(expected))
        if invalid or not all(isinstance(path, str) for path in given["inputs"].values()):
            raise RequestError(
                f"Found a request with missing, unknown or mistyped entries ({', '.join(invalid) or 'inputs'}), "
                "expected task (text), inputs (name: path), outputs (folder) and optionally parameters (name: value).",
                code="request-format",
            )
        return cls(**given)


@dataclass(frozen=True)
class TaskOutcome:
    """Return value of a task. outputs: name -> file inside the workspace (absolute or relative to it)."""

    outputs: dict[str, str]
    report: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Result:
    """Result of a run. outputs: name -> absolute path of a complete file. report: measurements."""

    outputs: dict[str, str]
    report: dict[str, Any]
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def display_name(path: str | Path) -> str:
    """Return the name of an input for reports and messages: the base name of a file; "DICOM folder" for a folder, as
    the names of exported folders often identify the patient."""
    return "DICOM folder" if Path(path).is_dir() else Path(path).name


def to_jsonable(value: Any) -> Any:
    """Return `value` for strict JSON: numpy numbers and arrays become Python's, NaN and infinities become None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
