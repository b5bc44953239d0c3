"""NIfTI-1 and -2 by nibabel.

The sform is preferred to the qform, as in nibabel and the NIfTI standard; lengths are converted to mm from the header's
unit. A sheared sform is kept; ITK refuses such a file or takes its qform instead.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
from nibabel.nifti1 import Nifti1Header, Nifti1Pair

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.raw_image import (
    Frame,
    RawImage,
    assumed_grid,
    check_memory,
    header_grid,
    missing_geometry,
    select_frames,
)
from SlicerSynthReg.spatial.grid import Grid

_MM_PER_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}
VECTOR_INTENTS = (1006, 1007)


def read_nifti(path: Path, frame: Frame, assume_geometry: bool, max_bytes: int | None) -> RawImage:
    """Read 3-D or 4-D NIfTI; options as for io.read.read_image. Raises ImageError (not-an-image, voxel-type,
    image-dimensions)."""
    image = load_nifti(path)
    header = image.header
    shape = tuple(int(n) for n in image.shape)
    dtype = header.get_data_dtype()
    if len(shape) == 5 and int(header["intent_code"]) in VECTOR_INTENTS:
        raise ImageError("Found a displacement field, expected an image. Give it as a transform.", code="not-an-image")
    if dtype.kind not in "iuf":
        raise ImageError(
            f"Found voxels of type {dtype}, expected real numbers. Convert colour or complex images.", code="voxel-type"
        )
    if np.prod(shape[4:]) != 1:
        raise ImageError(
            f"Found {len(shape)} dimensions {shape}, expected 3 or 4. Split the file first.", code="image-dimensions"
        )
    spatial = (shape[0], shape[1], shape[2] if len(shape) > 2 else 1)
    chosen = select_frames(shape[3] if len(shape) > 3 else 1, frame)
    check_memory((*spatial, chosen.stop - chosen.start), dtype.itemsize, max_bytes)
    grid = nifti_grid(header, spatial, assume_geometry)
    _require_intact(path)
    index = (slice(None),) * 3 + (chosen,) + (0,) * (len(shape) - 4)
    values = np.asanyarray(image.dataobj[index] if len(shape) > 3 else image.dataobj)
    return RawImage(values.reshape(*spatial, -1), grid)


def load_nifti(path: Path) -> Nifti1Pair:
    """Return the NIfTI image without reading its voxels. Raises ImageError (file-type)."""
    image = nibabel.load(path, mmap=False)
    if not isinstance(image, Nifti1Pair):
        raise ImageError(
            f"Found a {type(image).__name__}, expected NIfTI. Convert the file to NIfTI-1 or -2.", code="file-type"
        )
    return image


def _require_intact(path: Path) -> None:
    """Read to the end once: nibabel stops before gzip's checksum, so corrupt voxels would pass."""
    if path.name.lower().endswith(".gz"):
        with gzip.open(path) as stream:
            while stream.read(1 << 22):
                pass


def nifti_grid(header: Nifti1Header, shape: tuple[int, int, int], assume_geometry: bool) -> Grid:
    """Return the grid from sform, else qform, else the assumed one if allowed. Raises ImageError (geometry-missing)."""
    to_mm = _MM_PER_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
    affine = header.get_sform(coded=True)[0]
    if affine is None:
        affine = header.get_qform(coded=True)[0]
    if affine is None:
        if not assume_geometry:
            raise missing_geometry("neither sform nor qform (both codes are 0)")
        return assumed_grid(shape, np.asarray(header["pixdim"][1:4], dtype=np.float64) * to_mm)
    return header_grid(shape, np.diag([to_mm, to_mm, to_mm, 1.0]) @ affine)
