"""Headers of the DICOM files in a folder, as slices with a position. No bytes of a file raise anything but ImageError.

Classic files hold one slice; a frame of an enhanced multi-frame file becomes a slice whose functional groups (PS3.3
C.7.6.16) are laid out as the tags of a classic header.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

_MAX_COSINE_ERROR = 0.01
"""Deviation of direction cosines from unit length and right angles, above which they are damaged."""
_NOT_IMAGES = {
    "SEG": "segmentations", "RTSTRUCT": "RT structure sets", "RTDOSE": "RT doses", "RTPLAN": "RT plans",
    "SR": "dose or other structured reports", "PR": "presentation states", "KO": "key object selections",
    "DOC": "documents",
    "REG": "registrations", "M3D": "models", "PMAP": "parametric maps", "RWV": "real-world value maps",
}  # fmt: skip
NO_DICOM = "files that are not DICOM"
DAMAGED = "damaged DICOM files"


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice. header: tags without pixels. frame: number from 0 in a multi-frame file, None in a classic one.
    origin (3), axes (2, 3) unit vectors along a row and down a column: LPS mm. spacing: mm between rows, columns. size:
    columns, rows."""

    header: pydicom.Dataset
    path: Path
    frame: int | None
    origin: np.ndarray
    axes: np.ndarray
    spacing: tuple[float, float]
    size: tuple[int, int]

    @property
    def normal(self) -> np.ndarray:
        """Unit normal of the slice, LPS."""
        return np.cross(self.axes[0], self.axes[1])

    @property
    def number(self) -> str:
        """Instance number, with that of the frame."""
        return instance_number(self.header) + (f" frame {self.frame + 1}" if self.frame is not None else "")


@dataclass(eq=False)
class FolderScan:
    """slices: with a position. unplaced: headers of images whose position, orientation or spacing is missing or
    damaged. others: what else the folder holds -> count."""

    slices: list[Slice] = field(default_factory=list)
    unplaced: list[pydicom.Dataset] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def scan_folder(folder: Path) -> FolderScan:
    """Return the slices in `folder` and its subfolders."""
    scan = FolderScan()
    for path in sorted(p for p in folder.rglob("*") if _is_file(p)):
        _add(scan, path)
    return scan


@contextmanager
def without_warnings() -> Iterator[None]:
    """Silence pydicom, whose warnings quote the values of tags: for a `with` statement or as decorator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _is_file(path: Path) -> bool:
    try:
        return path.is_file() and path.name.upper() != "DICOMDIR" and not path.name.startswith("._")
    except OSError:
        return False


def _add(scan: FolderScan, path: Path) -> None:
    if not _looks_like_dicom(path):
        scan.others[NO_DICOM] += 1
        return
    try:
        header = read_header(path)
        kind = _other_kind(header)
        found = [] if kind else list(_slices(header, path))
    except Exception:  # pydicom raises many types for damaged files, with the values of tags in them
        scan.others[DAMAGED] += 1
        return
    if kind:
        scan.others[kind] += 1
    elif found:
        scan.slices += found
    elif integer(header, "NumberOfFrames", 1) > 1 or "PerFrameFunctionalGroupsSequence" in header:
        scan.others["multi-frame images without the position of each frame"] += 1
    else:
        scan.unplaced.append(header)


def _looks_like_dicom(path: Path) -> bool:
    """Return whether the file has the prefix DICM, or begins with an element of group 2 or 8 where the preamble is
    missing."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(132)
    except OSError:
        return False
    return start[128:] == b"DICM" or (len(start) > 8 and start[:2] in (b"\2\0", b"\x08\0", b"\0\x08"))


def read_header(path: Path, with_pixels: bool = False) -> pydicom.Dataset:
    """Return a DICOM file with or without preamble. Raises any exception for a damaged file."""
    return pydicom.dcmread(path, stop_before_pixels=not with_pixels, force=True)


def _other_kind(header: pydicom.Dataset) -> str:
    """Return what a DICOM object is that holds no slices, or ""."""
    modality = text(header, "Modality").upper()
    if modality in _NOT_IMAGES:
        return _NOT_IMAGES[modality]
    if "MOSAIC" in words(header, "ImageType"):
        return "Siemens mosaic images"
    uid = header.get("SOPClassUID")
    name = str(uid.name) if isinstance(uid, pydicom.uid.UID) and uid.is_valid else ""
    if "Encapsulated" in name or "Secondary Capture" in name and "ImagePositionPatient" not in header:
        return "documents" if "Encapsulated" in name else "screen captures"
    if integer(header, "Rows", 0) < 1 or integer(header, "Columns", 0) < 1:
        return "DICOM objects without an image" if uid else DAMAGED
    return ""


def _slices(header: pydicom.Dataset, path: Path) -> Iterator[Slice]:
    frames = header.get("PerFrameFunctionalGroupsSequence")
    if not frames:
        one = _slice(header, path, None) if integer(header, "NumberOfFrames", 1) <= 1 else None
        if one is not None:
            yield one
        return
    common = pydicom.Dataset()
    common.update({e.tag: e for e in header if e.VR != "SQ"})
    if hasattr(header, "file_meta"):
        common.file_meta = header.file_meta
    shared = header.get("SharedFunctionalGroupsSequence")
    for item in shared or []:
        _flatten(item, common)
    found = []
    for number, item in enumerate(frames):
        frame = pydicom.Dataset()
        frame.update(common)
        _flatten(item, frame)
        if "FrameAcquisitionNumber" in frame:
            frame.AcquisitionNumber = frame.FrameAcquisitionNumber
        if "FrameType" in frame:
            frame.ImageType = frame.FrameType
        found.append(_slice(frame, path, number))
    if all(one is not None for one in found) and len(found) == integer(header, "NumberOfFrames", len(found)):
        yield from (one for one in found if one is not None)


def _flatten(groups: pydicom.Dataset, into: pydicom.Dataset) -> None:
    """Copy the elements of each functional group with one item into `into`."""
    for group in groups:
        if group.VR != "SQ" or not group.value or "Referenced" in group.keyword or "Derivation" in group.keyword:
            continue
        for element in group.value[0]:
            if element.VR != "SQ":
                into[element.tag] = element
            elif element.keyword == "DiffusionGradientDirectionSequence" and element.value:
                into.update({e.tag: e for e in element.value[0]})


def _slice(header: pydicom.Dataset, path: Path, frame: int | None) -> Slice | None:
    """Return the slice, or None if its position, orientation or spacing is missing or damaged."""
    origin = numbers(header, "ImagePositionPatient", 3)
    cosines = numbers(header, "ImageOrientationPatient", 6)
    spacing = numbers(header, "PixelSpacing", 2)
    if origin is None or cosines is None or spacing is None or min(spacing) <= 0:
        return None
    row, column = np.array(cosines).reshape(2, 3)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(n - 1) for n in lengths) > _MAX_COSINE_ERROR or abs(row @ column) > _MAX_COSINE_ERROR:
        return None
    row = row / lengths[0]
    column = column - row * (row @ column)
    axes = np.stack([row, column / np.linalg.norm(column)])
    size = integer(header, "Columns", 0), integer(header, "Rows", 0)
    return Slice(header, path, frame, np.array(origin), axes, (spacing[0], spacing[1]), size)


def value(header: pydicom.Dataset, name: str) -> Any:
    """Return the value of a tag; None if it is absent, empty or damaged."""
    try:
        found = header.get(name)
    except Exception:  # values are converted when they are asked for, and fail in many ways
        return None
    return None if found is None or (hasattr(found, "__len__") and len(found) == 0) else found


def numbers(header: pydicom.Dataset, name: str, count: int) -> tuple[float, ...] | None:
    """Return `count` finite numbers; None if the tag holds anything else."""
    found = value(header, name)
    if found is None:
        return None
    try:
        items = [found] if isinstance(found, (str, bytes, int, float)) else list(found)
        values = tuple(float(item) for item in items)
    except (TypeError, ValueError, OverflowError):
        return None
    return values if len(values) == count and all(math.isfinite(v) and abs(v) < 1e7 for v in values) else None


def number(header: pydicom.Dataset, name: str) -> float | None:
    """Return one finite number, or None."""
    found = numbers(header, name, 1)
    return None if found is None else found[0]


def integer(header: pydicom.Dataset, name: str, default: int) -> int:
    """Return a whole number, or `default`."""
    found = number(header, name)
    return default if found is None else int(found)


def text(header: pydicom.Dataset, name: str) -> str:
    """Return a value as text; "" if absent."""
    found = value(header, name)
    try:
        return "" if found is None else str(found).strip()
    except Exception:  # as for `value`
        return ""


def words(header: pydicom.Dataset, name: str) -> tuple[str, ...]:
    """Return the values of a text tag in upper case."""
    found = value(header, name)
    if found is None:
        return ()
    items = [found] if isinstance(found, (str, bytes)) or not hasattr(found, "__iter__") else found
    return tuple(str(item).strip().upper() for item in items)


def instance_number(header: pydicom.Dataset) -> str:
    """Return the instance number for messages, "?" if unknown."""
    found = number(header, "InstanceNumber")
    return "?" if found is None else f"{found:g}"


def is_localiser(header: pydicom.Dataset) -> bool:
    """Return whether the image is a localiser (scout)."""
    return "LOCALIZER" in words(header, "ImageType")
