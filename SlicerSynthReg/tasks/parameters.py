"""What can be chosen for each task. The records drive validation, command line, worklist columns and panels alike.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter. kind: bool, int, float or str; low, high: inclusive; changes_result: whether it is hashed;
    personal: whether its value can lead to a patient, so that no report or log records it."""

    name: str
    kind: type
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    changes_result: bool = True
    personal: bool = False


def parameter(kind: type, default: Any, help: str, **more: Any) -> Any:
    """A field of a parameter record; `more` as in ParameterSpec. Default None: the task decides."""
    return field(default=default, metadata={"kind": kind, "help": help, **more})


def frame_parameter(image: str = "image") -> Any:
    return parameter(int, None, f"Which frame of a 4-D {image} (0 = first).", low=0)


def series_parameter(folder: str = "DICOM folder") -> Any:
    return parameter(str, None, f"Number or UID of the series, where the {folder} holds several.", personal=True)


@dataclass(frozen=True)
class ComputeParameters:
    """Shared: where a task computes."""

    device: str = parameter(
        str,
        "auto",
        "Where to compute: auto takes a CUDA graphics card where there is one, else the processor.",
        choices=("auto", "cpu", "cuda"),
        changes_result=False,
    )
    threads: int | None = parameter(int, None, "Processor threads; default: all.", low=1, changes_result=False)


@dataclass(frozen=True)
class FileParameters:
    """Shared: what an image's file is forgiven."""

    assume_geometry: bool = parameter(bool, False, "Take images without a position in their header as centred R, A, S.")
    replace_nonfinite: float | None = parameter(float, None, "Value put in place of NaN and infinite voxels.")
    interpolate_gaps: bool = parameter(bool, False, "Fill missing DICOM slices linearly.")


@dataclass(frozen=True)
class ImageParameters(FileParameters, ComputeParameters):
    """Shared by tasks that look at a single image."""

    frame: int | None = frame_parameter()
    series: str | None = series_parameter()


@dataclass(frozen=True)
class MethodParameters(FileParameters, ComputeParameters):
    """Shared by tasks that register: how images are aligned."""

    model: str | None = parameter(str, None, "Name of the model (see `synthreg models`); default: chosen by the task.")
    preset: str = parameter(str, "accurate", "Trade time for accuracy.", choices=("fast", "accurate"))
    anatomy: str = parameter(
        str,
        "auto",
        "What the images show: auto registers brains by the network and all else without it; ct is for two CT of chest "
        "or abdomen; mr-ct and other compare what does not depend on the contrast.",
        choices=("auto", "brain", "ct", "mr-ct", "other"),
    )
    similarity: str = parameter(
        str,
        "auto",
        "What is compared beyond the brain: auto suits the anatomy; any other is optimised by Adam.",
        choices=("auto", "mind", "features", "deepsim", "ncc", "nmi", "mse"),
    )
    features_model: str | None = parameter(
        str, None, "Name of the model whose features are compared; default: the installed feature network."
    )
    regularization: float | None = parameter(
        float, None, "Smoothness of the deformation (lambda); 1 is the paper's; default: the model's.", low=0.0
    )
    refine: bool = parameter(bool, True, "Refine the network's answer on this pair.")
    affine_only: bool = parameter(bool, False, "Stop after the affine stage.")


@dataclass(frozen=True)
class RegisterParameters(MethodParameters):
    """How one pair is registered."""

    landmark_start: bool = parameter(
        bool, False, "Start from the landmark pairs, which then no longer measure the error on their own."
    )
    through_healthy: str = parameter(
        str,
        "none",
        "Which brain is diseased: in the alignment its healthy reconstruction takes the place of what is abnormal.",
        choices=("none", "fixed", "moving", "both"),
    )
    healthy_model: str | None = parameter(
        str, None, "Name of the model that reconstructs, with through-healthy; default: the one that ships."
    )
    fixed_frame: int | None = frame_parameter("fixed image")
    moving_frame: int | None = frame_parameter("moving image")
    fixed_series: str | None = series_parameter("fixed DICOM folder")
    moving_series: str | None = series_parameter("moving DICOM folder")


@dataclass(frozen=True)
class ApplyParameters(FileParameters):
    """How a saved transform is applied."""

    inverse_landmarks: bool = parameter(
        bool, False, "Send the landmarks from the reference to the image instead of along with the image."
    )


def parameter_specs(record: type) -> dict[str, ParameterSpec]:
    """The parameters of one record, by name, those of its method before where it computes and what it forgives."""
    last = {one.name for one in fields(ImageParameters)}
    ordered = sorted(fields(record), key=lambda one: one.name in last)
    return {one.name: ParameterSpec(name=one.name, default=one.default, **one.metadata) for one in ordered}


def recorded(record: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as reports and logs may show them: personal ones that were given are named without their value."""
    specs = parameter_specs(record)
    return {
        name: "given, not recorded" if specs[name].personal and value is not None else value
        for name, value in values.items()
    }
