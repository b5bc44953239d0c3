"""What the public functions accept: paths, nibabel images, SimpleITK images, or the project's own types."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, cast

import numpy as np
import SimpleITK as sitk
from nibabel.spatialimages import SpatialImage

from SlicerSynthReg.errors import GeometryError, ImageError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.itk import itk_grid, itk_values
from SlicerSynthReg.io.landmarks import Landmarks, read_landmarks
from SlicerSynthReg.io.raw_image import RawImage, finite_scalars, header_grid, select_frames
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.transforms import read_transform
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Affine, Transform

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

ImageLike: TypeAlias = Union[Image, SpatialImage, sitk.Image, str, os.PathLike[str]]
LandmarksLike: TypeAlias = Union[Landmarks, np.ndarray, str, os.PathLike[str]]
TransformLike: TypeAlias = Union[Transform, np.ndarray, str, os.PathLike[str]]


def as_image(source: ImageLike, kind: str = "scalar", **options: Any) -> Image:
    """Return `source` as an Image (RAS mm).

    source: path of a file or DICOM folder, nibabel image, SimpleITK image, or Image. kind: "scalar" or "labels".
    options: keywords of `io.read.read_image` (frame, series, assume_geometry, replace_nonfinite, allow_degenerate,
    interpolate_gaps, max_bytes); those that concern headers apply to paths only. An Image keeps all its channels unless
    a frame is chosen. Raises ImageError, MissingFileError.
    """
    if isinstance(source, Image):
        if source.kind != kind:
            raise ImageError(
                f"Found an image of kind {source.kind!r}, expected {kind!r}. Convert its data and kind.",
                code="image-kind",
            )
        return _checked(source, options)
    if isinstance(source, (str, os.PathLike)):
        return read_image(source, kind, **options)
    if isinstance(source, SpatialImage):
        values, grid = _nibabel_values(source)
    elif isinstance(source, sitk.Image):
        values, grid = itk_values(source), itk_grid(source)
    else:
        raise ImageError(
            f"Found an image of type {type(source).__name__}, expected a path, a nibabel image, a SimpleITK image or "
            "an Image.",
            code="image-type",
        )
    frames = select_frames(values.shape[-1], options.get("frame"))
    raw = RawImage(values[..., frames], grid)
    return raw.as_image(kind, options.get("replace_nonfinite"), options.get("allow_degenerate", False))


def as_landmarks(source: LandmarksLike) -> Landmarks:
    """Return `source` as Landmarks. source: path of a .csv, .fcsv or .mrk.json file, (N, 3) array in RAS mm, or
    Landmarks. Raises ImageError, MissingFileError."""
    if isinstance(source, Landmarks):
        return source
    if isinstance(source, (str, os.PathLike)):
        return read_landmarks(source)
    if isinstance(source, np.ndarray) and source.dtype.kind in "iuf":
        return Landmarks(source)
    raise ImageError(
        f"Found landmarks of type {_type_name(source)}, expected a path, a numeric (N, 3) array in RAS mm or "
        "Landmarks. Convert a list with numpy.array.",
        code="landmark-type",
    )


def as_transform(source: TransformLike, fixed: Grid | None = None) -> Transform:
    """Return `source` as a Transform, fixed RAS mm -> moving RAS mm. source: path of a .tfm, .h5 or .nii.gz file, 4x4
    array, or Transform. fixed: grid of the fixed image, for files that need it. Raises ImageError, GeometryError,
    MissingFileError."""
    if isinstance(source, np.ndarray) and source.dtype.kind in "iuf":
        return Affine(source)
    if isinstance(source, (str, os.PathLike)):
        return read_transform(Path(source), fixed)
    if callable(getattr(source, "map_points", None)):
        return cast(Transform, source)
    raise GeometryError(
        f"Found a transform of type {_type_name(source)}, expected a path, a numeric 4x4 array in RAS mm or a "
        "Transform. Convert a list with numpy.array; write a SimpleITK transform to a .h5 file and give its path.",
        code="transform-type",
    )


def image_name(source: ImageLike, default: str) -> str:
    """Return the base name of a file, "DICOM folder" for a folder (folder names may identify the patient), the name of
    an Image, or `default`."""
    if isinstance(source, (str, os.PathLike)):
        return "DICOM folder" if Path(source).is_dir() else Path(source).name
    return (source.name if isinstance(source, Image) else "") or default


def _checked(image: Image, options: dict[str, Any]) -> Image:
    """Return `image` with the chosen frame only, if one is, and without NaN. Raises ImageError (frame-range,
    nonfinite)."""
    data = image.data
    if options.get("frame") is not None:
        data = data[select_frames(len(data), options["frame"])]
    if image.kind == "scalar":
        data = finite_scalars(data, options.get("replace_nonfinite"))
    return image if data is image.data else dataclasses.replace(image, data=data)


def _type_name(source: object) -> str:
    return f"array of {source.dtype}" if isinstance(source, np.ndarray) else type(source).__name__


def _nibabel_values(image: SpatialImage) -> tuple[np.ndarray, Grid]:
    values = np.asanyarray(image.dataobj)
    if values.ndim not in (3, 4):
        raise ImageError(f"Found {values.ndim} dimensions {values.shape}, expected 3 or 4.", code="image-dimensions")
    shape = (int(values.shape[0]), int(values.shape[1]), int(values.shape[2]))
    grid = header_grid(shape, np.asarray(image.affine, dtype=np.float64))
    return values.reshape(*shape, -1), grid
