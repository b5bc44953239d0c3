"""How a task reads an image that somebody named."""

from __future__ import annotations

from pathlib import Path

from SlicerSynthReg.tasks.parameters import FileParameters
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume


def read_image(
    path: str | Path, parameters: FileParameters, frame: int | None = None, series: str | None = None
) -> Volume:
    """The image, forgiven what `parameters` forgives. Errors: VolumeError, GeometryError, OSError."""
    return read_volume(
        path,
        frame=frame,
        series=series,
        assume_geometry=parameters.assume_geometry,
        replace_nonfinite=parameters.replace_nonfinite,
        interpolate_gaps=parameters.interpolate_gaps,
    )
