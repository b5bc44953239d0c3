"""What goes through the door and what comes back: plain records, JSON on the wire. Imports no torch."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Callable

Progress = Callable[[float, str], None]
"""Called with the share done (0 to 1) and what is being done; raises Cancelled when the run is no longer wanted, and
FinishNow, to a task that knows it, when it should end early with what it has. The words may be Figured."""


class Figured(str):
    """Words of progress with the figures that they tell, for who draws them; words to everybody else. figures: name ->
    number, those that are finite."""

    figures: Mapping[str, float]

    def __new__(cls, text: str, figures: Mapping[str, float]) -> Figured:
        words = super().__new__(cls, text)
        words.figures = {name: value for name, value in figures.items() if math.isfinite(value)}
        return words


def figures_of(text: str) -> dict[str, float]:
    """Empty for words without figures."""
    return dict(text.figures) if isinstance(text, Figured) else {}


@dataclass(frozen=True)
class Suggestion:
    """A parameter that would let a refused run go on. effect: what it does, to follow "to"."""

    parameter: str
    value: Any
    effect: str


class RequestError(Exception):
    """A run that ended without a result; the text says found, expected, remedy, and holds no path but base names.

    text: the message without the suggestion, for callers whose users know the parameter by another name (an option, a
    column, a field of a panel). log: file with the technical details, where the error was not foreseen.
    """

    def __init__(self, text: str, log: str | None = None, suggestion: Suggestion | None = None) -> None:
        super().__init__(text)
        self.text, self.log, self.suggestion = text, log, suggestion

    def __str__(self) -> str:
        return self.told(lambda one: f"set the parameter {one.parameter} to {json.dumps(one.value)}")

    def told(self, how: Callable[[Suggestion], str]) -> str:
        """The message, its suggestion begun in the words of `how`, such as "pass --moving-frame 0"."""
        if self.suggestion is None:
            return self.text
        return f"{self.text} Or {how(self.suggestion)} to {self.suggestion.effect}."


class Cancelled(Exception):
    """The run was no longer wanted; nothing was written."""


class FinishNow(Exception):
    """The run should end soon and keep its best state so far; raised at every word of progress until it ends."""


@dataclass(frozen=True)
class Request:
    """task: a name of the table of tasks. inputs: name -> path. outputs: the folder that receives the results."""

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
        """Raises RequestError for anything but an object with task, inputs, outputs and, if wanted, parameters."""
        expected = {"task": str, "inputs": dict, "outputs": str, "parameters": dict}
        if not isinstance(values, dict):
            raise RequestError(f"Found a request of type {type(values).__name__}, expected a JSON object.")
        given = {"parameters": {}, **values}
        wrong = [name for name, kind in expected.items() if not isinstance(given.get(name), kind)]
        wrong += sorted(set(given) - set(expected))
        if wrong or not all(isinstance(path, str) for path in given["inputs"].values()):
            raise RequestError(
                f"Found a request with missing, unknown or mistyped entries ({', '.join(wrong) or 'inputs'}), expected "
                "task (text), inputs (name: path), outputs (folder) and, if wanted, parameters (name: value)."
            )
        return cls(**given)


@dataclass(frozen=True)
class TaskOutcome:
    """What a task hands to the door. outputs: name -> file inside the workspace (absolute or relative to it)."""

    outputs: dict[str, str]
    report: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Result:
    """outputs: name -> absolute path of a whole file. report: what was measured."""

    outputs: dict[str, str]
    report: dict[str, Any]
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def shown_name(path: str | Path) -> str:
    """What reports and messages call an input: a file's base name. A folder's own name is never told, as exports are
    often named after the patient."""
    return "DICOM folder" if Path(path).is_dir() else Path(path).name


def silent(fraction: float, text: str) -> None:
    """The Progress of a caller who does not look."""


def plain(value: Any) -> Any:
    """`value` as strict JSON takes it: numpy numbers and arrays become Python's, NaN and infinities become null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def fingerprint(request: Request, without: Iterable[str] = (), weights: str = "", files: Iterable[Path] = ()) -> str:
    """Hash (blake2b, 128 bits) of the task, the contents of its inputs and its parameters, save those in `without`.

    weights: hash of the model's. files: further ones whose contents count. The outputs folder and the names of the
    inputs' files do not count: a copy of the same data gives the same hash.
    """
    skipped = set(without)
    parameters = {name: value for name, value in sorted(request.parameters.items()) if name not in skipped}
    total = hashlib.blake2b(digest_size=16)
    total.update(json.dumps([request.task, plain(parameters), weights]).encode())
    for name, path in sorted(request.inputs.items()):
        total.update(json.dumps([name, _content_hash(Path(path))]).encode())
    for file in files:
        total.update(json.dumps(_content_hash(file)).encode())
    return total.hexdigest()


def _content_hash(path: Path) -> list[str]:
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [_file_hash(file) for file in files]


def _file_hash(file: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with open(file, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
