"""The frames of a sequence: one 4-D image, or a folder with one image a frame."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from SlicerSynthReg.request import RequestError
from SlicerSynthReg.tasks.parameters import FileParameters
from SlicerSynthReg.tasks.reading import read_image
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.suffixes import image_files
from SlicerSynthReg.volume.volume import Volume, VolumeError


@dataclass(frozen=True, eq=False)
class Frames:
    """names: of the frames, in their order. frame(n): the image; VolumeError or OSError where that one is no image."""

    names: tuple[str, ...]
    frame: Callable[[int], Volume]

    def __len__(self) -> int:
        return len(self.names)


def read_frames(path: Path, parameters: FileParameters) -> Frames:
    """path: a 4-D image, or a folder of 3-D ones (in the order of their names, numbers counting as numbers), which are
    read one by one. Errors: VolumeError, OSError, RequestError."""
    if path.is_dir():
        return _of_folder(path, parameters)
    whole = read_volume(
        path,
        frame="all",
        assume_geometry=parameters.assume_geometry,
        replace_nonfinite=parameters.replace_nonfinite,
    )
    count = whole.data.shape[0]
    if count < 2:
        raise VolumeError(
            "Found one frame, expected a 4-D image with two or more. Register a single image with `synthreg register`.",
            path=path,
        )

    def frame(n: int) -> Volume:
        return _varied(Volume(whole.data[n : n + 1], whole.grid, "scalar", f"frame {n}"))

    return Frames(tuple(f"frame {n}" for n in range(count)), frame)


def _of_folder(path: Path, parameters: FileParameters) -> Frames:
    files = sorted(image_files(path), key=_in_order)
    if len(files) < 2:
        raise RequestError(
            f"Found a folder with {len(files)} NIfTI, NRRD or MHA images, expected one a frame, two or more. A 4-D "
            "DICOM series is loaded into Slicer as a sequence, or converted to NIfTI, first."
        )

    def frame(n: int) -> Volume:
        return _varied(read_image(files[n], parameters))

    return Frames(tuple(file.name for file in files), frame)


def _varied(volume: Volume) -> Volume:
    if float(volume.data.min()) == float(volume.data.max()):
        raise VolumeError("Found a constant frame, expected an image. It may not have been acquired: leave it out.")
    return volume


def _in_order(path: Path) -> list[tuple[bool, int, str]]:
    """phase_2 before phase_10."""
    parts = re.split(r"(\d+)", path.name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
