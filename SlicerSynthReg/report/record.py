"""Everything a report says about one registration, as one record."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

DISCLAIMER = "Derived by software for research; not for diagnosis"


class ReportError(ValueError):
    """A record, table or set of images no report can be made from; says found, expected, remedy."""


@dataclass(frozen=True)
class RegistrationReport:
    """What was registered, how, and what came out.

    fixed_name, moving_name: file base names, no patient data. stages: seconds of each stage, in order.
    folding_share: 0 to 1. jacobian_*: change of volume from fixed to moving, 1 keeps it. inverse_consistency_*: mean
    of |T^-1(T(x)) - x|. dice_*: mean over structures, 0 to 1. per_label: structure -> (Dice before, Dice after).
    tre_*: mean target registration error in mm. similarity_*: the method's own measure, higher is more alike.
    """

    fixed_name: str
    moving_name: str
    model: str
    config: dict[str, Any]
    stages: dict[str, float]
    folding_share: float
    jacobian_min: float
    jacobian_max: float
    inverse_consistency_mm_mean: float
    inverse_consistency_vox_mean: float
    dice_before: float | None = None
    dice_after: float | None = None
    per_label: dict[str, tuple[float, float]] | None = None
    tre_before: float | None = None
    tre_after: float | None = None
    similarity_before: float | None = None
    similarity_after: float | None = None
    warnings: tuple[str, ...] = ()
    peak_memory_mb: float | None = None
    device: str = ""
    version: str = ""

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RegistrationReport:
        """The record written by `to_json`. ReportError where fields are missing or unknown."""
        try:
            values = json.loads(text)
            values["warnings"] = tuple(values["warnings"])
            if values["per_label"] is not None:
                values["per_label"] = {label: tuple(pair) for label, pair in values["per_label"].items()}
            return cls(**values)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ReportError(
                f"Found a report that cannot be read ({error}), expected one written by this version. "
                "Run the registration again."
            ) from error
