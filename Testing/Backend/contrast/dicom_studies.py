"""Studies of virtual patients as a hospital stores them, for the tests of pairing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import torch
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import BasicTextSRStorage, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from SlicerSynthReg.io.lps import flip_affine
from SlicerSynthReg.spatial.grid import Grid


class Study:
    """One patient's visit; every series shares its frame of reference unless told otherwise."""

    def __init__(self, folder: Path, patient: str = "Meier^Gertrud") -> None:
        self.folder, self.patient = folder, patient
        self.uid, self.frame = generate_uid(), generate_uid()
        self.count = 0

    def series(self, hu: torch.Tensor, grid: Grid, description: str, leave_out: tuple[int, ...] = (), **tags) -> str:
        """Write the slices of hu (I, J, K), but those left out; returns the series' UID."""
        self.count += 1
        uid = tags.pop("SeriesInstanceUID", generate_uid())
        lps = flip_affine(grid.affine)
        for k in range(hu.shape[2]):
            if k not in leave_out:
                data = self.object(CTImageStorage, uid, description)
                data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
                data.InstanceNumber, data.SliceThickness = k + 1, f"{grid.spacing[2]:g}"
                data.ImageOrientationPatient = [f"{x:.8g}" for x in (lps[:3, :2] / grid.spacing[:2]).T.ravel()]
                data.ImagePositionPatient = [f"{x:.10g}" for x in lps[:3, 3] + k * lps[:3, 2]]
                data.PixelSpacing = [f"{grid.spacing[1]:.8g}", f"{grid.spacing[0]:.8g}"]
                data.Columns, data.Rows = hu.shape[:2]
                data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
                data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
                data.RescaleIntercept, data.RescaleSlope = "-1024", "1"
                data.PixelData = (hu[:, :, k].T.round().numpy() + 1024).astype("<i2").tobytes()
                self.save(data, tags)
        return uid

    def localiser(self, uid: str, **tags) -> None:
        """A coronal scout, within the series `uid`."""
        grid = Grid((40, 60, 1), np.array([[4.0, 0, 0, -80], [0, 0, 4.0, 0], [0, -4.0, 0, 120], [0, 0, 0, 1]]))
        self.series(
            torch.zeros(40, 60, 1), grid, "scout", SeriesInstanceUID=uid, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
        )

    def report(self) -> None:
        self.save(self.object(BasicTextSRStorage, generate_uid(), "Dose report"), {"Modality": "SR"})

    def other_modality(self, hu: torch.Tensor, grid: Grid) -> None:
        self.series(hu, grid, "T1", Modality="MR", SOPClassUID=MRImageStorage)

    def object(self, kind: str, series: str, description: str) -> FileDataset:
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, kind
        meta.MediaStorageSOPInstanceUID = generate_uid()
        data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID, data.Modality = kind, meta.MediaStorageSOPInstanceUID, "CT"
        data.PatientName, data.PatientID = self.patient, f"ID of {self.patient}"
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = self.uid, series, self.frame
        data.SeriesDescription, data.SeriesNumber = description, self.count
        return data

    def save(self, data: pydicom.Dataset, tags: dict) -> None:
        for name, value in tags.items():
            setattr(data, name, value)
        self.folder.mkdir(parents=True, exist_ok=True)
        data.save_as(self.folder / f"{data.SOPInstanceUID}.dcm", enforce_file_format=True)
