"""NIfTI-1 and -2 by nibabel.

The sform wins over the qform (nibabel's and the NIfTI standard's order of preference); lengths are converted to mm from
the header's unit. A sheared sform is kept as it is; ITK refuses such a file or takes its qform instead.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
from nibabel.nifti1 import Nifti1Header, Nifti1Pair

from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.volume.raster import (
    Frame,
    Raster,
    assumed_grid,
    frames_wanted,
    missing_geometry,
    placed_grid,
    require_memory,
)
from SlicerSynthReg.volume.volume import VolumeError

_MM_PER_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}
VECTOR_INTENTS = (1006, 1007)


def read_nifti(path: Path, frame: Frame, assume_geometry: bool, max_bytes: int | None) -> Raster:
    """3-D or 4-D NIfTI; see read_volume for the options."""
    image = load_nifti(path)
    header = image.header
    shape = tuple(int(n) for n in image.shape)
    dtype = header.get_data_dtype()
    if len(shape) == 5 and int(header["intent_code"]) in VECTOR_INTENTS:
        raise VolumeError("Found a displacement field, expected an image. Give it as a transform.")
    if dtype.kind not in "iuf":
        raise VolumeError(f"Found voxels of type {dtype}, expected real numbers. Convert colour or complex images.")
    if np.prod(shape[4:]) != 1:
        raise VolumeError(f"Found {len(shape)} dimensions {shape}, expected 3 or 4. Split the file first.")
    spatial = (shape[0], shape[1], shape[2] if len(shape) > 2 else 1)
    chosen = frames_wanted(shape[3] if len(shape) > 3 else 1, frame)
    require_memory((*spatial, chosen.stop - chosen.start), dtype.itemsize, max_bytes)
    grid = nifti_grid(header, spatial, assume_geometry)
    _require_intact(path)
    index = (slice(None),) * 3 + (chosen,) + (0,) * (len(shape) - 4)
    values = np.asanyarray(image.dataobj[index] if len(shape) > 3 else image.dataobj)
    return Raster(values.reshape(*spatial, -1), grid)


def load_nifti(path: Path) -> Nifti1Pair:
    image = nibabel.load(path, mmap=False)
    if not isinstance(image, Nifti1Pair):
        raise VolumeError(f"Found a {type(image).__name__}, expected NIfTI. Convert the file to NIfTI-1 or -2.")
    return image


def _require_intact(path: Path) -> None:
    """nibabel stops before gzip's checksum, so flipped bits would pass for voxels: read to the end once."""
    if path.name.lower().endswith(".gz"):
        with gzip.open(path) as stream:
            while stream.read(1 << 22):
                pass


def nifti_grid(header: Nifti1Header, shape: tuple[int, int, int], assume_geometry: bool) -> Grid:
    """Grid in RAS mm from sform, else qform, else the assumption if allowed."""
    to_mm = _MM_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
    affine = header.get_sform(coded=True)[0]
    if affine is None:
        affine = header.get_qform(coded=True)[0]
    if affine is None:
        if not assume_geometry:
            raise missing_geometry("neither sform nor qform (both codes are 0)")
        return assumed_grid(shape, np.asarray(header["pixdim"][1:4], dtype=np.float64) * to_mm)
    return placed_grid(shape, np.diag([to_mm, to_mm, to_mm, 1.0]) @ affine)
