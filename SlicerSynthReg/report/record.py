"""The record of one registration: what was registered, how, and the measured quality."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from SlicerSynthReg.errors import ReportError

DISCLAIMER = "Derived by software for research; not for diagnosis"


@dataclass(frozen=True)
class TransformQuality:
    """Regularity and invertibility of the transform T, fixed to moving.

    folding_fraction: share of voxels with det dT/dx <= 0, 0 to 1. jacobian_min, jacobian_max: range of det dT/dx; 1
    keeps the volume, 2 doubles it. inverse_consistency_*: mean of |T^-1(T(x)) - x| in mm, and in voxels of the fixed
    grid's smallest spacing.
    """

    folding_fraction: float
    jacobian_min: float
    jacobian_max: float
    inverse_consistency_mm_mean: float
    inverse_consistency_vox_mean: float


@dataclass(frozen=True)
class LabelOverlap:
    """Dice coefficients, 0 to 1. dice_*: mean over structures. per_label: label number -> (before, after)."""

    dice_before: float
    dice_after: float
    per_label: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class LandmarkError:
    """Mean target registration error (TRE), mm."""

    tre_before: float
    tre_after: float


@dataclass(frozen=True)
class SimilarityChange:
    """Absolute local correlation of both images after the affine stage and at the end, 0 to 1."""

    similarity_before: float
    similarity_after: float


@dataclass(frozen=True)
class RunRecord:
    """How a result was computed.

    model: name of the model, or of the method without one. parameters: those that were set; personal ones without their
    values. stages: stage -> seconds, in order. peak_memory_mb: largest resident memory of the process.
    """

    model: str
    parameters: dict[str, Any]
    stages: dict[str, float]
    peak_memory_mb: float | None = None
    device: str = ""
    version: str = ""


@dataclass(frozen=True)
class RegistrationReport:
    """fixed_name, moving_name: base names of the files. overlap, landmarks: None where not measured."""

    fixed_name: str
    moving_name: str
    transform_quality: TransformQuality
    run: RunRecord
    overlap: LabelOverlap | None = None
    landmarks: LandmarkError | None = None
    similarity: SimilarityChange | None = None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return nested dicts, measures before the run's figures, parts that were not measured left out."""
        values = dataclasses.asdict(self)
        order = ("fixed_name", "moving_name", "overlap", "landmarks", "transform_quality", "similarity", "warnings")
        return {name: values[name] for name in (*order, "run") if values[name] is not None}

    def to_json(self) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RegistrationReport:
        """Return the record that `to_json` wrote. Raises ReportError where fields are missing or unknown."""
        try:
            values = json.loads(text)
            for name, kind in _PARTS.items():
                if name in values:
                    values[name] = kind(**values[name])
            if "overlap" in values:
                pairs = {label: tuple(pair) for label, pair in values["overlap"].per_label.items()}
                values["overlap"] = dataclasses.replace(values["overlap"], per_label=pairs)
            return cls(**{**values, "warnings": tuple(values["warnings"])})
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise ReportError(
                f"Found a report that cannot be read ({error}), expected one written by this version. "
                "Run the registration again.",
                code="report-unreadable",
            ) from error


_PARTS: dict[str, Any] = {
    "overlap": LabelOverlap,
    "landmarks": LandmarkError,
    "transform_quality": TransformQuality,
    "similarity": SimilarityChange,
    "run": RunRecord,
}
