"""CT series in a folder of DICOM files: usable series, contrast phase from their headers, and why others are excluded.

Messages contain no patient names, descriptions or paths; series are named by their number.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.dicom import is_localiser, read_slices, series_slices, sort_slices
from SlicerSynthReg.io.image import Image

MIN_SLICES = 12
_REQUIRED_TAGS = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows")
_PHASE_WORDS = {
    "native": r"NATIV\w*|NON[ -]?(CONTRAST|CE)|NCCT|UNENHANCED|PLAIN|WITHOUT|W/O|WO CONTRAST|SANS|OHNE|PRE[ -]?KM",
    "arterial": r"ART(ERIAL|ERIELL?E?)?|CTA|ANGIO\w*",
    "portal venous or late": r"PORTAL\w*|VEN(OUS|OES|EUX)?|PV|PVP|DELAY\w*|LATE|EXCRET\w*|SPAET\w*|SPÄT\w*|NEPHRO\w*",
}
_DUAL_ENERGY_WORDS = r"DUAL|DECT|GSI|MONO ?\+?|VNC|VIRTUAL|IODINE|KEV|SPECTRAL|ZEFF"


@dataclass(frozen=True, eq=False)
class CTSeries:
    """headers: slices in order. number: series number, for messages. patient: hash of the patient. study, frame: UIDs
    of study and frame of reference. phase: contrast phase according to the tags, "" if unknown. dual_energy: whether
    the tags state dual energy."""

    headers: list[pydicom.Dataset]
    number: str
    patient: str
    study: str
    frame: str
    phase: str
    dual_energy: bool

    @property
    def thickness(self) -> float:
        """Slice thickness in mm; 0 if unknown."""
        return float(self.headers[0].get("SliceThickness") or 0.0)

    @property
    def tilt_degrees(self) -> float:
        """Angle between the slice normal and the line of slice origins (gantry tilt)."""
        first, last = (np.asarray(h.ImagePositionPatient, dtype=float) for h in (self.headers[0], self.headers[-1]))
        row, column = np.asarray(self.headers[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
        line = (last - first) / max(float(np.linalg.norm(last - first)), 1e-6)
        return float(np.degrees(np.arccos(np.clip(abs(line @ np.cross(row, column)), 0.0, 1.0))))

    def read(self, interpolate_gaps: bool = False) -> Image:
        """Return the image in HU. Raises ImageError (slice-spacing, decoding)."""
        return read_slices(self.headers, interpolate_gaps, None).as_image("scalar", None, False)


def find_ct_series(folder: Path) -> tuple[list[CTSeries], list[str]]:
    """Return all usable CT series under `folder`, and descriptions of what was excluded.

    Localisers are removed from their series; acquisitions at the same positions are split.
    """
    groups: dict[tuple[str, ...], list[pydicom.Dataset]] = {}
    excluded: Counter[str] = Counter()
    for header in _headers(folder, excluded):
        reason = _exclusion_reason(header)
        if reason:
            excluded[reason] += 1
            continue
        kind = np.round(np.asarray(header.ImageOrientationPatient, dtype=float), 2) + 0.0
        key = (str(header.get("SeriesInstanceUID")), str(kind), f"{header.Rows} {header.Columns}")
        groups.setdefault(key, []).append(header)
    series = []
    descriptions = [f"{count} {what}" for what, count in excluded.items()]
    for headers in groups.values():
        for part in _acquisitions(headers):
            number = str(part[0].get("SeriesNumber") or 0)
            if len(part) < MIN_SLICES:
                descriptions.append(f"series {number}: {len(part)} slices, fewer than {MIN_SLICES}")
                continue
            try:
                series.append(_describe(sort_slices(part), number))
            except ImageError as error:
                descriptions.append(f"series {number}: {error.text}")
    return series, descriptions


@dataclass(frozen=True)
class SeriesCheck:
    """phase: according to the tags "native", "arterial", "portal venous or late", or "" if unknown. warnings: found,
    expected, remedy."""

    phase: str
    warnings: tuple[str, ...]


def check_ct_series(folder: Path, series: str | None = None) -> SeriesCheck:
    """Check the headers of a DICOM series for its use as CT in HU (metrics.ct_check checks the voxels).

    series: as for io.read.read_image. Raises ImageError (modality, series-ambiguous, series-inconsistent).
    """
    headers = series_slices(Path(folder), series)
    first = headers[0]
    modality = str(first.get("Modality", "?"))
    if modality != "CT":
        raise ImageError(f"Found a series of modality {modality}, expected CT. Choose the CT series.", code="modality")
    description = _describe(headers, str(first.get("SeriesNumber") or 0))
    warnings = []
    if description.dual_energy:
        warnings.append(
            "Found a dual-energy reconstruction, expected single-energy CT: no model was trained on its values. Choose "
            "the standard reconstruction."
        )
    unit = str(first.get("RescaleType", "HU")).strip().upper()
    if unit not in ("HU", ""):
        warnings.append(f"Found values in the unit {unit[:16]}, expected HU. Choose the standard reconstruction.")
    if "DERIVED" in [str(word).upper() for word in first.get("ImageType", [])]:
        warnings.append(
            "Found a derived series, expected an original reconstruction: it may be synthetic itself. Choose the "
            "original."
        )
    return SeriesCheck(description.phase, tuple(warnings))


def _headers(folder: Path, excluded: Counter[str]) -> Iterator[pydicom.Dataset]:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            yield pydicom.dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, OSError, ValueError, EOFError, AttributeError, KeyError):
            excluded["files that are not DICOM"] += 1


def _exclusion_reason(header: pydicom.Dataset) -> str:
    """Return why this instance is not a usable slice, or ""."""
    modality = str(header.get("Modality", "?"))
    if modality == "SR" or "DOSE" in str(header.get("SOPClassUID", pydicom.uid.UID("")).name).upper():
        return "dose or other structured reports"
    if modality != "CT":
        return f"images or objects of modality {modality}"
    if is_localiser(header):
        return "localiser images"
    if int(header.get("NumberOfFrames") or 1) > 1:
        return "multi-frame (enhanced) images"
    if any(name not in header for name in _REQUIRED_TAGS):
        return "CT images without a position (screen captures, dose pages)"
    kind = {str(word).upper() for word in header.get("ImageType", [])}
    if kind & {"MIP", "MINIP", "MPR", "VRT", "SSD", "PROJECTION IMAGE", "CSA MPR"}:
        return "reformatted or projected images"
    return ""


def _acquisitions(headers: list[pydicom.Dataset]) -> list[list[pydicom.Dataset]]:
    """Split by AcquisitionNumber if several slices are at one position."""
    positions = {tuple(round(float(x), 2) for x in h.ImagePositionPatient) for h in headers}
    if len(positions) == len(headers):
        return [headers]
    parts: dict[str, list[pydicom.Dataset]] = {}
    for header in headers:
        parts.setdefault(str(header.get("AcquisitionNumber")), []).append(header)
    return list(parts.values())


def _describe(headers: list[pydicom.Dataset], number: str) -> CTSeries:
    first = headers[0]
    text = " ".join(str(first.get(name, "")) for name in ("SeriesDescription", "ProtocolName", "ImageComments")).upper()
    dual = f"{text} {' '.join(str(word) for word in first.get('ImageType', [])).upper()}"
    return CTSeries(
        headers,
        number,
        hashlib.sha256(f"{first.get('PatientID', '')}|{first.get('PatientName', '')}".encode()).hexdigest(),
        str(first.get("StudyInstanceUID", "")),
        str(first.get("FrameOfReferenceUID", "")),
        _phase(text, str(first.get("ContrastBolusAgent", "")).strip().upper()),
        re.search(rf"\b({_DUAL_ENERGY_WORDS})\b", dual) is not None,
    )


def _phase(text: str, agent: str) -> str:
    """Return "native", "arterial", "portal venous or late", or "" if the description is silent or contradictory."""
    found = [phase for phase, words in _PHASE_WORDS.items() if re.search(rf"(?<![A-Z])({words})(?![A-Z])", text)]
    if len(found) == 1:
        return found[0]
    return "native" if not found and agent in ("NONE", "NO", "NO CONTRAST", "WITHOUT") else ""
