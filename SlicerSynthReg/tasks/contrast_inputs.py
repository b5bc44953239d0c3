"""What a translation of CT is given, read and checked before any network is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from SlicerSynthReg.evaluate.ct_check import CTCheck, check_ct
from SlicerSynthReg.request import Request, RequestError, Suggestion
from SlicerSynthReg.tasks.contrast_parameters import ContrastParameters
from SlicerSynthReg.tasks.reading import read_image
from SlicerSynthReg.volume.axial import AxialView
from SlicerSynthReg.volume.ct_series import SeriesCheck, check_ct_series
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume, VolumeError

TILT = "gantry tilt"
"""Words of the warning that headers and grid may both give."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """image: CT in HU, one channel. labels, truth: on its grid. phase: what the image looks like, "native", "contrast"
    or "unknown". warnings: for the reader."""

    image: Volume
    phase: str
    warnings: tuple[str, ...]
    labels: Volume | None
    truth: Volume | None


def read_inputs(request: Request, parameters: ContrastParameters) -> Inputs:
    """RequestError and VolumeError in plain words."""
    path = Path(request.inputs["image"])
    _require_dicom(path, parameters)
    headers = SeriesCheck("", ())
    if path.is_dir():
        with _named(path):
            headers = check_ct_series(path, parameters.series)
    image = read_image(path, parameters, parameters.frame, parameters.series)
    labels, truth = _beside(request, "labels", image), _beside(request, "truth", image)
    count = image.grid.shape[AxialView.of(image.grid).order[0]]
    if parameters.slice is not None and parameters.slice > count:
        raise RequestError(
            f"Found slice = {parameters.slice} for an image of {count} axial slices, expected 1 to {count}."
        )
    with _named(path):
        found = check_ct(image, labels)
    if found.phase == "unknown" and headers.told:
        phase = "native" if headers.told == "native" else "contrast"
        found = replace(found, phase=phase, timing=headers.told, reasons=("so its headers say",))
    tilted = any(TILT in text for text in headers.warnings)
    seen = [text for text in found.warnings if not (tilted and TILT in text)]
    warnings = (*headers.warnings, *seen, *_doubts(found, parameters.to))
    return Inputs(image, found.phase, warnings, labels, truth)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """A VolumeError raised inside tells which input it is about."""
    try:
        yield
    except VolumeError as error:
        raise VolumeError(error.text, error.way_out, path) from error


def _doubts(found: CTCheck, to: str) -> list[str]:
    """Where the image looks like another phase than the model was made for."""
    why = ", ".join(found.reasons)
    if found.phase == to:
        looks = "native" if to == "native" else "as after contrast"
        return [f"The image looks {looks} already ({why}); it was taken for the other kind, as asked."]
    if to == "native" and found.timing.startswith("portal"):
        return [f"The contrast looks {found.timing} ({why}); the models are made for the arterial phase."]
    return []


def _require_dicom(path: Path, parameters: ContrastParameters) -> None:
    """RequestError where a DICOM series was asked for that has no source to refer to."""
    if not parameters.dicom:
        return
    no_dicom = Suggestion("dicom", False, "write no DICOM")
    if not path.is_dir():
        raise RequestError(
            "Found a file, expected the folder with the DICOM series that the new one is to refer to. Give the folder.",
            suggestion=no_dicom,
        )
    if parameters.slice is not None:
        raise RequestError("Found dicom with a preview of one slice, expected the whole series.", suggestion=no_dicom)


def _beside(request: Request, name: str, image: Volume) -> Volume | None:
    """A label map or the true image, on the image's grid."""
    if name not in request.inputs:
        return None
    kind = "labels" if name == "labels" else "scalar"
    volume = read_volume(request.inputs[name], kind, allow_degenerate=kind == "labels")
    image.grid.require_same(volume.grid, "the label map" if kind == "labels" else "the true image")
    return volume
