"""NRRD and MetaImage by SimpleITK; conversion of grids to and from ITK's origin, spacing and direction (LPS mm)."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.lps import flip_affine
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

_MM_PER_UNIT = {"m": 1000.0, "cm": 10.0, "mm": 1.0, "um": 0.001, "µm": 0.001, "micron": 0.001, "microns": 0.001}
_BYTES = {"8-bit": 1, "16-bit": 2, "32-bit": 4, "64-bit": 8}


def read_itk(path: Path, frame: Frame, assume_geometry: bool, max_bytes: int | None) -> RawImage:
    """Read NRRD, MHA or MHD; options as for io.read.read_image. Raises ImageError (image-dimensions, voxel-type)."""
    nrrd = path.suffix.lower() in (".nrrd", ".nhdr")
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if nrrd else "MetaImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size = tuple(int(n) for n in reader.GetSize())
    components = reader.GetNumberOfComponents()
    if len(size) > 4 or (len(size) == 4 and components > 1):
        raise ImageError(
            f"Found {len(size)} dimensions, {components} components, expected 3 and 1. Split the file.",
            code="image-dimensions",
        )
    pixel = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    if "complex" in pixel:
        raise ImageError(
            f"Found voxels of type {pixel}, expected real numbers. Convert complex images first.", code="voxel-type"
        )
    chosen = select_frames(components if len(size) < 4 else size[3], frame)
    item_bytes = next((n for word, n in _BYTES.items() if word in pixel), 8)
    check_memory((*size, components), item_bytes, max_bytes)
    header, data_start = _header(path, nrrd)
    _require_intact(path, header, data_start)
    located = not nrrd or ("space" in header and "space directions" in header)
    if not located and not assume_geometry:
        raise missing_geometry("an NRRD without 'space' and 'space directions'")
    image = reader.Execute()
    values = itk_values(image)
    shape, affine = _shape_and_affine(image)
    if not located:
        affine = assumed_grid(shape, np.linalg.norm(affine[:3, :3], axis=0)).affine
    to_mm = _MM_PER_UNIT.get(header.get("space units", "mm").replace('"', " ").split()[0].lower(), 1.0)
    grid = header_grid(shape, np.diag([to_mm, to_mm, to_mm, 1.0]) @ affine)
    return RawImage(values[..., chosen].copy(), grid)


def _header(path: Path, nrrd: bool) -> tuple[dict[str, str], int]:
    """Return lower-case field -> value, and the byte at which the header ends."""
    fields: dict[str, str] = {}
    with open(path, "rb") as stream:
        for raw in iter(stream.readline, b""):
            line = raw.decode("utf-8", "replace").strip()
            name, separator, value = line.partition(":" if nrrd else "=")
            if separator and not line.startswith("#"):
                fields[name.strip().lower()] = value.strip()
            if (nrrd and not line) or name.strip() == "ElementDataFile":
                break
        return fields, stream.tell()


def _require_intact(path: Path, header: dict[str, str], data_start: int) -> None:
    """Decompress once: ITK ignores checksums, and for MetaImage even failed decompression."""
    if header.get("encoding") not in ("gzip", "gz") and header.get("compresseddata", "").lower() != "true":
        return
    named = header.get("data file") or header.get("datafile") or header.get("elementdatafile", "LOCAL")
    if named != "LOCAL":
        path, data_start = path.parent / named, 0
    if not path.is_file():
        return
    decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    with open(path, "rb") as stream:
        stream.seek(data_start)
        for piece in iter(lambda: stream.read(1 << 16), b""):
            decoder.decompress(piece)
    if not decoder.eof:
        raise EOFError("the compressed voxels end too early")


def itk_values(image: sitk.Image) -> np.ndarray:
    """Return a view (I, J, K, C) of the voxels of a 2-D, 3-D or 4-D ITK image; C: components or frames."""
    array = sitk.GetArrayViewFromImage(image)
    if image.GetNumberOfComponentsPerPixel() == 1:
        array = array[..., None]
    if image.GetDimension() == 4:
        array = np.moveaxis(array[..., 0], 0, -1)
    if image.GetDimension() == 2:
        array = array[None]
    return np.transpose(array, (2, 1, 0, 3))


def itk_grid(image: sitk.Image) -> Grid:
    """Return the grid (RAS mm) of an ITK image of 2, 3 or 4 dimensions; a 2-D image becomes one slice."""
    return Grid(*_shape_and_affine(image))


def _shape_and_affine(image: sitk.Image) -> tuple[tuple[int, int, int], np.ndarray]:
    """Return the shape and the 4x4 map from index to RAS, in the file's unit."""
    dimension = image.GetDimension()
    axes = np.array(image.GetDirection()).reshape(dimension, dimension) * np.array(image.GetSpacing())
    count = min(dimension, 3)
    affine = np.eye(4)
    affine[:count, :count] = axes[:count, :count]
    affine[:count, 3] = image.GetOrigin()[:count]
    return (*image.GetSize(), 1)[:3], flip_affine(affine)


def itk_image(values: np.ndarray, grid: Grid) -> sitk.Image:
    """Return values (I, J, K), or vectors (I, J, K, C), on `grid` as an ITK image; directions may be sheared."""
    array = np.ascontiguousarray(np.moveaxis(values, (0, 1, 2), (2, 1, 0)))
    image = sitk.GetImageFromArray(array, isVector=values.ndim == 4)
    lps = flip_affine(grid.affine)
    image.SetSpacing(grid.spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / grid.spacing).ravel().tolist())
    return image
