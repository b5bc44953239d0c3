"""Export of a computed CT as a derived DICOM series of its source study.

CT Image Storage (PS3.3 A.3), ImageType DERIVED\\SECONDARY, new series and instance UIDs, the study and frame of
reference of the source. Only patient and study attributes are copied from its headers: no private tags, and no
acquisition that did not take place.
"""

from __future__ import annotations

import datetime
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.dicom import series_volume
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.write import DERIVED_MARK
from SlicerSynthReg.runtime import synthreg_version

MAKER = "SlicerSynthReg"
_LOW_HU, _HIGH_HU = -1024, 3071
_PATIENT_AND_STUDY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize", "PatientWeight",
    "PatientIdentityRemoved", "DeidentificationMethod", "LongitudinalTemporalInformationModified", "StudyInstanceUID",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber", "StudyDescription",
    "SpecificCharacterSet", "TimezoneOffsetFromUTC",
)  # fmt: skip
_PLACE = (
    "FrameOfReferenceUID", "PositionReferenceIndicator", "PatientPosition", "BodyPartExamined", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "SliceLocation",
    "GantryDetectorTilt", "InstanceNumber",
)  # fmt: skip
_EMPTY_IF_UNKNOWN = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName",
    "StudyID", "AccessionNumber", "PositionReferenceIndicator", "SliceThickness", "AcquisitionNumber", "KVP",
    "InstanceNumber",
)  # fmt: skip
"""Type 2 attributes: present, possibly empty."""


def write_derived_series(
    image: Image, source: Path, out: Path, description: str, series: str | None = None
) -> list[Path]:
    """Write `image` (one channel, HU) as DICOM slices into the new folder `out`; return the files in slice order.

    source: folder of the series from which it was computed; series: number or UID, if there are several. description:
    of the derivation; the series description begins with SYNTHETIC. Values are rounded to whole HU from -1024 to 3071.
    Raises ImageError (not-hounsfield, grid-mismatch, folder-not-empty); OSError, after which nothing is left.
    """
    volume = series_volume(Path(source), series)
    headers, grid = [one.header for one in volume.slices], volume.stack.grid()
    if image.kind != "scalar" or image.data.shape[0] != 1:
        raise ImageError(
            f"Found {image.data.shape[0]} channels of kind {image.kind!r}, expected one channel of HU to export.",
            code="not-hounsfield",
        )
    if not grid.same_as(image.grid, 0.05):
        raise ImageError(
            f"Found an image of {' x '.join(map(str, image.grid.shape))} voxels that does not lie on the slices of "
            f"the source series ({' x '.join(map(str, grid.shape))}), expected the same grid. Choose the series that "
            "it was computed from, or resample it to that series first.",
            code="grid-mismatch",
        )
    stored = np.rint(np.clip(image.data[0].cpu().numpy(), _LOW_HU, _HIGH_HU)).astype(np.int16)
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ImageError(
            "Found files at the place of the new series, expected an empty or new folder. Choose another.",
            code="folder-not-empty",
        )
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    series_uid, now = generate_uid(), datetime.datetime.now()
    names = []
    try:
        for k, header in enumerate(headers):
            names.append(f"slice{k + 1:04d}.dcm")
            instance = _instance(header, stored[:, :, k], series_uid, description, k, now)
            instance.save_as(partial / names[-1], enforce_file_format=True)
        with suppress(OSError):
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return [out / name for name in names]


def _instance(
    header: pydicom.Dataset, pixels: np.ndarray, series_uid: str, description: str, k: int, now: datetime.datetime
) -> FileDataset:
    """Return one slice; pixels (I, J) int16."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    for name in (*_PATIENT_AND_STUDY, *_PLACE):
        if name in header:
            data[name] = header[name]
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    data.Modality, data.SeriesInstanceUID = "CT", series_uid
    data.SeriesNumber = 9000 + int(header.get("SeriesNumber") or 0) % 1000
    data.SeriesDescription = f"SYNTHETIC {description}; not for diagnosis"[:64]
    data.ImageComments = DERIVED_MARK
    data.DerivationDescription = f"{description}. Computed by {MAKER}: {DERIVED_MARK}."[:1024]
    data.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    data.SourceImageSequence = Sequence([_reference(header)])
    data.Manufacturer, data.ManufacturerModelName, data.SoftwareVersions = MAKER, MAKER, synthreg_version()
    data.InstanceCreationDate = data.SeriesDate = data.ContentDate = now.strftime("%Y%m%d")
    data.InstanceCreationTime = data.SeriesTime = data.ContentTime = now.strftime("%H%M%S")
    data.BurnedInAnnotation = "NO"
    lossy = "01" if str(header.get("LossyImageCompression", "00")) == "01" else "00"
    data.LossyImageCompression = lossy
    for name in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if lossy == "01" and name in header:
            data[name] = header[name]
    data.Columns, data.Rows = (int(n) for n in pixels.shape)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = "0", "1", "HU"
    data.WindowCenter, data.WindowWidth = "40", "400"
    data.PixelData = np.ascontiguousarray(pixels.T).astype("<i2").tobytes()
    if "InstanceNumber" not in data:
        data.InstanceNumber = k + 1
    if "FrameOfReferenceUID" not in data:  # the source names none: the new series shares one within itself
        data.FrameOfReferenceUID = f"{series_uid}.1"[:64]
    for name in _EMPTY_IF_UNKNOWN:
        if name not in data:
            setattr(data, name, None)
    return data


def _reference(header: pydicom.Dataset) -> pydicom.Dataset:
    """Return a reference to the source slice."""
    reference = pydicom.Dataset()
    reference.ReferencedSOPClassUID = header.SOPClassUID
    reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
    purpose = pydicom.Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
    purpose.CodeMeaning = "Source image for image processing operation"
    reference.PurposeOfReferenceCodeSequence = Sequence([purpose])
    return reference
