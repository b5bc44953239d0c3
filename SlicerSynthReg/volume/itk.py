"""NRRD and MetaImage by SimpleITK, and grids to and from ITK's origin, spacing and direction (LPS mm)."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.volume.lps import flip_affine
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

_MM_PER_UNIT = {"m": 1000.0, "cm": 10.0, "mm": 1.0, "um": 0.001, "µm": 0.001, "micron": 0.001, "microns": 0.001}
_BYTES = {"8-bit": 1, "16-bit": 2, "32-bit": 4, "64-bit": 8}


def read_itk(path: Path, frame: Frame, assume_geometry: bool, max_bytes: int | None) -> Raster:
    """NRRD, MHA or MHD; see read_volume for the options."""
    nrrd = path.suffix.lower() in (".nrrd", ".nhdr")
    reader = sitk.ImageFileReader()
    reader.SetImageIO("NrrdImageIO" if nrrd else "MetaImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size = tuple(int(n) for n in reader.GetSize())
    components = reader.GetNumberOfComponents()
    if len(size) > 4 or (len(size) == 4 and components > 1):
        raise VolumeError(f"Found {len(size)} dimensions, {components} components, expected 3 and 1. Split the file.")
    pixel = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    if "complex" in pixel:
        raise VolumeError(f"Found voxels of type {pixel}, expected real numbers. Convert complex images first.")
    chosen = frames_wanted(components if len(size) < 4 else size[3], frame)
    item_bytes = next((n for word, n in _BYTES.items() if word in pixel), 8)
    require_memory((*size, components), item_bytes, max_bytes)
    header, data_start = _header(path, nrrd)
    _require_intact(path, header, data_start)
    located = not nrrd or ("space" in header and "space directions" in header)
    if not located and not assume_geometry:
        raise missing_geometry("an NRRD without 'space' and 'space directions'")
    image = reader.Execute()
    array = sitk.GetArrayViewFromImage(image)
    if components == 1:
        array = array[..., None]
    if len(size) == 4:
        array = np.moveaxis(array[..., 0], 0, -1)
    if len(size) == 2:
        array = array[None]
    values = np.transpose(array, (2, 1, 0, 3))
    shape, affine = _placement(image)
    if not located:
        affine = assumed_grid(shape, np.linalg.norm(affine[:3, :3], axis=0)).affine
    to_mm = _MM_PER_UNIT.get(header.get("space units", "mm").replace('"', " ").split()[0].lower(), 1.0)
    grid = placed_grid(shape, np.diag([to_mm, to_mm, to_mm, 1.0]) @ affine)
    return Raster(values[..., chosen].copy(), grid)


def _header(path: Path, nrrd: bool) -> tuple[dict[str, str], int]:
    """Lower-case field -> value, and the byte at which the header ends."""
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
    """ITK ignores the checksums of compressed voxels, and with MetaImage even failed decompression: check them once."""
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


def itk_grid(image: sitk.Image) -> Grid:
    """Grid (RAS mm) of an ITK image of 2, 3 or 4 dimensions; a 2-D image becomes one slice."""
    return Grid(*_placement(image))


def _placement(image: sitk.Image) -> tuple[tuple[int, int, int], np.ndarray]:
    """Shape, and index -> RAS in the file's unit."""
    dimension = image.GetDimension()
    axes = np.array(image.GetDirection()).reshape(dimension, dimension) * np.array(image.GetSpacing())
    count = min(dimension, 3)
    affine = np.eye(4)
    affine[:count, :count] = axes[:count, :count]
    affine[:count, 3] = image.GetOrigin()[:count]
    return (*image.GetSize(), 1)[:3], flip_affine(affine)


def itk_image(values: np.ndarray, grid: Grid) -> sitk.Image:
    """(I, J, K) or, as vectors, (I, J, K, C) on `grid` -> ITK image; directions may be left-handed or sheared."""
    array = np.ascontiguousarray(np.moveaxis(values, (0, 1, 2), (2, 1, 0)))
    image = sitk.GetImageFromArray(array, isVector=values.ndim == 4)
    lps = flip_affine(grid.affine)
    image.SetSpacing(grid.spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / grid.spacing).ravel().tolist())
    return image
