"""Reading of a folder of DICOM files as one image, by pydicom.

Messages never quote patient data, descriptions, UIDs or paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom

from SlicerSynthReg.errors import ImageError, Suggestion
from SlicerSynthReg.io.dicom_files import (
    FolderScan,
    instance_number,
    integer,
    is_localiser,
    number,
    scan_folder,
    text,
    value,
    without_warnings,
    words,
)
from SlicerSynthReg.io.dicom_pixels import PixelReader, Pixels, modality_of, modality_warnings
from SlicerSynthReg.io.dicom_volumes import Volume, volumes_of
from SlicerSynthReg.io.raw_image import Frame, RawImage, check_memory, select_frames

_LISTED = 20
_SAME_GRID_MM = 0.01
_LESS_LIKELY = {"DERIVED", "P", "PHASE", "R", "REAL", "I", "IMAGINARY", "MPR", "MIP", "PROJECTION IMAGE"}


@dataclass(frozen=True)
class ReadOptions:
    """wanted: number or UID of a series. frame: time point, or "all". interpolate_gaps, max_bytes: as for
    io.read.read_image."""

    wanted: str | None = None
    frame: Frame = None
    interpolate_gaps: bool = False
    max_bytes: int | None = None


@without_warnings()
def read_dicom(folder: Path, options: ReadOptions) -> RawImage:
    """Read the only volume under `folder`, or `options.wanted`. With a frame, the time points of a series are frames of
    one image. Raises ImageError."""
    scan = scan_folder(folder)
    numbered = _numbered(scan)
    if options.frame is not None:
        points = _time_points(numbered, options.wanted)
        if points:
            return _read_frames(scan, points[select_frames(len(points), options.frame)], options)
        select_frames(1, options.frame)
    chosen = _chosen(numbered, options.wanted)
    left_out = _left_out(scan, chosen)
    try:
        raw = read_volume(chosen, options.interpolate_gaps, options.max_bytes)
    except ImageError as error:
        if error.code != "slice-spacing" or not left_out:
            raise
        raise ImageError(" ".join([error.text, *left_out]), error.suggestion, code=error.code) from None
    return replace(raw, warnings=(*raw.warnings, *left_out))


@without_warnings()
def series_volume(folder: Path, wanted: str | None = None) -> Volume:
    """Return the only volume under `folder`, or that of series `wanted`, without its pixels.

    Raises ImageError (dicom-missing, series-ambiguous, slice-duplicate, slice-positions, slice-position-missing).
    """
    scan = scan_folder(folder)
    chosen = _chosen(_numbered(scan), wanted)
    chosen.stack.require_line()
    _left_out(scan, chosen)
    return chosen


@without_warnings()
def read_volume(volume: Volume, interpolate_gaps: bool, max_bytes: int | None) -> RawImage:
    """Read the pixels of a volume. Raises ImageError (memory, slice-spacing, slice-duplicate, slice-positions,
    rescale-missing, voxel-type, photometric, decoding)."""
    stack, first = volume.stack, volume.slices[0].header
    stack.require_line()
    if not interpolate_gaps:
        stack.require_even()
    check_memory((*volume.slices[0].size, len(volume.slices)), 4, max_bytes)
    _require_rescale(volume)
    reader = PixelReader()
    pixels = [reader.read(one) for one in volume.slices]
    values, grid = np.stack([one.values for one in pixels], axis=-1), None
    warnings = [*volume.warnings, *modality_warnings(first), *_pixel_warnings(pixels), *stack.warnings()]
    if len(stack.odd_steps):
        warnings.append(f"Found uneven slice spacing: {stack.gaps()}; expected equal steps: interpolated linearly.")
        values, grid = stack.evenly(values)
    modalities = {modality_of(one.header) for one in volume.slices}
    modality = modalities.pop() if len(modalities) == 1 else ""
    series = number(first, "SeriesNumber")
    name = f"{text(first, 'Modality')[:16] or 'image'} series {'' if series is None else f'{series:g}'}".strip()
    return RawImage(values[..., None], grid or stack.grid(), name, modality, tuple(warnings))


def _require_rescale(volume: Volume) -> None:
    """Raise ImageError (rescale-missing) if some slices state a modality LUT or intercept and others do not."""
    stated = [
        number(one.header, "RescaleIntercept") is not None or value(one.header, "ModalityLUTSequence") is not None
        for one in volume.slices
    ]
    if any(stated) and not all(stated):
        instance = volume.slices[stated.index(False)].number
        raise ImageError(
            f"Found {stated.count(False)} of {len(stated)} slices without rescale slope and intercept (first: instance "
            f"{instance}), expected them in all or none. Export the series again.",
            code="rescale-missing",
        )


def _pixel_warnings(pixels: Sequence[Pixels]) -> list[str]:
    found = []
    padded = sum(int(one.padded.sum()) for one in pixels)
    if padded:
        share = 100 * padded / sum(one.padded.size for one in pixels)
        background = pixels[0].background
        read = "kept" if background is None else f"read as {background:g}{' HU (air)' if background else ''}"
        found.append(f"Found padding (PixelPaddingValue) in {share:.2g} % of the voxels, expected image: it is {read}.")
    if any(one.inverted for one in pixels):
        found.append("Found MONOCHROME1 (inverted grey scale), expected MONOCHROME2: the values are inverted.")
    return found


def _numbered(scan: FolderScan) -> dict[str, Volume]:
    """Return the volumes by series number; those that share one become 5.1, 5.2 and so on, in the order of their UIDs,
    which can identify a patient and are never shown, then of the tags that separate them."""
    volumes = volumes_of(scan.slices)
    if not volumes:
        raise _nothing_usable(scan)
    alike: dict[float, list[Volume]] = {}
    for volume in sorted(volumes, key=_series_uid):
        alike.setdefault(number(volume.slices[0].header, "SeriesNumber") or 0.0, []).append(volume)
    return {
        f"{series:g}" if len(group) == 1 else f"{series:g}.{n}": volume
        for series, group in sorted(alike.items())
        for n, volume in enumerate(group, start=1)
    }


def _series_uid(volume: Volume) -> str:
    return text(volume.slices[0].header, "SeriesInstanceUID")


def _nothing_usable(scan: FolderScan) -> ImageError:
    counts = dict(scan.others)
    if scan.unplaced:
        counts["DICOM images whose position, orientation or spacing is missing or damaged"] = len(scan.unplaced)
    found = ", ".join(f"{count} {what}" for what, count in counts.items()) or "no files"
    return ImageError(
        f"Found {found}, expected a folder with the slices of a DICOM series. Choose another folder; convert mosaic "
        "and multi-frame images without positions to NIfTI first (dcm2niix, or load and save in Slicer).",
        code="dicom-missing",
    )


def _chosen(numbered: dict[str, Volume], wanted: str | None) -> Volume:
    """Return the volume of that number or series UID, or the only one for None."""
    if wanted is None and len(numbered) == 1:
        return next(iter(numbered.values()))
    wanted = None if wanted is None else str(wanted)
    by_uid = {key: volume for key, volume in numbered.items() if _series_uid(volume) == wanted}
    if wanted in numbered and not by_uid:
        return numbered[wanted]
    if len(by_uid) == 1:
        return next(iter(by_uid.values()))
    raise _ambiguous(by_uid or numbered, "one" if wanted is None or by_uid else "one of these")


def _ambiguous(numbered: dict[str, Volume], expected: str) -> ImageError:
    series = len({_series_uid(volume) for volume in numbered.values()})
    what = f"{series} series" if series == len(numbered) else f"{len(numbered)} volumes in {series} series"
    described = [f"{key}: {_describe(volume)}" for key, volume in list(numbered.items())[:_LISTED]]
    if len(numbered) > _LISTED:
        described.append(f"and {len(numbered) - _LISTED} more")
    likely = max((key for key in numbered if numbered[key].sound), key=lambda k: _likelihood(numbered[k]), default=None)
    return ImageError(
        f"Found {what} ({'; '.join(described)}), expected {expected}. Keep one in the folder.",
        None if likely is None else Suggestion("series", likely, "choose one by its number in this list"),
        code="series-ambiguous",
    )


def _likelihood(volume: Volume) -> tuple[bool, bool, int]:
    """Return the rank of a volume as the one that is meant: original CT or MR with the most voxels."""
    first = volume.slices[0]
    usual = text(first.header, "Modality").upper() in ("CT", "MR")
    kind = {*words(first.header, "ImageType"), *words(first.header, "ComplexImageComponent")}
    return usual, not kind & _LESS_LIKELY, len(volume.slices) * first.size[0] * first.size[1]


def _describe(volume: Volume) -> str:
    first, count = volume.slices[0], len(volume.slices)
    parts = [
        f"{text(first.header, 'Modality')[:16] or '?'}, {count} slice{'s' if count != 1 else ''} of {first.size[0]} x "
        f"{first.size[1]}",
        *(f"{split.tag} {split.value}" for split in volume.separated),
        *(["localiser"] if volume.localiser else []),
        *(["uneven"] if not volume.localiser and not volume.stack.regular else []),
    ]
    return ", ".join(parts)


def _time_points(numbered: dict[str, Volume], wanted: str | None) -> list[Volume]:
    """Return the volumes on one grid that only times separate, of the series wanted or the only one; [] if there is
    just one volume. Raises ImageError (series-ambiguous)."""
    found = {
        key: volume
        for key, volume in numbered.items()
        if wanted is None or str(wanted) in (key, key.partition(".")[0], _series_uid(volume))
    }
    if len(found) < 2:
        return []
    volumes = list(found.values())
    grids = [volume.stack.grid() for volume in volumes if volume.stack.regular]
    temporal = all(any(split.temporal for split in volume.separated) for volume in volumes)
    others = {tuple(split for split in volume.separated if not split.temporal) for volume in volumes}
    alike = len(grids) == len(volumes) and all(grids[0].same_as(grid, _SAME_GRID_MM) for grid in grids)
    if not temporal or len(others) > 1 or not alike or len({_series_uid(volume) for volume in volumes}) > 1:
        raise _ambiguous(found, "one, or the time points of one")
    return volumes


def _read_frames(scan: FolderScan, volumes: list[Volume], options: ReadOptions) -> RawImage:
    header, left_out = volumes[0].slices[0], _left_out(scan, volumes[0])
    check_memory((*header.size, len(volumes[0].slices), len(volumes)), 4, options.max_bytes)
    frames = [read_volume(volume, options.interpolate_gaps, options.max_bytes) for volume in volumes]
    notes = dict.fromkeys(note for frame in frames for note in frame.warnings)
    values = np.concatenate([frame.values for frame in frames], axis=-1)
    return replace(frames[0], values=values, warnings=(*notes, *left_out))


def _left_out(scan: FolderScan, chosen: Volume) -> tuple[str, ...]:
    """Return warnings about what was ignored. Raises ImageError (slice-position-missing) for an image of the chosen
    series that has no usable position: a slice would be lost."""
    first = chosen.slices[0].header
    lost = [header for header in scan.unplaced if _belongs(header, first)]
    if lost:
        raise ImageError(
            f"Found {len(lost)} image{'s' if len(lost) > 1 else ''} of the series (instance "
            f"{instance_number(lost[0])}) whose position, orientation or spacing is missing or damaged, expected them "
            "in every slice. Export the series again, or move that file out of the folder.",
            code="slice-position-missing",
        )
    counts = dict(scan.others)
    if scan.unplaced:
        counts["DICOM images without a position"] = len(scan.unplaced)
    if not counts:
        return ()
    listing = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    return (f"Found {listing} in the folder, expected slices only: they were ignored.",)


def _belongs(header: pydicom.Dataset, first: pydicom.Dataset) -> bool:
    same = all(text(header, name) == text(first, name) for name in ("SeriesInstanceUID", "SOPClassUID"))
    size = all(integer(header, name, 0) == integer(first, name, 0) for name in ("Rows", "Columns"))
    return same and size and not is_localiser(header)
