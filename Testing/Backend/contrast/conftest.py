from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from SlicerSynthReg.contrast.mfm import ContrastConfig, ContrastModel
from SlicerSynthReg.networks.time_resnet import TimeResNetConfig
from SlicerSynthReg.weights.registry import Card, save_model

TINY = TimeResNetConfig(widths=(8, 8), encoder_blocks=(1, 2), time_channels=8)


@pytest.fixture
def an_installed_model(tmp_path, monkeypatch) -> Callable[..., Path]:
    """Return a function that installs a model of constant velocity `velocity`, plus the output of the untrained network
    times `wild`."""

    def install(name: str = "mfm-abdomen", velocity: float = 0.05, wild: float = 0.0, **config: object) -> Path:
        torch.manual_seed(7)
        model = ContrastModel(ContrastConfig(net=TINY, **config))  # type: ignore[arg-type]
        with torch.no_grad():
            model.net.head[-1].bias.fill_(velocity)
            model.net.head[-1].weight.normal_().mul_(wild)
        folder = tmp_path / "weights"
        said = dict.fromkeys(("training_data", "intended_use", "limits", "modalities", "trained_with"), "a test")
        card = Card(name, "MFM", model.config.to_card(), sha256="", licence="Apache-2.0", spacing_mm=2.0, **said)
        save_model(card, model.state_dict(), folder)
        monkeypatch.setenv("SYNTHREG_WEIGHTS", str(folder))
        return folder

    return install


@pytest.fixture
def a_ct(tmp_path) -> Path:
    """A body of fat and organs in air, (40, 36, 9) voxels of 4 x 4 x 5 mm as a scanner stores them: L, P, S."""
    noise = np.random.default_rng(0).normal(0, 8, (40, 36, 9))
    hu = np.full((40, 36, 9), -1000.0) + noise / 4
    hu[6:34, 8:28] = -100 + noise[6:34, 8:28]
    hu[10:20, 12:24] = 55 + noise[10:20, 12:24]
    hu[24:28, 16:20] = 40 + noise[24:28, 16:20]
    hu[18:22, 24:27] = 600
    path = tmp_path / "a patient's scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(hu.round().astype(np.int16), np.diag([-4.0, -4.0, 5.0, 1.0])), path)
    return path


@pytest.fixture
def a_dicom_ct(tmp_path, a_ct) -> Path:
    """The same body as a DICOM series of nine slices, stored with an intercept of -1024."""
    import pydicom
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder = tmp_path / "series"
    folder.mkdir()
    values = np.asarray(nibabel.load(a_ct).dataobj).astype(int) + 1024
    study, series, frame = (generate_uid() for _ in range(3))
    for k in range(values.shape[2]):
        one = pydicom.Dataset()
        one.file_meta = pydicom.dataset.FileMetaDataset()
        one.file_meta.TransferSyntaxUID, one.file_meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, generate_uid()
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, frame
        one.PatientName, one.PatientID, one.Modality, one.SeriesNumber, one.InstanceNumber = "A^B", "7", "CT", 3, k + 1
        one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 5.0 * k], [1, 0, 0, 0, 1, 0]
        one.PixelSpacing, one.SliceThickness = [4, 4], 5
        one.RescaleSlope, one.RescaleIntercept = 1, -1024
        one.Columns, one.Rows = values.shape[:2]
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.PixelData = values[:, :, k].T.astype("<i2").tobytes()
        one.save_as(folder / f"{k:02d}.dcm", enforce_file_format=True)
    return folder
