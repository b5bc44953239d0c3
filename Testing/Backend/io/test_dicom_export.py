"""A derived series: readable by others on the same grid, honest about what it is, silent about everything else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from SlicerSynthReg.io.dicom_export import write_derived_series
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.itk import itk_grid
from SlicerSynthReg.io.read import read_image
from Testing.Backend.refusals import refused

ROWS, COLUMNS, SLICES = 9, 12, 5
REQUIRED = (  # type 1 of the modules of CT Image Storage that always apply (PS3.3 A.3, C.7.1.1 to C.8.2.1, C.12.1)
    "StudyInstanceUID", "Modality", "SeriesInstanceUID", "FrameOfReferenceUID", "ImageType", "PixelSpacing",
    "ImageOrientationPatient", "ImagePositionPatient", "SamplesPerPixel", "PhotometricInterpretation", "Rows",
    "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData", "RescaleIntercept",
    "RescaleSlope", "SOPClassUID", "SOPInstanceUID",
)  # fmt: skip
PRESENT = (  # type 2: there, though perhaps empty
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName",
    "StudyID", "AccessionNumber", "SeriesNumber", "Manufacturer", "PositionReferenceIndicator", "SliceThickness",
    "InstanceNumber", "KVP", "AcquisitionNumber", "PatientPosition",
)  # fmt: skip


def write_source(folder, tilt_mm: float = 0.0, **changes) -> list[pydicom.Dataset]:
    """An oblique CT series of one study, with things in its headers that concern nobody else."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(3)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    written = []
    for k in range(SLICES):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data.PatientName, data.PatientID, data.PatientSex = "Muster^Eva", "P77", "F"
        data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = study, series, frame
        data.StudyDate, data.StudyID, data.Modality, data.SeriesNumber = "20240102", "S1", "CT", 4
        data.InstitutionName, data.OperatorsName, data.SeriesDescription = (
            "Clinic of Muster",
            "Somebody",
            "arterial Muster",
        )
        data.ContrastBolusAgent, data.DeviceSerialNumber, data.KVP = "Iodine 350", "12345", "120"
        data.add_new((0x0009, 0x0010), "LO", "PRIVATE MUSTER")
        data.ImageType, data.PatientPosition, data.InstanceNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], "HFS", k + 1
        c, s = np.cos(0.2), np.sin(0.2)
        data.ImageOrientationPatient = [f"{x:.8f}" for x in (c, s, 0, -s, c, 0)]
        data.ImagePositionPatient = [f"{x:.6f}" for x in (-50.0, 20.0 + tilt_mm * k, 100.0 + 4 * k)]
        data.PixelSpacing, data.SliceThickness = ["0.8", "0.7"], "5"
        data.Rows, data.Columns, data.SamplesPerPixel = ROWS, COLUMNS, 1
        data.PhotometricInterpretation, data.BitsAllocated, data.BitsStored, data.HighBit = "MONOCHROME2", 16, 12, 11
        data.PixelRepresentation, data.RescaleIntercept, data.RescaleSlope = 0, "-1024", "1"
        data.PixelData = rng.integers(0, 2000, (ROWS, COLUMNS)).astype("<u2").tobytes()
        for key, value in changes.items():
            setattr(data, key, value)
        data.save_as(folder / f"z{(3 * k) % SLICES}.dcm", enforce_file_format=True)
        written.append(data)
    return written


@pytest.fixture
def a_study(tmp_path):
    written = write_source(tmp_path / "study")
    return tmp_path / "study", written


def computed_from(folder) -> Image:
    """Every voxel another value than in the source."""
    volume = read_image(folder)
    return dataclasses.replace(volume, data=volume.data * 0.5 - 200.3)


def exported(folder, out, volume=None) -> list[pydicom.Dataset]:
    volume = computed_from(folder) if volume is None else volume
    return [pydicom.dcmread(p) for p in write_derived_series(volume, folder, out, "native from contrast CT")]


@pytest.mark.parametrize("tilt_mm", [0.0, 1.1])
def test_it_reads_back_on_the_same_grid_here_and_in_simpleitk(tmp_path, tilt_mm):
    write_source(tmp_path / "study", tilt_mm)
    volume = computed_from(tmp_path / "study")
    exported(tmp_path / "study", tmp_path / "out", volume)
    read = read_image(tmp_path / "out")
    assert read.grid.same_as(volume.grid, 1e-4) and read.name.startswith("CT series")
    np.testing.assert_array_equal(read.data, volume.data.round())
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "out")))
    image = reader.Execute()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, read.data[0])
    if tilt_mm == 0:  # ITK cannot tell a tilt
        assert itk_grid(image).same_as(volume.grid, 1e-3)


def test_every_required_attribute_is_there(a_study, tmp_path):
    for one in exported(a_study[0], tmp_path / "out"):
        for name in REQUIRED:
            assert one.get(name) not in (None, "") and name in one, name
        for name in PRESENT:
            assert name in one, name
        assert (
            len(one.PixelData) == 2 * ROWS * COLUMNS and one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
        )


def test_it_is_a_new_derived_series_of_the_same_study(a_study, tmp_path):
    folder, source = a_study
    made = exported(folder, tmp_path / "out")
    assert {one.StudyInstanceUID for one in made} == {source[0].StudyInstanceUID}
    assert {one.FrameOfReferenceUID for one in made} == {source[0].FrameOfReferenceUID}
    [series] = {one.SeriesInstanceUID for one in made}
    assert series != source[0].SeriesInstanceUID and len({one.SOPInstanceUID for one in made}) == SLICES
    assert not {one.SOPInstanceUID for one in made} & {one.SOPInstanceUID for one in source}
    for one in made:
        assert list(one.ImageType[:2]) == ["DERIVED", "SECONDARY"]
        assert "SYNTHETIC" in one.SeriesDescription and "not for diagnosis" in one.SeriesDescription
        assert "native from contrast CT" in one.DerivationDescription


def test_each_slice_refers_to_the_slice_at_its_own_place(a_study, tmp_path):
    folder, source = a_study
    places = {one.SOPInstanceUID: list(one.ImagePositionPatient) for one in source}
    for one in exported(folder, tmp_path / "out"):
        [reference] = one.SourceImageSequence
        assert places[reference.ReferencedSOPInstanceUID] == list(one.ImagePositionPatient)
        assert reference.ReferencedSOPClassUID == CTImageStorage


def test_nothing_is_told_that_the_study_does_not_need(a_study, tmp_path):
    """Patient and study as in the source; no institution, operator, device, private tags or contrast agent."""
    for one in exported(a_study[0], tmp_path / "out"):
        assert (str(one.PatientName), one.PatientID, one.PatientSex) == ("Muster^Eva", "P77", "F")
        text = str(one)
        for private in ("Clinic", "Somebody", "12345", "Iodine", "PRIVATE", "arterial"):
            assert private not in text
        assert not [element for element in one if element.tag.is_private]


def test_a_deidentified_source_stays_so(tmp_path):
    write_source(tmp_path / "study", PatientName="", PatientID="anon", PatientIdentityRemoved="YES")
    [one, *_] = exported(tmp_path / "study", tmp_path / "out")
    assert one.PatientIdentityRemoved == "YES" and str(one.PatientName) == ""


def test_values_beyond_what_ct_stores_are_clipped_not_wrapped(a_study, tmp_path):
    volume = read_image(a_study[0])
    wild = dataclasses.replace(volume, data=torch.where(volume.data > 0, 1e6, -1e6))
    values = np.stack([one.pixel_array for one in exported(a_study[0], tmp_path / "out", wild)])
    assert set(np.unique(values)) == {-1024, 3071}


def test_another_grid_labels_and_a_folder_in_use_are_refused(a_study, tmp_path):
    volume = computed_from(a_study[0])
    elsewhere = Image(
        volume.data, dataclasses.replace(volume.grid, affine=volume.grid.affine + np.eye(4)[:, [3, 0, 1, 2]])
    )
    with refused("grid-mismatch"):
        write_derived_series(elsewhere, a_study[0], tmp_path / "out", "x")
    with refused("not-hounsfield"):
        write_derived_series(Image(volume.data.int(), volume.grid, "labels"), a_study[0], tmp_path / "out", "x")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("keep")
    with refused("folder-not-empty"):
        write_derived_series(volume, a_study[0], tmp_path / "used", "x")
    assert not (tmp_path / "out").exists() and (tmp_path / "used" / "mine.txt").read_text() == "keep"


def test_nothing_is_left_when_the_disk_is_full(a_study, tmp_path, monkeypatch):
    calls = []

    def full(self, *args, **options):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        original(self, *args, **options)

    original = FileDataset.save_as
    volume = computed_from(a_study[0])
    monkeypatch.setattr(FileDataset, "save_as", full)
    with pytest.raises(OSError):
        write_derived_series(volume, a_study[0], tmp_path / "out", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["study"]
