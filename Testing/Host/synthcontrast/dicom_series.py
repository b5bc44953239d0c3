"""A CT as a DICOM series on disk, and the little of Slicer's DICOM database that the panel asks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import slicer
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from Testing.Host.synthcontrast.scans import AFFINE


def write_series(values: np.ndarray, folder: Path) -> dict[str, str]:
    """values: (I, J, K) HU on AFFINE. Returns instance UID -> file, in the slices' order."""
    folder.mkdir(parents=True)
    study, series, frame = (generate_uid() for _ in range(3))
    files = {}
    for k in range(values.shape[2]):
        one = pydicom.Dataset()
        one.file_meta = pydicom.dataset.FileMetaDataset()
        one.file_meta.TransferSyntaxUID, one.file_meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, generate_uid()
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, frame
        one.PatientName, one.PatientID, one.Modality, one.SeriesNumber, one.InstanceNumber = "A^B", "7", "CT", 3, k + 1
        corner = AFFINE @ [0, 0, k, 1]
        one.ImagePositionPatient = [-corner[0], -corner[1], corner[2]]
        one.ImageOrientationPatient, one.PixelSpacing, one.SliceThickness = [1, 0, 0, 0, 1, 0], [4, 4], 5
        one.RescaleSlope, one.RescaleIntercept = 1, -1024
        one.Columns, one.Rows = values.shape[:2]
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.PixelData = (values[:, :, k].T.astype(int) + 1024).astype("<i2").tobytes()
        file = folder / f"{k:02d}.dcm"
        one.save_as(file, enforce_file_format=True)
        files[str(one.SOPInstanceUID)] = str(file)
    return files


class Database:
    """As ctkDICOMDatabase answers."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def fileForInstance(self, uid: str) -> str:
        return self.files.get(uid, "")


def loaded_from(node, files: dict[str, str], monkeypatch) -> None:
    """As if `node` had been loaded from that series through the database."""
    node.SetAttribute("DICOM.instanceUIDs", " ".join(files))
    monkeypatch.setattr(slicer, "dicomDatabase", Database(files), raising=False)
