"""Parameters of registration: one pair, a sequence, and a saved transform. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.parameters.base import (
    METHOD,
    TRANSFORM,
    ComputeParameters,
    FileParameters,
    frame_parameter,
    model_parameter,
    parameter,
    series_parameter,
)

FIRST, MIDDLE, MEAN = "first", "middle", "mean"


@dataclass(frozen=True)
class MethodParameters(FileParameters, ComputeParameters):
    """Shared by registration of a pair and of a sequence."""

    model: str | None = model_parameter("chosen by anatomy")
    preset: str = parameter(str, "accurate", "Trade accuracy for time.", choices=("fast", "accurate"))
    anatomy: str = parameter(
        str,
        "auto",
        "Anatomy and modality; auto: brains by the network, all else without it; ct: two CT of chest or abdomen; "
        "mr-ct and other: descriptors that do not depend on the contrast.",
        choices=("auto", "brain", "ct", "mr-ct", "other"),
    )
    similarity: str = parameter(
        str,
        "auto",
        "Similarity measure outside the brain pipeline; auto: by anatomy; any other is optimised by Adam.",
        choices=("auto", "mind", "features", "deepsim", "ncc", "nmi", "mse"),
    )
    features_model: str | None = parameter(
        str, None, "Name of the model whose features are compared; default: the installed feature network."
    )
    regularization: float = parameter(
        float,
        1.0,
        "Smoothness of the deformation relative to the default; larger is smoother.",
        low=0.0,
        usual=(0.2, 5.0),
        group=TRANSFORM,
        label="Smoothness",
    )
    refine: bool = parameter(
        bool, True, "Refine the network's deformation by optimisation on this pair.", group=TRANSFORM
    )
    affine_only: bool = parameter(bool, False, "Stop after the affine stage.", group=TRANSFORM, label="Affine only")


@dataclass(frozen=True)
class RegisterParameters(MethodParameters):
    """Registration of one pair."""

    landmark_start: bool = parameter(
        bool,
        False,
        "Initialise the affine from the landmark pairs; they then no longer measure the error independently.",
        group=TRANSFORM,
        label="Initialise from landmarks",
    )
    fill_lesions: str = parameter(
        str,
        "none",
        "Image with lesions: during alignment its pseudo-healthy reconstruction replaces what is abnormal.",
        choices=("none", "fixed", "moving", "both"),
        group=METHOD,
        label="Fill lesions",
    )
    healthy_model: str | None = parameter(
        str, None, "Name of the model that reconstructs, with fill-lesions; default: the shipped model."
    )
    fixed_frame: int | None = frame_parameter("fixed image")
    moving_frame: int | None = frame_parameter("moving image")
    fixed_series: str | None = series_parameter("fixed DICOM folder")
    moving_series: str | None = series_parameter("moving DICOM folder")


@dataclass(frozen=True)
class SequenceParameters(MethodParameters):
    """Registration of every frame of a sequence to a reference."""

    reference: str | None = parameter(
        str,
        None,
        "Reference of the frames: first, middle, mean (of all frames), or the number of a frame (0 = first); default: "
        "the fixed image if given, else middle.",
        label="Reference",
    )


@dataclass(frozen=True)
class ApplyParameters(FileParameters):
    """Application of a saved transform."""

    inverse_landmarks: bool = parameter(
        bool, False, "Map the landmarks from the reference to the image instead of with the image.", group=TRANSFORM
    )


def reference_frame(reference: str | None, count: int) -> int | None:
    """Return the number of the frame to which the others of `count` are registered; None: their mean.

    Raises RequestError (reference-frame) for anything but first, middle, mean or the number of a frame.
    """
    if reference == MEAN:
        return None
    named = {FIRST: 0, MIDDLE: count // 2, None: count // 2}
    if reference in named:
        return named[reference]
    text = str(reference).strip()
    if text.isascii() and text.isdigit() and int(text) < count:
        return int(text)
    raise RequestError(
        f"Found the reference {reference!r}, expected first, middle, mean or a frame's number from 0 to {count - 1}. "
        "Choose one of them.",
        code="reference-frame",
    )
