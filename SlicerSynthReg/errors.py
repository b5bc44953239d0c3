"""Exceptions of the project. Every message states what was found, what was expected and a remedy. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Suggestion:
    """A parameter that would let a refused call succeed. effect: its consequence, to follow "to"."""

    parameter: str
    value: Any
    effect: str


class SynthRegError(Exception):
    """Base of all expected failures: "Found ..., expected .... Remedy."

    text: the message without file name and suggestion. code: stable identifier of the kind of failure, in kebab case.
    suggestion: a parameter that would let the call succeed. path: the file or folder concerned, of which messages show
    the base name only (no folder names: exports are often named after the patient). log: file with the technical
    details of an unexpected failure.
    """

    code = "error"

    def __init__(
        self,
        text: str,
        suggestion: Suggestion | None = None,
        path: Path | None = None,
        *,
        code: str | None = None,
        log: str | None = None,
    ) -> None:
        super().__init__(text)
        self.text, self.suggestion, self.path, self.log = text, suggestion, path, log
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return self.format(lambda suggested: f"pass {suggested.parameter}={suggested.value!r}")

    def format(self, phrase: Callable[[Suggestion], str]) -> str:
        """Return the whole message. phrase: words the suggestion for one interface, such as "pass --frame 0"."""
        name = "" if self.path is None else "DICOM folder: " if self.path.is_dir() else f"{self.path.name}: "
        if self.suggestion is None:
            return name + self.text
        return f"{name}{self.text} Or {phrase(self.suggestion)} to {self.suggestion.effect}."


class RequestError(SynthRegError):
    """A request, worklist or parameter that cannot be carried out."""

    code = "request"


class ImageError(SynthRegError, ValueError):
    """An image, transform file or landmark file that cannot be used as requested."""

    code = "image"


class MissingFileError(SynthRegError, FileNotFoundError):
    """An input path at which there is nothing."""

    code = "path-missing"


class GeometryError(SynthRegError, ValueError):
    """A grid, transform or point set that cannot be used as requested."""

    code = "geometry"


class WeightsError(SynthRegError, RuntimeError):
    """A model card or weights file that is missing, damaged or of another architecture."""

    code = "weights"


class ReportError(SynthRegError, ValueError):
    """A record, table or set of images from which no report can be made."""

    code = "report"


class StudyError(RequestError):
    """A reader study, key, log or answer that cannot be used; names no patient."""

    code = "reader-study"


class WorkerEnded(RequestError):
    """The worker process ended before it answered."""

    code = "worker-ended"


class BrainNotFound(SynthRegError, ValueError):
    """The network recognised no brain in an image."""

    code = "brain-not-found"


_INSTALL = {"distributed": "'slicersynthreg[cluster]'", "nilearn": "'slicersynthreg[demo]'", "torch": "torch"}
"""Package that an import needs -> what to install; all others come with slicersynthreg itself."""


def missing_package_error(error: ImportError) -> RequestError | None:
    """Return the error that says how to install the package whose import failed; None for one of this project."""
    package = (error.name or "").partition(".")[0]
    if not package or package == "SlicerSynthReg":
        return None
    if package == "torch":
        found, code = "Found no PyTorch, expected version 2.2 or newer.", "torch-missing"
    else:
        found, code = f"Found no Python package {package}, expected it to be installed.", "package-missing"
    return RequestError(f"{found} Install it with: pip install {_INSTALL.get(package, 'slicersynthreg')}", code=code)


class Cancelled(Exception):
    """The run was cancelled; nothing was written."""


class FinishNow(Exception):
    """The run should end early with its best state; raised at every progress call until it ends."""
