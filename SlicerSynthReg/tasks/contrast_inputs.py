"""What a translation of CT is given, read and checked before any network is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from SlicerSynthReg.request import Request, RequestError
from SlicerSynthReg.tasks.contrast_parameters import ContrastParameters
from SlicerSynthReg.volume.axial import AxialView
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume


@dataclass(frozen=True, eq=False)
class Inputs:
    """image: CT in HU, one channel. labels, truth: on its grid."""

    image: Volume
    labels: Volume | None
    truth: Volume | None


def read_inputs(request: Request, parameters: ContrastParameters) -> Inputs:
    """RequestError and VolumeError in plain words."""
    path = Path(request.inputs["image"])
    image = read_volume(
        path,
        frame=parameters.frame,
        series=parameters.series,
        assume_geometry=parameters.assume_geometry,
        replace_nonfinite=parameters.replace_nonfinite,
        interpolate_gaps=parameters.interpolate_gaps,
    )
    labels, truth = _beside(request, "labels", image), _beside(request, "truth", image)
    count = image.grid.shape[AxialView.of(image.grid).order[0]]
    if parameters.slice is not None and parameters.slice > count:
        raise RequestError(
            f"Found slice = {parameters.slice} for an image of {count} axial slices, expected 1 to {count}."
        )
    return Inputs(image, labels, truth)


def _beside(request: Request, name: str, image: Volume) -> Volume | None:
    """A label map or the true image, on the image's grid."""
    if name not in request.inputs:
        return None
    kind = "labels" if name == "labels" else "scalar"
    volume = read_volume(request.inputs[name], kind, allow_degenerate=kind == "labels")
    image.grid.require_same(volume.grid, "the label map" if kind == "labels" else "the true image")
    return volume
