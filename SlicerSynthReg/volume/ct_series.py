"""The CT series in a folder of DICOM, of whatever studies and sorts: what each is, and why others are left out.

No message tells a patient's name, a description or a path; series are named by their number.
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

from SlicerSynthReg.volume.dicom import in_order, is_localiser, read_slices, series_slices
from SlicerSynthReg.volume.volume import Volume, VolumeError

LEAST_SLICES = 12
_PLACED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows")
_WORDS = {
    "native": r"NATIV\w*|NON[ -]?(CONTRAST|CE)|NCCT|UNENHANCED|PLAIN|WITHOUT|W/O|WO CONTRAST|SANS|OHNE|PRE[ -]?KM",
    "arterial": r"ART(ERIAL|ERIELL?E?)?|CTA|ANGIO\w*",
    "portal venous or late": r"PORTAL\w*|VEN(OUS|OES|EUX)?|PV|PVP|DELAY\w*|LATE|EXCRET\w*|SPAET\w*|SPÄT\w*|NEPHRO\w*",
}
_DUAL = r"DUAL|DECT|GSI|MONO ?\+?|VNC|VIRTUAL|IODINE|KEV|SPECTRAL|ZEFF"


@dataclass(frozen=True, eq=False)
class CTSeries:
    """headers: slices in order. number: to tell it by. patient, study, frame: of whom, of which study and in which
    frame of reference; the patient's is a hash. told: phase that the tags tell, or ""; dual: whether they tell of
    dual energy."""

    headers: list[pydicom.Dataset]
    number: str
    patient: str
    study: str
    frame: str
    told: str
    dual: bool

    @property
    def thickness(self) -> float:
        return float(self.headers[0].get("SliceThickness") or 0.0)

    @property
    def tilt_degrees(self) -> float:
        """Between the slices' normal and the line of their origins."""
        first, last = (np.asarray(h.ImagePositionPatient, dtype=float) for h in (self.headers[0], self.headers[-1]))
        row, column = np.asarray(self.headers[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
        line = (last - first) / max(float(np.linalg.norm(last - first)), 1e-6)
        return float(np.degrees(np.arccos(np.clip(abs(line @ np.cross(row, column)), 0.0, 1.0))))

    def read(self, interpolate_gaps: bool = False) -> Volume:
        """HU. VolumeError for missing slices unless they may be filled in, and for what cannot be decoded."""
        return read_slices(self.headers, interpolate_gaps, None).as_volume("scalar", None, False)


def find_ct_series(folder: Path) -> tuple[list[CTSeries], list[str]]:
    """Every usable CT series under `folder`, and what was left out, in words.

    A series that holds a localiser, or two acquisitions at the same places, is taken apart.
    """
    groups: dict[tuple[str, ...], list[pydicom.Dataset]] = {}
    left_out: Counter[str] = Counter()
    for header in _headers(folder, left_out):
        reason = _unfit(header)
        if reason:
            left_out[reason] += 1
            continue
        kind = np.round(np.asarray(header.ImageOrientationPatient, dtype=float), 2) + 0.0
        key = (str(header.get("SeriesInstanceUID")), str(kind), f"{header.Rows} {header.Columns}")
        groups.setdefault(key, []).append(header)
    series = []
    words = [f"{count} {what}" for what, count in left_out.items()]
    for headers in groups.values():
        for part in _acquisitions(headers):
            number = str(part[0].get("SeriesNumber") or 0)
            if len(part) < LEAST_SLICES:
                words.append(f"series {number}: {len(part)} slices, fewer than {LEAST_SLICES}")
                continue
            try:
                series.append(_described(in_order(part), number))
            except VolumeError as error:
                words.append(f"series {number}: {error.text}")
    return series, words


@dataclass(frozen=True)
class SeriesCheck:
    """told: phase that the tags tell: "native", "arterial", "portal venous or late", or "" where they are silent.
    warnings: found, expected and what to do."""

    told: str
    warnings: tuple[str, ...]


def check_ct_series(folder: Path, series: str | None = None) -> SeriesCheck:
    """What the headers of a DICOM series tell about its use as a CT that its voxels do not (see evaluate/ct_check for
    those); series as for read_volume.

    Errors: VolumeError for another modality, and as read_volume for several series, localisers among the slices and
    slices at one place.
    """
    headers = series_slices(Path(folder), series)
    first = headers[0]
    modality = str(first.get("Modality", "?"))
    if modality != "CT":
        raise VolumeError(f"Found a series of modality {modality}, expected CT. Choose the CT series.")
    one = _described(headers, str(first.get("SeriesNumber") or 0))
    warnings = []
    if one.dual:
        warnings.append(
            "Found a series of a dual-energy scan, expected a plain one: its values depend on how they were computed, "
            "and no model was made for them. Choose the usual reconstruction."
        )
    unit = str(first.get("RescaleType", "HU")).strip().upper()
    if unit not in ("HU", ""):
        warnings.append(f"Found values in the unit {unit[:16]}, expected HU. Choose the usual reconstruction.")
    if "DERIVED" in [str(word).upper() for word in first.get("ImageType", [])]:
        warnings.append(
            "Found a derived series, expected what the scanner reconstructed: it may be computed itself. Choose the "
            "original."
        )
    return SeriesCheck(one.told, tuple(warnings))


def _headers(folder: Path, left_out: Counter[str]) -> Iterator[pydicom.Dataset]:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            yield pydicom.dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, OSError, ValueError, EOFError, AttributeError, KeyError):
            left_out["files that are not DICOM"] += 1


def _unfit(header: pydicom.Dataset) -> str:
    """Why this instance is no slice to use, or ""."""
    modality = str(header.get("Modality", "?"))
    if modality == "SR" or "DOSE" in str(header.get("SOPClassUID", pydicom.uid.UID("")).name).upper():
        return "dose or other structured reports"
    if modality != "CT":
        return f"images or objects of modality {modality}"
    if is_localiser(header):
        return "localiser images"
    if int(header.get("NumberOfFrames") or 1) > 1:
        return "multi-frame (enhanced) images"
    if any(name not in header for name in _PLACED):
        return "CT images without a position (screen captures, dose pages)"
    kind = {str(word).upper() for word in header.get("ImageType", [])}
    if kind & {"MIP", "MINIP", "MPR", "VRT", "SSD", "PROJECTION IMAGE", "CSA MPR"}:
        return "reformatted or projected images"
    return ""


def _acquisitions(headers: list[pydicom.Dataset]) -> list[list[pydicom.Dataset]]:
    """Apart by AcquisitionNumber where one series holds several slices at one place."""
    places = {tuple(round(float(x), 2) for x in h.ImagePositionPatient) for h in headers}
    if len(places) == len(headers):
        return [headers]
    parts: dict[str, list[pydicom.Dataset]] = {}
    for header in headers:
        parts.setdefault(str(header.get("AcquisitionNumber")), []).append(header)
    return list(parts.values())


def _described(headers: list[pydicom.Dataset], number: str) -> CTSeries:
    first = headers[0]
    text = " ".join(str(first.get(name, "")) for name in ("SeriesDescription", "ProtocolName", "ImageComments")).upper()
    dual = f"{text} {' '.join(str(word) for word in first.get('ImageType', [])).upper()}"
    return CTSeries(
        headers,
        number,
        hashlib.sha256(f"{first.get('PatientID', '')}|{first.get('PatientName', '')}".encode()).hexdigest(),
        str(first.get("StudyInstanceUID", "")),
        str(first.get("FrameOfReferenceUID", "")),
        _told(text, str(first.get("ContrastBolusAgent", "")).strip().upper()),
        re.search(rf"\b({_DUAL})\b", dual) is not None,
    )


def _told(text: str, agent: str) -> str:
    """ "native", "arterial", "portal venous or late", or "" where the words are silent or contradict each other."""
    found = [phase for phase, words in _WORDS.items() if re.search(rf"(?<![A-Z])({words})(?![A-Z])", text)]
    if len(found) == 1:
        return found[0]
    return "native" if not found and agent in ("NONE", "NO", "NO CONTRAST", "WITHOUT") else ""
