"""Reading of image files and DICOM folders."""

from __future__ import annotations

import dataclasses
import os
import struct
import zlib
from pathlib import Path

from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, ImageDataError

from SlicerSynthReg.errors import ImageError, MissingFileError
from SlicerSynthReg.io.dicom import ReadOptions, read_dicom
from SlicerSynthReg.io.files import SUFFIXES
from SlicerSynthReg.io.image import KINDS, Image
from SlicerSynthReg.io.itk import read_itk
from SlicerSynthReg.io.nifti import read_nifti
from SlicerSynthReg.io.raw_image import Frame

_READERS = {suffix: read_nifti if suffix.startswith(".nii") else read_itk for suffix in SUFFIXES}
_READ_ERRORS = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    MemoryError,
    struct.error,
    zlib.error,
    ImageFileError,
    HeaderDataError,
    ImageDataError,
)


def read_image(
    path: str | os.PathLike[str],
    kind: str = "scalar",
    *,
    frame: Frame = None,
    series: str | None = None,
    assume_geometry: bool = False,
    replace_nonfinite: float | None = None,
    allow_degenerate: bool = False,
    interpolate_gaps: bool = False,
    max_bytes: int | None = None,
) -> Image:
    """Read a NIfTI, NRRD, MHA or MHD file, or a folder with a DICOM series, as float32 scalars or int32 labels.

    frame: frame of a 4-D or vector image, or "all" for channels. series: DICOM series if there are several, by its UID
    or by the number that the error lists. assume_geometry: assume centred R, A, S axes if the header has no position.
    replace_nonfinite: value that replaces NaN and infinities. allow_degenerate: accept a constant image or a single
    slice. interpolate_gaps: interpolate unevenly spaced DICOM slices linearly. max_bytes: memory allowed (default: what
    is available). Slope and intercept of the file are applied; the grid is RAS mm and may be oblique, left-handed or
    sheared. Raises MissingFileError; ImageError.
    """
    path = Path(path)
    if kind not in KINDS:
        raise ImageError(f"Found kind={kind!r}, expected one of {KINDS}.", code="image-kind")
    if not path.exists():
        raise MissingFileError(
            "Found nothing at that path, expected an image file or a DICOM folder. Check the path.", path=path
        )
    if path.is_dir():
        try:
            raw = read_dicom(path, ReadOptions(series, frame, interpolate_gaps and kind == "scalar", max_bytes))
            return raw.as_image(kind, replace_nonfinite, allow_degenerate)
        except ImageError as error:
            raise ImageError(error.text, error.suggestion, path, code=error.code) from error
    suffix = next((s for s in _READERS if path.name.lower().endswith(s)), None)
    if suffix is None:
        raise ImageError(
            f"Found a file of another type, expected {', '.join(_READERS)} or a folder with a DICOM series. "
            "Convert it, or give the folder that holds the series.",
            path=path,
            code="file-type",
        )
    try:
        raw = _READERS[suffix](path, frame, assume_geometry, max_bytes)
        image = raw.as_image(kind, replace_nonfinite, allow_degenerate)
    except ImageError as error:
        raise ImageError(error.text, error.suggestion, path, code=error.code) from error
    except _READ_ERRORS as error:
        raise ImageError(
            f"Found a file that cannot be decoded, expected a complete {suffix} image. It is truncated, damaged, or "
            f"of another type under this name: export it again. ({_last_line(error)})",
            path=path,
            code="decoding",
        ) from error
    return dataclasses.replace(image, name=path.name[: -len(suffix)])


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
