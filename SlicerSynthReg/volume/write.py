"""Volumes to disk, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable

import nibabel
import numpy as np
import SimpleITK as sitk
import torch

from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.volume.atomic import atomically
from SlicerSynthReg.volume.itk import itk_image
from SlicerSynthReg.volume.volume import Volume, VolumeError

DERIVED_MARK = "synthetic/derived, not for diagnosis"
_LABEL_TYPES = (np.uint8, np.int16, np.uint16, np.int32)


def write_volume(volume: Volume, path: str | os.PathLike[str], derived: bool = True) -> None:
    """`volume` as .nii, .nii.gz, .nrrd or .mha, by the suffix of `path`.

    Scalars are written as float32, labels in the smallest integer type that holds them; several channels become a 4-D
    NIfTI or a vector NRRD/MHA. derived=True marks the header DERIVED_MARK (NIfTI descrip, NRRD content, MHA Comment).
    A sheared grid is kept exactly in each format, but ITK and Slicer read only NRRD and MHA of that kind faithfully.
    Errors: VolumeError for values or suffixes that cannot be written; OSError (full disk, read-only folder), after
    which no part of the file is left and an older file is untouched.
    """
    path = Path(path)
    suffix = next((s for s in _WRITERS if path.name.lower().endswith(s)), None)
    if suffix is None:
        raise VolumeError(f"Found the file name {path.name}, expected one ending in {', '.join(_WRITERS)}.")
    values = np.moveaxis(_storable(volume), 0, -1)
    if values.shape[-1] == 1:
        values = values[..., 0]
    uncompressed = suffix != ".nii.gz"
    with atomically(path, suffix, values.nbytes if uncompressed else 0) as temporary:
        _WRITERS[suffix](values, volume.grid, DERIVED_MARK if derived else "", temporary)


def _storable(volume: Volume) -> np.ndarray:
    """(C, I, J, K) in the type to be written."""
    data = volume.data.detach().cpu()
    if volume.kind == "labels":
        low, high = int(data.min()), int(data.max())
        for dtype in _LABEL_TYPES:
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return data.numpy().astype(dtype)
        raise VolumeError(f"Found labels from {low} to {high}, expected 32-bit integers. Renumber the labels.")
    data = data.to(torch.float32)
    broken = int((~torch.isfinite(data)).sum())
    if broken:
        raise VolumeError(
            f"Found {broken} of {data.numel()} voxels that are NaN or infinite in float32, expected finite values. "
            "Nothing was written: the computation that made the volume failed, or its intensities need rescaling."
        )
    return data.numpy()


def save_nifti(values: np.ndarray, grid: Grid, mark: str, path: Path, intent: int = 0) -> None:
    """sform and qform in mm; a sheared grid has no qform (a quaternion cannot hold shear)."""
    image = nibabel.Nifti1Image(values, grid.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(grid.affine, code=1)
    image.set_qform(grid.affine if grid.is_orthonormal else None, code=1 if grid.is_orthonormal else 0)
    image.header["descrip"] = mark
    image.header["intent_code"] = intent
    nibabel.save(image, path)


def _save_itk(values: np.ndarray, grid: Grid, mark: str, path: Path) -> None:
    image = itk_image(values, grid)
    if mark:
        image.SetMetaData("NRRD_content" if path.suffix == ".nrrd" else "Comment", mark)
    sitk.WriteImage(image, str(path))


_WRITERS: dict[str, Callable[[np.ndarray, Grid, str, Path], None]] = {
    ".nii.gz": save_nifti,
    ".nii": save_nifti,
    ".nrrd": _save_itk,
    ".mha": _save_itk,
}
