"""CT series in a folder of DICOM files: usable series, contrast phase from their headers, and why others are excluded.

Messages contain no patient names, descriptions or paths; series are named by their number.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.dicom import read_volume, series_volume
from SlicerSynthReg.io.dicom_files import Slice, is_localiser, number, scan_folder, text, without_warnings, words
from SlicerSynthReg.io.dicom_volumes import Volume, volumes_of
from SlicerSynthReg.io.image import Image

MIN_SLICES = 12
_PHASE_WORDS = {
    "native": r"NATIV\w*|NON[ -]?(CONTRAST|CE)|NCCT|UNENHANCED|PLAIN|WITHOUT|W/O|WO CONTRAST|SANS|OHNE|PRE[ -]?KM",
    "arterial": r"ART(ERIAL|ERIELL?E?)?|CTA|ANGIO\w*",
    "portal venous or late": r"PORTAL\w*|VEN(OUS|OES|EUX)?|PV|PVP|DELAY\w*|LATE|EXCRET\w*|SPAET\w*|SPÄT\w*|NEPHRO\w*",
}
_DUAL_ENERGY_WORDS = r"DUAL|DECT|GSI|MONO ?\+?|VNC|VIRTUAL|IODINE|KEV|SPECTRAL|ZEFF"


@dataclass(frozen=True, eq=False)
class CTSeries:
    """volume: slices in order. number: series number, for messages. patient: hash of the patient. study, frame: UIDs
    of study and frame of reference. phase: contrast phase according to the tags, "" if unknown. dual_energy: whether
    the tags state dual energy."""

    volume: Volume
    number: str
    patient: str
    study: str
    frame: str
    phase: str
    dual_energy: bool

    @property
    def header(self) -> pydicom.Dataset:
        """Header of the first slice."""
        return self.volume.slices[0].header

    @property
    def thickness(self) -> float:
        """Slice thickness in mm; 0 if unknown."""
        return number(self.header, "SliceThickness") or 0.0

    @property
    def tilt_degrees(self) -> float:
        """Angle between the slice normal and the line of slice origins (gantry tilt)."""
        step = self.volume.stack.step
        line = step / max(float(np.linalg.norm(step)), 1e-6)
        return float(np.degrees(np.arccos(np.clip(abs(line @ self.volume.slices[0].normal), 0.0, 1.0))))

    def read(self, interpolate_gaps: bool = False) -> Image:
        """Return the image in HU. Raises ImageError (slice-spacing, decoding)."""
        return read_volume(self.volume, interpolate_gaps, None).as_image("scalar", None, False)


@without_warnings()
def find_ct_series(folder: Path) -> tuple[list[CTSeries], list[str]]:
    """Return all usable CT series under `folder`, and descriptions of what was excluded.

    A series is one volume: localisers, and acquisitions, phases and kernels at the same positions are separated.
    """
    scan = scan_folder(folder)
    excluded: Counter[str] = Counter(scan.others)
    for header in scan.unplaced:
        excluded[_exclusion_reason(header) or "CT images without a position (screen captures, dose pages)"] += 1
    usable: list[Slice] = []
    for one in scan.slices:
        reason = _exclusion_reason(one.header)
        if reason:
            excluded[reason] += 1
        else:
            usable.append(one)
    series = []
    descriptions = [f"{count} {what}" for what, count in excluded.items()]
    for volume in volumes_of(usable):
        name = _series_number(volume.slices[0].header)
        if len(volume.slices) < MIN_SLICES:
            descriptions.append(f"series {name}: {len(volume.slices)} slices, fewer than {MIN_SLICES}")
            continue
        try:
            volume.stack.require_line()
        except ImageError as error:
            descriptions.append(f"series {name}: {error.text}")
            continue
        descriptions += [f"series {name}: {warning}" for warning in volume.warnings]
        series.append(_describe(volume))
    return series, descriptions


@dataclass(frozen=True)
class SeriesCheck:
    """phase: according to the tags "native", "arterial", "portal venous or late", or "" if unknown. warnings: found,
    expected, remedy."""

    phase: str
    warnings: tuple[str, ...]


@without_warnings()
def check_ct_series(folder: Path, series: str | None = None) -> SeriesCheck:
    """Check the headers of a DICOM series for its use as CT in HU (metrics.ct_check checks the voxels).

    series: as for io.read.read_image. Raises ImageError (modality, series-ambiguous, series-inconsistent).
    """
    volume = series_volume(Path(folder), series)
    first = volume.slices[0].header
    modality = text(first, "Modality")[:16] or "?"
    if modality != "CT":
        raise ImageError(f"Found a series of modality {modality}, expected CT. Choose the CT series.", code="modality")
    description = _describe(volume)
    warnings = []
    if description.dual_energy:
        warnings.append(
            "Found a dual-energy reconstruction, expected single-energy CT: no model was trained on its values. Choose "
            "the standard reconstruction."
        )
    unit = text(first, "RescaleType").upper()
    if unit not in ("HU", ""):
        warnings.append(f"Found values in the unit {unit[:16]}, expected HU. Choose the standard reconstruction.")
    if "DERIVED" in words(first, "ImageType"):
        warnings.append(
            "Found a derived series, expected an original reconstruction: it may be synthetic itself. Choose the "
            "original."
        )
    return SeriesCheck(description.phase, tuple(warnings))


def _exclusion_reason(header: pydicom.Dataset) -> str:
    """Return why this instance is not a usable slice, or ""."""
    modality = text(header, "Modality")[:16] or "?"
    if modality != "CT":
        return f"images or objects of modality {modality}"
    if is_localiser(header):
        return "localiser images"
    if {*words(header, "ImageType")} & {"MIP", "MINIP", "MPR", "VRT", "SSD", "PROJECTION IMAGE", "CSA MPR"}:
        return "reformatted or projected images"
    return ""


def _series_number(header: pydicom.Dataset) -> str:
    return f"{number(header, 'SeriesNumber') or 0:g}"


def _describe(volume: Volume) -> CTSeries:
    first = volume.slices[0].header
    described = " ".join(text(first, name) for name in ("SeriesDescription", "ProtocolName", "ImageComments")).upper()
    dual = f"{described} {' '.join(words(first, 'ImageType'))}"
    return CTSeries(
        volume,
        _series_number(first),
        hashlib.sha256(f"{text(first, 'PatientID')}|{text(first, 'PatientName')}".encode()).hexdigest(),
        text(first, "StudyInstanceUID"),
        text(first, "FrameOfReferenceUID"),
        _phase(described, text(first, "ContrastBolusAgent").upper()),
        re.search(rf"\b({_DUAL_ENERGY_WORDS})\b", dual) is not None,
    )


def _phase(text: str, agent: str) -> str:
    """Return "native", "arterial", "portal venous or late", or "" if the description is silent or contradictory."""
    found = [phase for phase, words in _PHASE_WORDS.items() if re.search(rf"(?<![A-Z])({words})(?![A-Z])", text)]
    if len(found) == 1:
        return found[0]
    return "native" if not found and agent in ("NONE", "NO", "NO CONTRAST", "WITHOUT") else ""
