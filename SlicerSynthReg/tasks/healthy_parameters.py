"""What can be chosen when the healthy brain behind a scan is asked for. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from SlicerSynthReg.tasks.parameters import parameter


@dataclass(frozen=True)
class HealthyParameters:
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
    threshold: float = parameter(float, 0.5, "Anomaly map from which on a voxel is marked.", low=0.0, high=1.0)
    mirror: str = parameter(
        str, "deformable", "How the other side is brought over: deformable, affine, or none (one side only).",
        choices=("deformable", "affine", "none"),
    )  # fmt: skip
    device: str = parameter(
        str,
        "auto",
        "Where to compute: auto takes a CUDA graphics card where there is one, else the processor.",
        choices=("auto", "cpu", "cuda"),
        changes_result=False,
    )
    threads: int | None = parameter(int, None, "Processor threads; default: all.", low=1, changes_result=False)
    assume_geometry: bool = parameter(bool, False, "Take images without a position in their header as centred R, A, S.")
    replace_nonfinite: float | None = parameter(float, None, "Value put in place of NaN and infinite voxels.")
    interpolate_gaps: bool = parameter(bool, False, "Fill missing DICOM slices linearly.")
    frame: int | None = parameter(int, None, "Which frame of a 4-D image (0 = first).", low=0)
    series: str | None = parameter(
        str, None, "Number or UID of the series, where the DICOM folder holds several.", personal=True
    )
