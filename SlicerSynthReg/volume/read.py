"""Volumes from disk: the only door for images that come from outside."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, ImageDataError

from SlicerSynthReg.volume.dicom import read_dicom
from SlicerSynthReg.volume.itk import read_itk
from SlicerSynthReg.volume.nifti import read_nifti
from SlicerSynthReg.volume.raster import Frame
from SlicerSynthReg.volume.suffixes import SUFFIXES
from SlicerSynthReg.volume.volume import KINDS, Volume, VolumeError

_READERS = {suffix: read_nifti if suffix.startswith(".nii") else read_itk for suffix in SUFFIXES}
_DAMAGE = (
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


def read_volume(
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
) -> Volume:
    """NIfTI, NRRD, MHA or MHD file, or a folder holding one DICOM series, as float32 scalars or int32 labels.

    frame: which frame of a 4-D or vector image, or "all" for channels. series: which DICOM series when there are
    several, by the number that the refusal lists, or by its UID. assume_geometry: take axes as R, A, S, centred, where
    the header has no position. replace_nonfinite: value put in place of NaN and infinities. allow_degenerate: accept a
    constant image or a single slice. interpolate_gaps: resample unevenly spaced DICOM slices linearly. max_bytes:
    memory allowed (default: what is free).
    Values carry the file's slope and intercept; the grid is RAS mm and may be oblique, left-handed or sheared.
    Errors: FileNotFoundError; VolumeError naming what was found, what was expected and what to do.
    """
    path = Path(path)
    if kind not in KINDS:
        raise VolumeError(f"Found kind={kind!r}, expected one of {KINDS}.")
    if not path.exists():
        raise FileNotFoundError(f"Found nothing at {path}, expected an image file or a DICOM folder. Check the path.")
    if path.is_dir():
        try:
            raster = read_dicom(path, series, interpolate_gaps and kind == "scalar", max_bytes)
            return raster.as_volume(kind, replace_nonfinite, allow_degenerate)
        except VolumeError as error:
            raise VolumeError(error.text, error.way_out, path) from error
    suffix = next((s for s in _READERS if path.name.lower().endswith(s)), None)
    if suffix is None:
        raise VolumeError(
            f"Found a file of another type, expected {', '.join(_READERS)} or a folder with a DICOM series. "
            "Convert it, or give the folder that holds the series.",
            path=path,
        )
    try:
        raster = _READERS[suffix](path, frame, assume_geometry, max_bytes)
        volume = raster.as_volume(kind, replace_nonfinite, allow_degenerate)
    except VolumeError as error:
        raise VolumeError(error.text, error.way_out, path) from error
    except _DAMAGE as error:
        raise VolumeError(
            f"Found a file that cannot be decoded, expected a complete {suffix} image. It is truncated, damaged, or "
            f"of another type under this name: export it again. ({_last_line(error)})",
            path=path,
        ) from error
    return Volume(volume.data, volume.grid, volume.kind, path.name[: -len(suffix)])


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
