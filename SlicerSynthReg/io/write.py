"""Writing of images; a failed write leaves no partial file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

import nibabel
import numpy as np
import SimpleITK as sitk
import torch

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.files import atomic_write
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.itk import itk_image
from SlicerSynthReg.spatial.grid import Grid

DERIVED_MARK = "synthetic/derived, not for diagnosis"
_LABEL_TYPES = (np.uint8, np.int16, np.uint16, np.int32)


def write_image(image: Image, path: str | os.PathLike[str], derived: bool = True) -> None:
    """Write `image` as .nii, .nii.gz, .nrrd or .mha, by the suffix of `path`.

    Scalars are written as float32, labels in the smallest integer type that holds them; several channels become a 4-D
    NIfTI or a vector NRRD/MHA. derived: whether to put DERIVED_MARK into the header (NIfTI descrip, NRRD content, MHA
    Comment). A sheared grid is kept exactly in each format, but ITK and Slicer read only NRRD and MHA of that kind
    correctly. Raises ImageError (file-type, label-range, nonfinite); OSError (full disk, read-only folder), after which
    no part of the file is left and an older file is unchanged.
    """
    path = Path(path)
    suffix = next((s for s in _WRITERS if path.name.lower().endswith(s)), None)
    if suffix is None:
        raise ImageError(
            f"Found the file name {path.name}, expected one ending in {', '.join(_WRITERS)}.", code="file-type"
        )
    values = np.moveaxis(_storable(image), 0, -1)
    if values.shape[-1] == 1:
        values = values[..., 0]
    uncompressed = suffix != ".nii.gz"
    with atomic_write(path, suffix, values.nbytes if uncompressed else 0) as temporary:
        _WRITERS[suffix](values, image.grid, DERIVED_MARK if derived else "", temporary)


def write_images(
    images: Mapping[str, Image], folder: str | os.PathLike[str], names: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Write each image into `folder` as a compressed NIfTI file and return output name -> file name.

    names: output name -> file name, NAME.nii.gz by default. Raises OSError, ImageError.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: (names or {}).get(name, f"{name}.nii.gz") for name in images}
    with ThreadPoolExecutor(2) as pool:  # compression releases the interpreter
        for written in [pool.submit(write_image, image, folder / files[name]) for name, image in images.items()]:
            written.result()
    return files


def _storable(image: Image) -> np.ndarray:
    """Return (C, I, J, K) in the type to be written."""
    data = image.data.detach().cpu()
    if image.kind == "labels":
        low, high = int(data.min()), int(data.max())
        for dtype in _LABEL_TYPES:
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return data.numpy().astype(dtype)
        raise ImageError(
            f"Found labels from {low} to {high}, expected 32-bit integers. Renumber the labels.", code="label-range"
        )
    data = data.to(torch.float32)
    broken = int((~torch.isfinite(data)).sum())
    if broken:
        raise ImageError(
            f"Found {broken} of {data.numel()} voxels that are NaN or infinite in float32, expected finite values. "
            "Nothing was written: the computation of the image failed, or its intensities need rescaling.",
            code="nonfinite",
        )
    return data.numpy()


def save_nifti(values: np.ndarray, grid: Grid, mark: str, path: Path, intent: int = 0) -> None:
    """Write values with sform and qform in mm; a sheared grid has no qform (a quaternion cannot hold shear)."""
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
