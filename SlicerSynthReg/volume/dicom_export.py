"""A computed volume as a derived DICOM series of the study that it was computed from.

CT Image Storage (PS3.3 A.3), ImageType DERIVED\\SECONDARY, new series and instance UIDs, the same study and frame of
reference. Patient and study are told as the source tells them and no further: nothing else of its headers is copied,
no private tags, no acquisition that did not take place.
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

from SlicerSynthReg.volume.dicom import series_slices, slices_grid
from SlicerSynthReg.volume.volume import Volume, VolumeError
from SlicerSynthReg.volume.write import DERIVED_MARK

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
"""Type 2: has to be there, may be empty."""


def write_derived_series(
    volume: Volume, source: Path, out: Path, description: str, series: str | None = None
) -> list[Path]:
    """`volume` (one channel, HU) slice by slice into the new folder `out`; returns the files in the slices' order.

    source: folder of the series that it was computed from; series: which, where there are several. description: what
    was done, in words; the series' own begins with SYNTHETIC. Values are rounded to whole HU from -1024 to 3071.
    Errors: VolumeError where the volume does not lie on the source's grid, or is not scalar, or `out` holds files;
    OSError, after which nothing is left.
    """
    headers = series_slices(Path(source), series)
    origins = np.array([[float(x) for x in one.ImagePositionPatient] for one in headers])
    grid = slices_grid(headers[0], origins)
    if volume.kind != "scalar" or volume.data.shape[0] != 1:
        raise VolumeError(
            f"Found {volume.data.shape[0]} channels of kind {volume.kind!r}, expected one channel of HU to export."
        )
    if not grid.same_as(volume.grid, 0.05):
        raise VolumeError(
            f"Found a volume of {' x '.join(map(str, volume.grid.shape))} voxels that does not lie on the slices of "
            f"the source series ({' x '.join(map(str, grid.shape))}), expected the same grid. Choose the series that "
            "it was computed from, or resample it to that series first."
        )
    stored = np.rint(np.clip(volume.data[0].cpu().numpy(), _LOW_HU, _HIGH_HU)).astype(np.int16)
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise VolumeError(
            "Found files at the place of the new series, expected an empty or new folder. Choose another."
        )
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    series_uid, now = generate_uid(), datetime.datetime.now()
    names = []
    try:
        for k, header in enumerate(headers):
            names.append(f"slice{k + 1:04d}.dcm")
            one = _instance(header, stored[:, :, k], series_uid, description, k, now)
            one.save_as(partial / names[-1], enforce_file_format=True)
        with suppress(OSError):
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return [out / name for name in names]


def _instance(
    header: pydicom.Dataset, pixels: np.ndarray, series_uid: str, description: str, k: int, now: datetime.datetime
) -> FileDataset:
    """One slice, pixels (I, J) int16."""
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
    data.Manufacturer, data.ManufacturerModelName, data.SoftwareVersions = MAKER, MAKER, _version()
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
    """To the slice that this one was computed from."""
    one = pydicom.Dataset()
    one.ReferencedSOPClassUID = header.SOPClassUID
    one.ReferencedSOPInstanceUID = header.SOPInstanceUID
    purpose = pydicom.Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
    purpose.CodeMeaning = "Source image for image processing operation"
    one.PurposeOfReferenceCodeSequence = Sequence([purpose])
    return one


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("slicersynthreg")
    except PackageNotFoundError:
        return "source"
