"""What can be chosen when an image's features are asked for. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from SlicerSynthReg.tasks.parameters import (
    device_parameter,
    frame_parameter,
    gaps_parameter,
    geometry_parameter,
    nonfinite_parameter,
    parameter,
    series_parameter,
    threads_parameter,
)


@dataclass(frozen=True)
class FeaturesParameters:
    """Whose features, at which voxel size, and what the image is forgiven."""

    model: str | None = parameter(
        str, None, "Name of the model whose features are taken; default: the installed feature network."
    )
    spacing_mm: float | None = parameter(
        float, None, "Voxel size of the features; default: the model's.", low=0.3, high=10.0
    )
    device: str = device_parameter()
    threads: int | None = threads_parameter()
    assume_geometry: bool = geometry_parameter()
    replace_nonfinite: float | None = nonfinite_parameter()
    interpolate_gaps: bool = gaps_parameter()
    frame: int | None = frame_parameter()
    series: str | None = series_parameter()
