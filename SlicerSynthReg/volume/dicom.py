"""A folder of DICOM slices -> one volume, by pydicom.

The grid comes from ImagePositionPatient, ImageOrientationPatient and PixelSpacing alone (DICOM PS3.3 C.7.6.2): index i
runs along a row, j along a column, k along the line of slice origins. A gantry tilt makes that line oblique to the
slices, hence a sheared grid, exact where other readers ignore the tilt. Messages never quote patient data, descriptions
or paths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.volume.lps import flip_affine
from SlicerSynthReg.volume.raster import Raster, placed_grid, require_memory
from SlicerSynthReg.volume.volume import VolumeError, WayOut

_SAME_PLACE_MM = 0.01
_UNEVEN = 0.05


def read_dicom(folder: Path, wanted: str | None, interpolate_gaps: bool, max_bytes: int | None) -> Raster:
    """The one image series under `folder`, or the one asked for; see read_volume for the options."""
    return read_slices(series_slices(folder, wanted), interpolate_gaps, max_bytes)


def read_slices(slices: list[pydicom.Dataset], interpolate_gaps: bool, max_bytes: int | None) -> Raster:
    """The pixels of headers that are in order (see `series_slices`) and still have their files."""
    first = slices[0]
    require_memory((first.Columns, first.Rows, len(slices)), 4, max_bytes)
    origins = np.array([[float(x) for x in s.ImagePositionPatient] for s in slices])
    along = origins @ _normal(first)
    gaps = _uneven_gaps(slices, along)
    if gaps and not interpolate_gaps:
        raise VolumeError(
            f"Found uneven slice spacing: {gaps}; expected equal steps. Fetch the missing slices.",
            WayOut("interpolate_gaps", True, "fill in linearly between the slices there are (not for label maps)"),
        )
    values = np.stack([_pixels(s) for s in slices], axis=-1)
    if gaps:
        values, origins = _evenly(values, origins, along)
    grid = slices_grid(first, origins)
    name = f"{first.get('Modality', 'image')} series {first.get('SeriesNumber', '')}".strip()
    return Raster(values[..., None], grid, name)


def series_slices(folder: Path, wanted: str | None = None) -> list[pydicom.Dataset]:
    """Headers of the one image series under `folder`, or of the one asked for, in order along the slices' normal.

    Errors: VolumeError for several series, for kinds of slice in one, for two slices at one place."""
    return in_order(_chosen(_series_under(folder), wanted))


def in_order(headers: list[pydicom.Dataset]) -> list[pydicom.Dataset]:
    """Slices along their normal, each instance once. VolumeError unless they are one kind of slice, one at a place."""
    return _sorted(_without_copies(headers))


def _series_under(folder: Path) -> dict[str, list[pydicom.Dataset]]:
    """Series UID -> headers of its slices; files that are no DICOM images with a position are passed over."""
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
        raise VolumeError(
            f"Found {found}, expected a folder with the slices of a DICOM series, one file a slice. Choose another "
            "folder; convert multi-frame images to NIfTI first (dcm2niix, or load and save in Slicer)."
        )
    return series


def _chosen(series: dict[str, list[pydicom.Dataset]], wanted: str | None) -> list[pydicom.Dataset]:
    """The series of that number or UID; the only one where none is asked for."""
    if wanted is None and len(series) == 1:
        return next(iter(series.values()))
    numbered = _numbered(series)
    found = series.get(str(wanted)) or numbered.get(str(wanted))
    if found:
        return found
    listing = "; ".join(f"{number}: {_described(headers)}" for number, headers in numbered.items())
    raise VolumeError(
        f"Found {len(series)} series ({listing}), expected {'one' if wanted is None else 'the one asked for'}. "
        "Keep one in the folder.",
        WayOut("series", next(iter(numbered)), "choose one by its number in this list"),
    )


def _numbered(series: dict[str, list[pydicom.Dataset]]) -> dict[str, list[pydicom.Dataset]]:
    """By series number; where several series share one, 5.1, 5.2 and so on in the order of their UIDs.

    UIDs lead to a patient, so no message shows them.
    """
    alike: dict[str, list[str]] = {}
    for uid in sorted(series):
        alike.setdefault(str(series[uid][0].get("SeriesNumber") or 0), []).append(uid)
    return {
        number if len(uids) == 1 else f"{number}.{place}": series[uid]
        for number, uids in sorted(alike.items(), key=lambda item: float(item[0]))
        for place, uid in enumerate(uids, start=1)
    }


def _described(headers: list[pydicom.Dataset]) -> str:
    first = headers[0]
    localiser = ", localiser" if all(is_localiser(h) for h in headers) else ""
    return f"{first.get('Modality', '?')}, {len(headers)} slices of {first.Columns} x {first.Rows}{localiser}"


def is_localiser(header: pydicom.Dataset) -> bool:
    return "LOCALIZER" in str(header.get("ImageType", "")).upper()


def _without_copies(slices: list[pydicom.Dataset]) -> list[pydicom.Dataset]:
    """The same instance stored twice counts once."""
    return list({str(s.get("SOPInstanceUID", index)): s for index, s in enumerate(slices)}.values())


def _orientation(header: pydicom.Dataset) -> np.ndarray:
    """(2, 3) unit vectors (LPS) along a row (increasing column) and down a column."""
    return np.array([float(x) for x in header.ImageOrientationPatient]).reshape(2, 3)


def _normal(header: pydicom.Dataset) -> np.ndarray:
    row, column = _orientation(header)
    return np.cross(row, column)


def _sorted(slices: list[pydicom.Dataset]) -> list[pydicom.Dataset]:
    """In order along the normal, once size, orientation and places are known to be consistent."""
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
        listing = "; ".join(_described(group) for group in kinds.values())
        raise VolumeError(
            f"Found {len(kinds)} kinds of slice in one series ({listing}) that differ in size, spacing or orientation, "
            "expected one. Move localisers and other slices out of the folder."
        )
    normal = _normal(slices[0])
    ordered = sorted(slices, key=lambda s: float(np.dot(np.asarray(s.ImagePositionPatient, dtype=float), normal)))
    along = np.array([np.dot(np.asarray(s.ImagePositionPatient, dtype=float), normal) for s in ordered])
    places = 1 + int((np.diff(along) > _SAME_PLACE_MM).sum())
    if places < len(ordered):
        at = int(np.argmax(np.diff(along) <= _SAME_PLACE_MM))
        raise VolumeError(
            f"Found {len(ordered)} slices at {places} places (instances {_number(ordered[at])} and "
            f"{_number(ordered[at + 1])} both at {along[at]:.2f} mm), expected one slice a place. The series holds "
            "several time points, echoes or b-values, or slices twice: keep one set in the folder."
        )
    return ordered


def _number(header: pydicom.Dataset) -> str:
    return str(header.get("InstanceNumber", "?"))


def _uneven_gaps(slices: Sequence[pydicom.Dataset], along: np.ndarray) -> str:
    """Words for the steps that differ from the usual one; empty when all are equal."""
    steps = np.diff(along)
    if not len(steps):
        return ""
    usual = float(np.median(steps))
    odd = np.flatnonzero(np.abs(steps - usual) > _UNEVEN * usual)
    if not len(odd):
        return ""
    words = [
        f"{steps[k]:.2f} mm between slices {k + 1} and {k + 2} (instances {_number(slices[k])} and "
        f"{_number(slices[k + 1])}, at {along[k]:.1f} and {along[k + 1]:.1f} mm)"
        for k in odd[:3]
    ]
    more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
    return f"{'; '.join(words)}{more}, usually {usual:.2f} mm ({len(slices)} slices)"


def _evenly(values: np.ndarray, origins: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(I, J, K) at uneven origins -> the same span at even steps of the lower quartile of the present steps."""
    step = float(np.percentile(np.diff(along), 25))
    count = max(int(round((along[-1] - along[0]) / step)) + 1, 2)
    wanted = np.linspace(along[0], along[-1], count)
    upper = np.clip(np.searchsorted(along, wanted), 1, len(along) - 1)
    weight = ((wanted - along[upper - 1]) / (along[upper] - along[upper - 1])).astype(np.float32)
    filled = values[..., upper - 1] * (1 - weight) + values[..., upper] * weight
    even = np.stack([np.interp(wanted, along, origins[:, axis]) for axis in range(3)], axis=1)
    return filled, even


def slices_grid(first: pydicom.Dataset, origins: np.ndarray) -> Grid:
    """Where evenly spaced slices lie, from the header of the first and their origins (N, 3) LPS mm."""
    down, across = (float(x) for x in first.PixelSpacing)
    row, column = _orientation(first)
    step = float(first.get("SpacingBetweenSlices") or first.get("SliceThickness") or 1.0) * _normal(first)
    if len(origins) > 1:
        step = (origins[-1] - origins[0]) / (len(origins) - 1)
    off_line = np.abs(origins - origins[0] - np.arange(len(origins))[:, None] * step).max()
    if off_line > max(_UNEVEN * float(np.linalg.norm(step)), 0.1):
        raise VolumeError(
            f"Found slice origins up to {off_line:.2f} mm off a straight, even line, expected a stack. The slices come "
            "from different acquisitions: keep one of them in the folder."
        )
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2], lps[:3, 3] = row * across, column * down, step, origins[0]
    return placed_grid((int(first.Columns), int(first.Rows), len(origins)), flip_affine(lps))


def _pixels(header: pydicom.Dataset) -> np.ndarray:
    """(I, J) float32 of one slice, its own slope and intercept applied."""
    if int(header.get("SamplesPerPixel", 1)) != 1:
        raise VolumeError("Found colour slices, expected grey values. Choose the original series.")
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
    """For compressed slices that pydicom cannot decode without further packages; slope and intercept are applied."""
    try:
        image = sitk.ReadImage(str(header.filename), sitk.sitkFloat32, imageIO="GDCMImageIO")
    except RuntimeError:
        raise _damaged(header, header.file_meta.TransferSyntaxUID.name) from None
    array = sitk.GetArrayFromImage(image)
    return np.asarray(array.reshape(array.shape[-2:]).T)


def _damaged(header: pydicom.Dataset, detail: str) -> VolumeError:
    return VolumeError(
        f"Found pixels of slice instance {_number(header)} that cannot be decoded ({detail}), expected a whole image. "
        "The file is truncated or damaged: export the series again."
    )
