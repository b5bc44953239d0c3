"""Folders of DICOM slices, written by pydicom for the tests of reading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
    generate_uid,
)

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.lps import flip_affine
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.spatial.grid import Grid

PATIENT = "Meier^Gertrud"
ROWS, COLUMNS, SLICES = 13, 11, 6


class DicomFolder:
    """Writes slices of an oblique series into `path`. lps: index -> LPS mm (4x4), the truth. values: (I, J, K)."""

    def __init__(self, path: Path, grid: Grid) -> None:
        self.path = path
        self.lps = flip_affine(grid.affine)
        self.lps[:3, 1] *= -1
        self.count = 0
        self.series = generate_uid(entropy_srcs=[path.name, "series"])
        self.values = np.random.default_rng(0).integers(-500, 3000, (COLUMNS, ROWS, SLICES)).astype(np.int16)

    def write(self, k: float, name: str | None = None, **tags) -> FileDataset:
        """Write slice `k`; a fraction lies between two slices. tags: replace those of the header; None removes one."""
        data = self.header(MRImageStorage)
        spacing = np.linalg.norm(self.lps[:3, :3], axis=0)
        data.InstanceNumber, data.ImageType = int(k) + 1, ["ORIGINAL", "PRIMARY"]
        data.PixelSpacing = [f"{spacing[1]:.8g}", f"{spacing[0]:.8g}"]
        data.ImageOrientationPatient = [f"{x:.10g}"[:16] for x in self.axes.ravel()]
        data.ImagePositionPatient = [f"{x:.10g}"[:16] for x in self.origin(k)]
        data.SliceThickness = 2.0
        data.PixelData = self.values[:, :, int(k) % SLICES].T.tobytes()
        path = self.path / (name or f"{(int(k) * 5) % SLICES}_{k:g}_{len(list(self.path.glob('**/*')))}.dcm")
        return self.save(data, path, tags)

    def write_all(self, offset: float = 0.0, **tags) -> DicomFolder:
        """Write every slice, shifted by `offset` slices."""
        for k in range(SLICES):
            self.write(k + offset, **tags)
        return self

    def write_enhanced(self, times: int = 1, **tags) -> FileDataset:
        """Write one multi-frame file; the values of time t are those of `values` + t."""
        data = self.header(EnhancedMRImageStorage)
        spacing = np.linalg.norm(self.lps[:3, :3], axis=0)
        shared, measures, orientation = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        measures.PixelSpacing, measures.SliceThickness = [float(spacing[1]), float(spacing[0])], 2.0
        orientation.ImageOrientationPatient = [f"{x:.10g}"[:16] for x in self.axes.ravel()]
        shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
        data.SharedFunctionalGroupsSequence = [shared]
        frames, pixels = [], []
        for k in reversed(range(SLICES)):
            for time in range(times):
                frame, position, content, rescale = (pydicom.Dataset() for _ in range(4))
                position.ImagePositionPatient = [f"{x:.10g}"[:16] for x in self.origin(k)]
                content.TemporalPositionIndex, content.FrameAcquisitionNumber = time + 1, 1
                rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = "2", str(k), "US"
                frame.PlanePositionSequence, frame.FrameContentSequence = [position], [content]
                frame.PixelValueTransformationSequence = [rescale]
                frames.append(frame)
                pixels.append(self.values[:, :, k].T + np.int16(time))
        data.PerFrameFunctionalGroupsSequence, data.NumberOfFrames = frames, len(frames)
        data.PixelData = np.stack(pixels).astype("<i2").tobytes()
        return self.save(data, self.path / "enhanced.dcm", tags)

    @property
    def axes(self) -> np.ndarray:
        return (self.lps[:3, :2] / np.linalg.norm(self.lps[:3, :2], axis=0)).T

    def origin(self, k: float) -> np.ndarray:
        return self.lps[:3, 3] + k * self.lps[:3, 2]

    def header(self, kind: str) -> FileDataset:
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, kind
        self.count += 1
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[self.path.name, str(self.count)])
        data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
        data.PatientName, data.PatientID, data.SeriesDescription = PATIENT, "ID4711", f"scan of {PATIENT}"
        data.StudyInstanceUID, data.SeriesInstanceUID, data.Modality = "1.2.3", self.series, "MR"
        data.SeriesNumber, data.Rows, data.Columns = 5, ROWS, COLUMNS
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        return data

    def save(self, data: FileDataset, path: Path, tags: dict) -> FileDataset:
        for name, value in tags.items():
            if value is not None:
                setattr(data, name, value)
            elif name in data:
                delattr(data, name)
        path.parent.mkdir(exist_ok=True, parents=True)
        data.save_as(path, enforce_file_format=True)
        return data

    def read(self, **options):
        """Return the image that the reader makes of the folder."""
        return read_image(self.path, **options)

    def read_values(self, **options) -> np.ndarray:
        """Return the values (I, J, K) that the reader makes of the folder."""
        return self.read(**options).data[0].numpy()

    def refusal(self, code: str, **options) -> ImageError:
        """Return the refusal, which must name neither the patient nor the folder."""
        return refusal_of(self.path, code, **options)


def compress(folder: DicomFolder, compression: str) -> DicomFolder:
    """Compress every file of the folder without loss; by GDCM's writer where pydicom has no encoder."""
    encoded = folder.path.parent / "encoded.dcm"
    for path in folder.path.iterdir():
        data = pydicom.dcmread(path)
        if compression == "RLE":
            data.compress(RLELossless, generate_instance_uid=False)
        elif compression != "none":
            writer = sitk.ImageFileWriter()
            writer.SetImageIO("GDCMImageIO")
            writer.UseCompressionOn()
            writer.SetCompressor(compression)
            writer.SetFileName(str(encoded))
            writer.Execute(sitk.GetImageFromArray(data.pixel_array))
            pixels = pydicom.dcmread(encoded)
            assert pixels.file_meta.TransferSyntaxUID.is_compressed
            data.file_meta.TransferSyntaxUID = pixels.file_meta.TransferSyntaxUID
            data.PixelData = pixels.PixelData
            data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
        data.save_as(path)
    return folder


def ct_tags(**tags) -> dict:
    """Return the tags of a CT in HU."""
    return {
        "Modality": "CT", "SOPClassUID": CTImageStorage, "RescaleSlope": "1", "RescaleIntercept": "-1024", **tags
    }  # fmt: skip


def refusal_of(folder: Path, code: str, **options) -> ImageError:
    """Return the refusal to read `folder`, which must name neither the patient nor the folder."""
    with pytest.raises(ImageError) as caught:
        read_image(folder, **options)
    assert caught.value.code == code, caught.value
    message = str(caught.value)
    assert not any(private in message for private in (PATIENT, "ID4711", str(folder), ".dcm")), message
    assert "Found " in message and "expected " in message
    return caught.value


def read_by_simpleitk(folder: Path) -> sitk.Image:
    """Return the series in `folder` as ITK and GDCM read it."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()
