"""Pixels of DICOM slices as real values: HU for CT, the scanner's units otherwise.

Values are those after the modality LUT or rescale slope and intercept, never after a window (VOI LUT). All compressions
follow one rule: pixels are decoded to stored values first, and everything else is done here.
"""

from __future__ import annotations

import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.uid import ExplicitVRLittleEndian

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.dicom_files import Slice, integer, number, read_header, text, value

AIR_HU = -1024.0
_PYDICOM_2 = pydicom.__version__.startswith("2.")
"""The last version for Python 3.9 takes the encoding from attributes that version 3 gives up."""
_FLOATS = ("FloatPixelData", "DoubleFloatPixelData")
_PIXEL_TAGS = (
    "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
    "NumberOfFrames",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Pixels:
    """values: (I, J) float32. padded: (I, J) bool, padding voxels, whose values were replaced by `background` unless it
    is None. inverted: whether MONOCHROME1 was."""

    values: np.ndarray
    padded: np.ndarray
    background: float | None
    inverted: bool


def modality_of(header: pydicom.Dataset) -> str:
    """Return "ct" for CT in HU, "mr", or ""."""
    modality = text(header, "Modality").upper()
    if modality == "CT":
        lut = value(header, "ModalityLUTSequence")
        unit = text(lut[0], "ModalityLUTType") if lut else text(header, "RescaleType")
        stated = lut or number(header, "RescaleIntercept") is not None
        return "ct" if stated and unit.upper() in (("HU",) if lut else ("HU", "")) else ""
    return "mr" if modality == "MR" else ""


def modality_warnings(header: pydicom.Dataset) -> list[str]:
    """Return why a CT is not taken to be in HU."""
    if text(header, "Modality").upper() != "CT" or modality_of(header):
        return []
    unit = text(header, "RescaleType")
    if unit and unit.upper() != "HU":
        return [f"Found CT values in the unit {unit[:16]}, expected HU: they are not taken to be Hounsfield units."]
    return [
        "Found CT without RescaleIntercept, expected the offset to HU: the stored values are kept, and not taken to be "
        "Hounsfield units."
    ]


class PixelReader:
    """Decode slices; keep the frames of the last multi-frame file."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._full: pydicom.Dataset | None = None
        self._frames: np.ndarray | None = None

    def read(self, one: Slice) -> Pixels:
        """Return the values of a slice. Raises ImageError (voxel-type, photometric, decoding)."""
        try:
            full, stored = self._stored(one)
            if stored.shape != (one.size[1], one.size[0]):
                raise ValueError("size")
            return _values(one, full, stored)
        except ImageError:
            raise
        except Exception as error:  # decoders raise many types for damaged files, with paths in them
            raise ImageError(
                f"Found pixels of slice instance {one.number} that cannot be decoded ({type(error).__name__}), "
                "expected a complete image. The file is truncated or damaged: export the series again.",
                code="decoding",
            ) from None

    def _stored(self, one: Slice) -> tuple[pydicom.Dataset, np.ndarray]:
        """Return the whole file and the stored values (rows, columns)."""
        if one.frame is None:
            full = read_header(one.path, with_pixels=True)
            _require_grey(full)
            return full, stored_values(full)
        if self._path != one.path or self._full is None or self._frames is None:
            self._full = read_header(one.path, with_pixels=True)
            _require_grey(self._full)
            decoded = stored_values(self._full)
            self._path, self._frames = one.path, decoded if decoded.ndim == 3 else decoded[None]
        return self._full, self._frames[one.frame]


def _require_grey(header: pydicom.Dataset) -> None:
    photometric = text(header, "PhotometricInterpretation").upper() or "MONOCHROME2"
    if integer(header, "SamplesPerPixel", 1) != 1 or not photometric.startswith("MONOCHROME"):
        raise ImageError(
            f"Found colour slices ({photometric[:16]}), expected grey values. Choose the original series.",
            code="voxel-type",
        )
    if photometric == "MONOCHROME1" and text(header, "Modality").upper() == "CT":
        raise ImageError(
            "Found CT with MONOCHROME1 (inverted grey scale), expected MONOCHROME2: whether its values are HU cannot "
            "be told. Convert or export the series as MONOCHROME2.",
            code="photometric",
        )


def stored_values(full: pydicom.Dataset) -> np.ndarray:
    """Return the stored values (rows, columns) or (frames, rows, columns): integers of the bits stored, or floats."""
    if any(name in full for name in _FLOATS):
        return np.asarray(full.pixel_array)
    meta = getattr(full, "file_meta", None)
    if meta is None:
        full.file_meta = meta = pydicom.dataset.FileMetaDataset()
    if "TransferSyntaxUID" not in meta:  # a file without meta header; pydicom has found out how to read it
        implicit, little = (full.is_implicit_VR, full.is_little_endian) if _PYDICOM_2 else full.original_encoding
        big = pydicom.uid.ExplicitVRBigEndian
        meta.TransferSyntaxUID = (
            big if not little else pydicom.uid.ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        )
    if meta.TransferSyntaxUID.is_compressed and not meta.TransferSyntaxUID.is_deflated:
        _check_codestream_size(full)
        try:
            return np.asarray(full.pixel_array)
        except RuntimeError:  # pydicom has no decoder for this compression
            return _decoded_by_itk(full)
    allocated, stored = integer(full, "BitsAllocated", 16), integer(full, "BitsStored", 0)
    high, signed = integer(full, "HighBit", stored - 1), integer(full, "PixelRepresentation", 0)
    full.BitsStored, full.HighBit, full.PixelRepresentation = allocated, allocated - 1, 0
    if not text(full, "PhotometricInterpretation"):
        full.PhotometricInterpretation = "MONOCHROME2"
    if "SamplesPerPixel" not in full:
        full.SamplesPerPixel = 1
    raw = np.asarray(full.pixel_array)
    if not 0 < stored <= allocated or not stored - 1 <= high < allocated:
        stored, high = allocated, allocated - 1
    wide = (raw.astype(np.int64) >> (high + 1 - stored)) & ((1 << stored) - 1)  # other bits may hold overlays
    return np.where(wide >> (stored - 1), wide - (1 << stored), wide) if signed else wide


def _check_codestream_size(full: pydicom.Dataset) -> None:
    """Raise ValueError or struct.error unless the size is the header's: decoders allocate what is stated here."""
    start = full.PixelData.find(b"\xff\x4f\xff\x51")  # SOC, SIZ
    if "JPEG 2000" in full.file_meta.TransferSyntaxUID.name and start >= 0:
        width, height, left, top = struct.unpack_from(">4I", full.PixelData, start + 8)
        components = struct.unpack_from(">H", full.PixelData, start + 40)[0]
        if (width - left, height - top, components) != (full.Columns, full.Rows, 1):
            raise ValueError("size")
    start = full.PixelData.find(b"\xff\xd8\xff") + 2  # SOI of JPEG and JPEG-LS
    while "JPEG" in full.file_meta.TransferSyntaxUID.name and "2000" not in full.file_meta.TransferSyntaxUID.name:
        marker, length, _, height, width, components = struct.unpack_from(">HHBHHB", full.PixelData, start)
        if marker in (0xFFC0, 0xFFC1, 0xFFC2, 0xFFC3, 0xFFF7):
            if (width, height, components) != (full.Columns, full.Rows, 1):
                raise ValueError("size")
            return
        start += 2 + max(length, 2)


def _decoded_by_itk(full: pydicom.Dataset) -> np.ndarray:
    """Decode what pydicom needs further packages for, from a file that holds nothing but the pixels: ITK applies some
    rescaling and inversion for some compressions."""
    bare = pydicom.Dataset()
    for name in _PIXEL_TAGS:
        if name in full:
            bare[name] = full[name]
    bare.PhotometricInterpretation = "MONOCHROME2"
    bare.SOPClassUID, bare.SOPInstanceUID = pydicom.uid.SecondaryCaptureImageStorage, pydicom.uid.UID("1.2.3")
    bare.file_meta = pydicom.dataset.FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = full.file_meta.TransferSyntaxUID
    bare.file_meta.MediaStorageSOPClassUID = bare.SOPClassUID
    bare.file_meta.MediaStorageSOPInstanceUID = bare.SOPInstanceUID
    bare.file_meta.ImplementationClassUID = bare.SOPInstanceUID
    bare.preamble = b"\0" * 128
    if _PYDICOM_2:
        bare.is_implicit_VR, bare.is_little_endian = False, True
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "pixels.dcm")
        pydicom.dcmwrite(file, bare)
        array = sitk.GetArrayFromImage(sitk.ReadImage(file, imageIO="GDCMImageIO"))
    return np.asarray(array[0] if array.ndim == 3 and array.shape[0] == 1 else array)


def _values(one: Slice, full: pydicom.Dataset, stored: np.ndarray) -> Pixels:
    header = one.header
    padded = _padding(header if value(header, "PixelPaddingValue") is not None else full, stored)
    inverted = text(full, "PhotometricInterpretation").upper() == "MONOCHROME1"
    if inverted and stored.dtype.kind != "f":
        bits = integer(full, "BitsStored", 16) if not value(header, "BitsStored") else integer(header, "BitsStored", 16)
        signed = integer(header, "PixelRepresentation", 0)
        stored = (-1 if signed else (1 << bits) - 1) - stored.astype(np.int64)
    elif inverted:
        stored = -stored
    lut = value(header, "ModalityLUTSequence")
    if lut:
        values = _through_lut(lut[0], stored)
    else:
        slope, intercept = number(header, "RescaleSlope"), number(header, "RescaleIntercept")
        values = stored.astype(np.float32) * (slope or 1.0) + (intercept or 0.0)
    modality = modality_of(header)
    background = AIR_HU if modality == "ct" else 0.0 if text(header, "Modality") in ("MR", "PT", "NM") else None
    values = np.asarray(values, dtype=np.float32)
    if background is not None and padded.any():
        values = np.where(padded, np.float32(background), values)
    return Pixels(values.T, padded.T, background, inverted)


def _padding(header: pydicom.Dataset, stored: np.ndarray) -> np.ndarray:
    """Return where the stored value is PixelPaddingValue, or between it and PixelPaddingRangeLimit (PS3.3 C.7.5.1)."""
    padding, limit = number(header, "PixelPaddingValue"), number(header, "PixelPaddingRangeLimit")
    if padding is None or stored.dtype.kind == "f":
        return np.zeros(stored.shape, dtype=bool)
    wrap = 1 << max(integer(header, "BitsAllocated", 16), 1)
    ends = [padding, padding if limit is None else limit]
    if stored.min() < 0:  # signed pixels, whose padding value some files write as an unsigned number
        ends = [end - wrap if end >= wrap // 2 else end for end in ends]
    low, high = sorted(ends)
    return np.asarray((stored >= low) & (stored <= high))


def _through_lut(lut: pydicom.Dataset, stored: np.ndarray) -> np.ndarray:
    """Return the stored values through a modality LUT (PS3.3 C.11.1.1)."""
    described = list(lut.LUTDescriptor)
    count, first = int(described[0]) or 1 << 16, int(described[1])
    data = lut.LUTData
    table = np.frombuffer(data, "<u2") if isinstance(data, bytes) else np.atleast_1d(np.asarray(data))
    if len(table) * 2 == count and int(described[2]) == 8:  # two 8-bit entries a word
        table = table.astype("<u2").view(np.uint8)
    if first >= 1 << 15 and stored.min() < 0:
        first -= 1 << 16
    return table[: max(count, 1)][np.clip(stored.astype(np.int64) - first, 0, min(count, len(table)) - 1)]
