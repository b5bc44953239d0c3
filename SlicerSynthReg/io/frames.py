"""The frames of a sequence: a 4-D image, or a folder with one image per frame."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from SlicerSynthReg.errors import ImageError, RequestError
from SlicerSynthReg.io.files import image_files
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.parameters.base import FileParameters


@dataclass(frozen=True, eq=False)
class Frames:
    """names: of the frames, in order. frame(n): reads frame n; raises ImageError or OSError if it cannot be read."""

    names: tuple[str, ...]
    frame: Callable[[int], Image]

    def __len__(self) -> int:
        return len(self.names)


def frames_of(image: Image, path: Path | None = None) -> Frames:
    """Return the channels (T, I, J, K) of `image` as frames. Raises ImageError (code "sequence-short") for fewer than
    two. path: the file named in the message."""
    count = image.data.shape[0]
    if count < 2:
        raise ImageError(
            "Found one frame, expected a 4-D image with two or more. Register a single image with `synthreg register`.",
            path=path,
            code="sequence-short",
        )

    def frame(n: int) -> Image:
        return _check_varying(Image(image.data[n : n + 1], image.grid, "scalar", f"frame {n}"))

    return Frames(tuple(f"frame {n}" for n in range(count)), frame)


def read_frames(path: Path, parameters: FileParameters) -> Frames:
    """Read a 4-D image, or list a folder of 3-D images, in the order of the numbers in their names; the images of a
    folder are read one by one. Raises ImageError, OSError, RequestError (code "sequence-short")."""
    if path.is_dir():
        return _folder_frames(path, parameters)
    image = read_image(
        path,
        frame="all",
        assume_geometry=parameters.assume_geometry,
        replace_nonfinite=parameters.replace_nonfinite,
    )
    return frames_of(image, path)


def _folder_frames(path: Path, parameters: FileParameters) -> Frames:
    files = sorted(image_files(path), key=_natural_order)
    if len(files) < 2:
        raise RequestError(
            f"Found a folder with {len(files)} NIfTI, NRRD or MHA images, expected two or more, one per frame. Load a "
            "4-D DICOM series into Slicer as a sequence, or convert it to NIfTI first.",
            code="sequence-short",
        )

    def frame(n: int) -> Image:
        return _check_varying(read_image(files[n], **parameters.read_options()))

    return Frames(tuple(file.name for file in files), frame)


def _check_varying(image: Image) -> Image:
    if float(image.data.min()) == float(image.data.max()):
        raise ImageError(
            "Found a constant frame, expected an image. It may not have been acquired: leave it out.",
            code="frame-constant",
        )
    return image


def _natural_order(path: Path) -> list[tuple[bool, int, str]]:
    """Return a sort key by which phase_2 precedes phase_10."""
    parts = re.split(r"(\d+)", path.name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
