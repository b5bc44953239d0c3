"""What can be chosen when the healthy brain behind a scan is asked for. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from SlicerSynthReg.tasks.parameters import ImageParameters, parameter


@dataclass(frozen=True)
class HealthyParameters(ImageParameters):
    """How the healthy anatomy is made, and what the scan is forgiven."""

    model: str | None = parameter(str, None, "Name of the model (see `synthreg models`); default: the one that ships.")
    grid: str = parameter(
        str, "1mm", "Grid of the results: upright voxels of 1 mm about the brain, or the scan's own.",
        choices=("1mm", "input"),
    )  # fmt: skip
    modality: str = parameter(
        str, "auto", "Whether the scan is CT, which is looked at from 0 to 80 HU; auto tells by its values.",
        choices=("auto", "mr", "ct"),
    )  # fmt: skip
    threshold: float = parameter(
        float, 0.5, "Anomaly map from which on a voxel is marked.",
        low=0.0, high=1.0,
    )  # fmt: skip
    filled: bool = parameter(
        bool, False, "Write the scan as well with what is abnormal replaced, in its own contrast, units and grid."
    )
    mirror: str = parameter(
        str, "deformable", "How the other side is brought over: deformable, affine, or none (one side only).",
        choices=("deformable", "affine", "none"),
    )  # fmt: skip
