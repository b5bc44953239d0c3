"""One frozen record per command: its fields generate command line, validation, manifest, panel and documentation.

A field is declared once by `parameter(...)`. Readers of the declaration are cli.options (options and help), service
.validation (types and bounds), SynthRegLib.parameter_pack (parameter node and widgets) and parameters.documentation
(tables in Markdown). Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from SlicerSynthReg.errors import RequestError

INPUTS, METHOD, TRANSFORM, TRAINING, OUTPUT, DEVICE = (
    "Inputs",
    "Method",
    "Transform",
    "Training",
    "Output",
    "Device",
)
"""Groups of parameters, in the order in which help texts, documentation and panels show them."""
GROUPS = (INPUTS, METHOD, TRANSFORM, TRAINING, OUTPUT, DEVICE)


@dataclass(frozen=True)
class ParameterSpec:
    """Declaration of one parameter.

    kind: bool, int, float or str. default: None if the command decides. help: one or two sentences. label: caption in
    panels. choices: allowed value -> its text in panels. low, high: inclusive bounds. usual: bounds that panels offer,
    within low and high. group: one of GROUPS. changes_result: whether it enters the fingerprint of a result.
    personal: whether its value can identify a patient; reports and logs then do not record it. repeatable: whether the
    value is a tuple of `kind`.
    """

    name: str
    kind: type
    default: Any
    help: str
    label: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    usual: tuple[float, float] | None = None
    group: str = METHOD
    changes_result: bool = True
    personal: bool = False
    repeatable: bool = False

    @property
    def caption(self) -> str:
        """Return the label, or the name as words."""
        return self.label or self.name.replace("_", " ").capitalize()

    def validated(self, given: Any) -> Any:
        """Return `given` as this parameter's type. Raises RequestError (parameter-value) out of kind or bounds."""
        if self.repeatable:
            return tuple(given)
        if given is None and self.default is None:
            return None
        value: Any = float(given) if self.kind is float and type(given) is int else given
        if type(value) is not self.kind or (self.choices and value not in self.choices) or not self._in_bounds(value):
            raise RequestError(f"Found {self.name} = {given!r}, expected {self.expected()}.", code="parameter-value")
        return value

    def _in_bounds(self, value: Any) -> bool:
        if not isinstance(value, (int, float)):
            return True
        above = self.low is None or value >= self.low
        below = self.high is None or value <= self.high
        return math.isfinite(value) and above and below

    def expected(self) -> str:
        """Return what a value may be, for messages and documentation: "a number of at least 0"."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        kind = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[self.kind]
        bounds = [f"at least {self.low:g}"] if self.low is not None else []
        bounds += [f"at most {self.high:g}"] if self.high is not None else []
        return f"{kind}{' of ' if bounds else ''}{' and '.join(bounds)}"


def parameter(kind: type, default: Any, help: str, **more: Any) -> Any:
    """Declare a field of a parameter record. more: other fields of ParameterSpec; choices may be a sequence."""
    choices = more.get("choices", ())
    if not isinstance(choices, Mapping):
        more["choices"] = {value: value for value in choices}
    return field(default=default, metadata={"kind": kind, "help": help, **more})


def frame_parameter(image: str = "image") -> Any:
    """Declare the choice of a frame."""
    return parameter(int, None, f"Frame of a 4-D {image} (0 = first).", low=0, group=INPUTS)


def series_parameter(folder: str = "DICOM folder") -> Any:
    """Declare the choice of a DICOM series."""
    text = f"Number or UID of the series, if the {folder} holds several."
    return parameter(str, None, text, personal=True, group=INPUTS)


def model_parameter(default_model: str = "the shipped model") -> Any:
    """Declare the choice of a model."""
    return parameter(
        str, None, f"Name of the model (see `synthreg models`); default: {default_model}.", label="Model"
    )  # fmt: skip


@dataclass(frozen=True)
class ComputeParameters:
    """Shared: where a command computes."""

    device: str = parameter(
        str,
        "auto",
        "Processing unit; auto: a CUDA graphics card if there is one, else the CPU.",
        choices={"auto": "Automatic", "cpu": "Processor (CPU)", "cuda": "Graphics card (CUDA)"},
        changes_result=False,
        group=DEVICE,
        label="Device",
    )
    threads: int | None = parameter(int, None, "CPU threads; default: all.", low=1, changes_result=False, group=DEVICE)


@dataclass(frozen=True)
class FileParameters:
    """Shared: how defects of image files are handled."""

    assume_geometry: bool = parameter(
        bool, False, "Assume a centred RAS grid for images without a position in the header.", group=INPUTS
    )
    replace_nonfinite: float | None = parameter(
        float, None, "Value that replaces NaN and infinite voxels.", group=INPUTS
    )
    interpolate_gaps: bool = parameter(bool, False, "Interpolate missing DICOM slices linearly.", group=INPUTS)

    def read_options(self) -> dict[str, Any]:
        """Return the keyword arguments of io.read.read_image that these parameters set."""
        return {field.name: getattr(self, field.name) for field in fields(FileParameters)}


@dataclass(frozen=True)
class ImageParameters(FileParameters, ComputeParameters):
    """Shared by commands on a single image."""

    frame: int | None = frame_parameter()
    series: str | None = series_parameter()


def parameter_specs(record: type) -> dict[str, ParameterSpec]:
    """Return the parameters of one record by name, sorted by group and then in the order of declaration."""
    specs = [ParameterSpec(name=field.name, default=field.default, **field.metadata) for field in fields(record)]
    return {spec.name: spec for spec in sorted(specs, key=lambda spec: GROUPS.index(spec.group))}


def recorded(record: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` as reports and logs may show them: personal values are replaced by "given, not recorded"."""
    specs = parameter_specs(record)
    return {
        name: "given, not recorded" if specs[name].personal and value is not None else value
        for name, value in values.items()
    }
