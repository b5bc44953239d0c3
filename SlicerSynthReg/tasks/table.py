"""The tasks that the door knows: inputs, parameters and where the work is done. Imports no torch.

The parameter records drive validation, the command line, the worklist's columns and the panels alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Callable

from SlicerSynthReg.request import Progress, Request, TaskOutcome

Task = Callable[[Request, Path, Progress], TaskOutcome]


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter. kind: bool, int, float or str; bounds are inclusive; changes_result: whether the hash counts it."""

    name: str
    kind: type
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    changes_result: bool = True


def parameter(kind: type, default: Any, help: str, **more: Any) -> Any:
    """A field of a parameter record; `more` as in ParameterSpec. Default None: the task decides."""
    return field(default=default, metadata={"kind": kind, "help": help, **more})


@dataclass(frozen=True)
class InputSpec:
    """One input file (or DICOM folder)."""

    help: str
    required: bool = False


@dataclass(frozen=True)
class TaskSpec:
    """load: imports and returns the task's function, called with a validated request and an empty workspace folder."""

    help: str
    inputs: Mapping[str, InputSpec]
    parameters: type
    load: Callable[[], Task]

    def parameter_specs(self) -> dict[str, ParameterSpec]:
        return {
            f.name: ParameterSpec(name=f.name, default=f.default, **f.metadata) for f in fields(self.parameters)
        }


@dataclass(frozen=True)
class RegisterParameters:
    """How a pair is registered, and what its files are forgiven."""

    model: str | None = parameter(str, None, "Name of the model (see `synthreg models`); default: chosen by the task.")
    preset: str = parameter(str, "accurate", "Trade time for accuracy.", choices=("fast", "accurate"))
    regularization: float | None = parameter(
        float, None, "Smoothness of the deformation (lambda); 1 is the paper's; default: the model's.", low=0.0
    )
    refine: bool = parameter(bool, True, "Refine the network's answer on this pair.")
    affine_only: bool = parameter(bool, False, "Stop after the affine stage.")
    device: str = parameter(
        str, "auto", "Where to compute.", choices=("auto", "cpu", "cuda"), changes_result=False
    )
    threads: int | None = parameter(int, None, "Processor threads; default: all.", low=1, changes_result=False)
    assume_geometry: bool = parameter(bool, False, "Take images without a position in their header as centred R, A, S.")
    replace_nonfinite: float | None = parameter(float, None, "Value put in place of NaN and infinite voxels.")
    interpolate_gaps: bool = parameter(bool, False, "Fill missing DICOM slices linearly.")
    fixed_frame: int | None = parameter(int, None, "Which frame of a 4-D fixed image (0 = first).", low=0)
    moving_frame: int | None = parameter(int, None, "Which frame of a 4-D moving image (0 = first).", low=0)
    fixed_series: str | None = parameter(str, None, "Series UID, where the fixed DICOM folder holds several.")
    moving_series: str | None = parameter(str, None, "Series UID, where the moving DICOM folder holds several.")


@dataclass(frozen=True)
class ApplyParameters:
    """How a saved transform is applied."""

    inverse_landmarks: bool = parameter(
        bool, False, "Send the landmarks from the reference to the image instead of along with the image."
    )
    assume_geometry: bool = parameter(bool, False, "Take images without a position in their header as centred R, A, S.")


def _register() -> Task:
    from SlicerSynthReg.tasks.register import register_task

    return register_task


def _apply() -> Task:
    from SlicerSynthReg.tasks.apply import apply_task

    return apply_task


_IMAGE = "NIfTI, NRRD, MHA or MHD file, or a folder with one DICOM series"
_POINTS = ".csv, .fcsv or .mrk.json file"

TASKS: Mapping[str, TaskSpec] = {
    "register": TaskSpec(
        help="Align the moving image with the fixed image, across contrasts.",
        inputs={
            "fixed": InputSpec(f"Image that stays: {_IMAGE}.", required=True),
            "moving": InputSpec(f"Image that is moved: {_IMAGE}.", required=True),
            "fixed_labels": InputSpec("Label map on the fixed image's grid; with the moving one, Dice is reported."),
            "moving_labels": InputSpec("Label map on the moving image's grid; it is moved as well."),
            "fixed_mask": InputSpec("Region of the fixed image that counts (non-zero voxels)."),
            "moving_mask": InputSpec("Region of the moving image that counts (non-zero voxels)."),
            "fixed_landmarks": InputSpec(f"Points of the fixed image ({_POINTS}), to measure the error."),
            "moving_landmarks": InputSpec(f"The same points in the moving image ({_POINTS}), in the same order."),
            "initial_transform": InputSpec("Transform to start from, fixed to moving: .tfm, .h5 or .nii.gz."),
        },
        parameters=RegisterParameters,
        load=_register,
    ),
    "apply": TaskSpec(
        help="Apply a saved transform to an image, a label map or landmarks.",
        inputs={
            "transform": InputSpec("Transform from the reference to the image: .tfm, .h5 or .nii.gz.", required=True),
            "reference": InputSpec(f"Image on whose grid the result lies: {_IMAGE}.", required=True),
            "image": InputSpec(f"Image to move: {_IMAGE}."),
            "labels": InputSpec("Label map to move (nearest neighbour)."),
            "landmarks": InputSpec(f"Points to move along with the image ({_POINTS})."),
        },
        parameters=ApplyParameters,
        load=_apply,
    ),
}
