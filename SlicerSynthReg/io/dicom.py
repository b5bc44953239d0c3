"""Reading of a folder of DICOM slices as one image, by pydicom.

The grid is that of ImagePositionPatient, ImageOrientationPatient and PixelSpacing (DICOM PS3.3 C.7.6.2): index i along
a row, j along a column, k along the line of slice origins. With gantry tilt that line is oblique to the slices, and the
grid sheared. Messages never quote patient data, descriptions or paths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from SlicerSynthReg.errors import ImageError, Suggestion
from SlicerSynthReg.io.lps import flip_affine
from SlicerSynthReg.io.raw_image import RawImage, check_memory, header_grid
from SlicerSynthReg.spatial.grid import Grid

_SAME_POSITION_MM = 0.01
_SPACING_TOLERANCE = 0.05
"""Relative deviation of a slice distance from the median."""


def read_dicom(folder: Path, wanted: str | None, interpolate_gaps: bool, max_bytes: int | None) -> RawImage:
    """Read the only image series under `folder`, or series `wanted`; options as for io.read.read_image."""
    return read_slices(series_slices(folder, wanted), interpolate_gaps, max_bytes)


def read_slices(slices: list[pydicom.Dataset], interpolate_gaps: bool, max_bytes: int | None) -> RawImage:
    """Read the pixels of sorted headers (see `series_slices`). Raises ImageError (memory, slice-spacing, decoding)."""
    first = slices[0]
    check_memory((first.Columns, first.Rows, len(slices)), 4, max_bytes)
    origins = np.array([[float(x) for x in s.ImagePositionPatient] for s in slices])
    along = origins @ _normal(first)
    gaps = _uneven_gaps(slices, along)
    if gaps and not interpolate_gaps:
        raise ImageError(
            f"Found uneven slice spacing: {gaps}; expected equal steps. Fetch the missing slices.",
            Suggestion("interpolate_gaps", True, "interpolate linearly between the slices (not for label maps)"),
            code="slice-spacing",
        )
    values = np.stack([_pixels(s) for s in slices], axis=-1)
    if gaps:
        values, origins = _interpolate_evenly(values, origins, along)
    grid = slices_grid(first, origins)
    name = f"{first.get('Modality', 'image')} series {first.get('SeriesNumber', '')}".strip()
    return RawImage(values[..., None], grid, name)


def series_slices(folder: Path, wanted: str | None = None) -> list[pydicom.Dataset]:
    """Return the headers of the only image series under `folder`, or of series `wanted`, sorted along the slice normal.

    Raises ImageError (dicom-missing, series-ambiguous, series-inconsistent, slice-duplicate).
    """
    return sort_slices(_chosen(_series_under(folder), wanted))


def sort_slices(headers: list[pydicom.Dataset]) -> list[pydicom.Dataset]:
    """Return slices sorted along their normal, each instance once. Raises ImageError (series-inconsistent,
    slice-duplicate)."""
    return _sorted(_without_copies(headers))


def _series_under(folder: Path) -> dict[str, list[pydicom.Dataset]]:
    """Return series UID -> headers of its slices; files that are no DICOM images with a position are skipped."""
    series: dict[str, list[pydicom.Dataset]] = {}
    others: Counter[str] = Counter()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True)
        except (pydicom.errors.InvalidDicomError, OSError, ValueError, EOFError, AttributeError, KeyError):
            others["files that are not DICOM"] += 1
            continue
        if int(header.get("NumberOfFrames") or 1) > 1:
            others["multi-frame (enhanced) images"] += 1
        elif all(tag in header for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows")):
            series.setdefault(str(header.get("SeriesInstanceUID", "unnamed")), []).append(header)
        else:
            others["DICOM files without an image position"] += 1
    if not series:
        found = ", ".join(f"{count} {what}" for what, count in others.items()) or "no files"
        raise ImageError(
            f"Found {found}, expected a folder with the slices of a DICOM series, one file a slice. Choose another "
            "folder; convert multi-frame images to NIfTI first (dcm2niix, or load and save in Slicer).",
            code="dicom-missing",
        )
    return series


def _chosen(series: dict[str, list[pydicom.Dataset]], wanted: str | None) -> list[pydicom.Dataset]:
    """Return the series of that number or UID, or the only one for None."""
    if wanted is None and len(series) == 1:
        return next(iter(series.values()))
    numbered = _numbered(series)
    found = series.get(str(wanted)) or numbered.get(str(wanted))
    if found:
        return found
    listing = "; ".join(f"{number}: {_describe(headers)}" for number, headers in numbered.items())
    raise ImageError(
        f"Found {len(series)} series ({listing}), expected {'one' if wanted is None else 'one of these'}. "
        "Keep one in the folder.",
        Suggestion("series", next(iter(numbered)), "choose one by its number in this list"),
        code="series-ambiguous",
    )


def _numbered(series: dict[str, list[pydicom.Dataset]]) -> dict[str, list[pydicom.Dataset]]:
    """Return the series by number; series that share one become 5.1, 5.2 and so on in the order of their UIDs, which
    can identify a patient and are never shown."""
    alike: dict[str, list[str]] = {}
    for uid in sorted(series):
        alike.setdefault(str(series[uid][0].get("SeriesNumber") or 0), []).append(uid)
    return {
        number if len(uids) == 1 else f"{number}.{n}": series[uid]
        for number, uids in sorted(alike.items(), key=lambda item: float(item[0]))
        for n, uid in enumerate(uids, start=1)
    }


def _describe(headers: list[pydicom.Dataset]) -> str:
    first = headers[0]
    localiser = ", localiser" if all(is_localiser(h) for h in headers) else ""
    return f"{first.get('Modality', '?')}, {len(headers)} slices of {first.Columns} x {first.Rows}{localiser}"


def is_localiser(header: pydicom.Dataset) -> bool:
    """Return whether the image is a localiser (scout)."""
    return "LOCALIZER" in str(header.get("ImageType", "")).upper()


def _without_copies(slices: list[pydicom.Dataset]) -> list[pydicom.Dataset]:
    """Return each instance once."""
    return list({str(s.get("SOPInstanceUID", index)): s for index, s in enumerate(slices)}.values())


def _orientation(header: pydicom.Dataset) -> np.ndarray:
    """Return (2, 3) unit vectors (LPS) along a row (increasing column) and down a column."""
    return np.array([float(x) for x in header.ImageOrientationPatient]).reshape(2, 3)


def _normal(header: pydicom.Dataset) -> np.ndarray:
    row, column = _orientation(header)
    return np.cross(row, column)


def _sorted(slices: list[pydicom.Dataset]) -> list[pydicom.Dataset]:
    """Check size, orientation and positions, and sort along the normal."""
    kinds: dict[tuple[object, ...], list[pydicom.Dataset]] = {}
    for header in slices:
        key = (
            int(header.Rows),
            int(header.Columns),
            *np.round(np.asarray(header.PixelSpacing, dtype=float), 4).tolist(),
            *(np.round(_orientation(header), 3).ravel() + 0.0).tolist(),
        )
        kinds.setdefault(key, []).append(header)
    if len(kinds) > 1:
        listing = "; ".join(_describe(group) for group in kinds.values())
        raise ImageError(
            f"Found {len(kinds)} kinds of slice in one series ({listing}) that differ in size, spacing or orientation, "
            "expected one. Move localisers and other slices out of the folder.",
            code="series-inconsistent",
        )
    normal = _normal(slices[0])
    ordered = sorted(slices, key=lambda s: float(np.dot(np.asarray(s.ImagePositionPatient, dtype=float), normal)))
    along = np.array([np.dot(np.asarray(s.ImagePositionPatient, dtype=float), normal) for s in ordered])
    positions = 1 + int((np.diff(along) > _SAME_POSITION_MM).sum())
    if positions < len(ordered):
        at = int(np.argmax(np.diff(along) <= _SAME_POSITION_MM))
        raise ImageError(
            f"Found {len(ordered)} slices at {positions} positions (instances {_number(ordered[at])} and "
            f"{_number(ordered[at + 1])} both at {along[at]:.2f} mm), expected one slice per position. The series "
            "holds several time points, echoes or b-values, or slices twice: keep one set in the folder.",
            code="slice-duplicate",
        )
    return ordered


def _number(header: pydicom.Dataset) -> str:
    return str(header.get("InstanceNumber", "?"))


def _uneven_gaps(slices: Sequence[pydicom.Dataset], along: np.ndarray) -> str:
    """Describe the slice distances that differ from the median; "" if none does."""
    steps = np.diff(along)
    if not len(steps):
        return ""
    median = float(np.median(steps))
    odd = np.flatnonzero(np.abs(steps - median) > _SPACING_TOLERANCE * median)
    if not len(odd):
        return ""
    words = [
        f"{steps[k]:.2f} mm between slices {k + 1} and {k + 2} (instances {_number(slices[k])} and "
        f"{_number(slices[k + 1])}, at {along[k]:.1f} and {along[k + 1]:.1f} mm)"
        for k in odd[:3]
    ]
    more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
    return f"{'; '.join(words)}{more}, median {median:.2f} mm ({len(slices)} slices)"


def _interpolate_evenly(values: np.ndarray, origins: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values (I, J, K) and origins interpolated at even distances, the lower quartile of the present ones."""
    step = float(np.percentile(np.diff(along), 25))
    count = max(int(round((along[-1] - along[0]) / step)) + 1, 2)
    wanted = np.linspace(along[0], along[-1], count)
    upper = np.clip(np.searchsorted(along, wanted), 1, len(along) - 1)
    weight = ((wanted - along[upper - 1]) / (along[upper] - along[upper - 1])).astype(np.float32)
    filled = values[..., upper - 1] * (1 - weight) + values[..., upper] * weight
    even = np.stack([np.interp(wanted, along, origins[:, axis]) for axis in range(3)], axis=1)
    return filled, even


def slices_grid(first: pydicom.Dataset, origins: np.ndarray) -> Grid:
    """Return the grid of evenly spaced slices from the first header and the origins (N, 3) in LPS mm. Raises ImageError
    (slice-positions)."""
    down, across = (float(x) for x in first.PixelSpacing)
    row, column = _orientation(first)
    step = float(first.get("SpacingBetweenSlices") or first.get("SliceThickness") or 1.0) * _normal(first)
    if len(origins) > 1:
        step = (origins[-1] - origins[0]) / (len(origins) - 1)
    off_line = np.abs(origins - origins[0] - np.arange(len(origins))[:, None] * step).max()
    if off_line > max(_SPACING_TOLERANCE * float(np.linalg.norm(step)), 0.1):
        raise ImageError(
            f"Found slice origins up to {off_line:.2f} mm off a straight, even line, expected a stack. The slices come "
            "from different acquisitions: keep one of them in the folder.",
            code="slice-positions",
        )
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2], lps[:3, 3] = row * across, column * down, step, origins[0]
    return header_grid((int(first.Columns), int(first.Rows), len(origins)), flip_affine(lps))


def _pixels(header: pydicom.Dataset) -> np.ndarray:
    """Return one slice, (I, J) float32, with its slope and intercept applied."""
    if int(header.get("SamplesPerPixel", 1)) != 1:
        raise ImageError("Found colour slices, expected grey values. Choose the original series.", code="voxel-type")
    try:
        full = pydicom.dcmread(header.filename)
        slope = float(full.get("RescaleSlope") or 1.0)
        stored = full.pixel_array.astype(np.float32) * slope + float(full.get("RescaleIntercept") or 0.0)
    except (RuntimeError, NotImplementedError):
        return _pixels_by_itk(header)
    except Exception as error:  # pydicom raises many types for damaged files, with paths in them
        raise _damaged(header, type(error).__name__) from None
    return np.asarray(stored.T)


def _pixels_by_itk(header: pydicom.Dataset) -> np.ndarray:
    """Read a compressed slice that pydicom cannot decode without further packages; slope and intercept applied."""
    try:
        image = sitk.ReadImage(str(header.filename), sitk.sitkFloat32, imageIO="GDCMImageIO")
    except RuntimeError:
        raise _damaged(header, header.file_meta.TransferSyntaxUID.name) from None
    array = sitk.GetArrayFromImage(image)
    return np.asarray(array.reshape(array.shape[-2:]).T)


def _damaged(header: pydicom.Dataset, detail: str) -> ImageError:
    return ImageError(
        f"Found pixels of slice instance {_number(header)} that cannot be decoded ({detail}), expected a complete "
        "image. The file is truncated or damaged: export the series again.",
        code="decoding",
    )
