"""Synthetic DICOM folders, with SimpleITK's series reader as the judge of geometry."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, RLELossless, generate_uid

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.itk import itk_grid
from SlicerSynthReg.io.lps import flip_affine
from SlicerSynthReg.io.read import read_image

PATIENT = "Meier^Gertrud"
ROWS, COLUMNS, SLICES = 13, 11, 6


class Scanner:
    """Writes slices of an oblique series, out of order; `lps` (4x4) is the truth."""

    def __init__(self, folder, nasty):
        self.folder = folder
        self.lps = flip_affine(nasty.affine)
        self.lps[:3, 1] *= -1
        self.series = generate_uid()
        self.values = np.random.default_rng(0).integers(-500, 3000, (COLUMNS, ROWS, SLICES)).astype(np.int16)

    def slice(self, k, name=None, **changes):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = MRImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
        spacing = np.linalg.norm(self.lps[:3, :3], axis=0)
        axes = self.lps[:3, :3] / spacing
        data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
        data.PatientName, data.PatientID, data.SeriesDescription = PATIENT, "ID4711", f"scan of {PATIENT}"
        data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3", self.series
        data.Modality, data.SeriesNumber, data.InstanceNumber = "MR", 5, k + 1
        data.ImageType = ["ORIGINAL", "PRIMARY"]
        data.Rows, data.Columns = ROWS, COLUMNS
        data.PixelSpacing = [f"{spacing[1]:.8g}", f"{spacing[0]:.8g}"]
        data.ImageOrientationPatient = [f"{x:.10g}"[:16] for x in axes.T[:2].ravel()]
        data.ImagePositionPatient = [f"{x:.10g}"[:16] for x in self.lps[:3, 3] + k * self.lps[:3, 2]]
        data.SliceThickness = 2.0
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 1
        data.PixelData = self.values[:, :, k % SLICES].T.tobytes()
        for key, value in changes.items():
            setattr(data, key, value)
        path = self.folder / (name or f"{(k * 5) % SLICES}_{k}.dcm")
        path.parent.mkdir(exist_ok=True, parents=True)
        data.save_as(path, enforce_file_format=True)
        return data

    def all(self, **changes):
        for k in range(SLICES):
            self.slice(k, **changes)
        return self


@pytest.fixture
def scanner(tmp_path, nasty) -> Scanner:
    return Scanner(tmp_path / "export", nasty)


def _by_itk(folder) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def _refused(folder, code: str, **options) -> str:
    """The message, which must name neither the patient nor the folder."""
    with pytest.raises(ImageError) as caught:
        read_image(folder, **options)
    assert caught.value.code == code
    message = str(caught.value)
    assert not any(private in message for private in (PATIENT, "ID4711", str(folder), ".dcm"))
    return message


def test_an_oblique_series_lies_where_simpleitk_says(scanner):
    scanner.all()
    volume, image = read_image(scanner.folder), _by_itk(scanner.folder)
    assert volume.name == "MR series 5"
    assert itk_grid(image).same_as(volume.grid, 1e-4)
    np.testing.assert_allclose(flip_affine(volume.grid.affine), scanner.lps, atol=1e-6)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, volume.data[0].numpy())
    np.testing.assert_array_equal(scanner.values, volume.data[0].numpy())


def test_slices_acquired_against_the_normal_still_end_up_in_their_place(scanner):
    scanner.lps[:3, 2] *= -1
    scanner.all()
    volume = read_image(scanner.folder)
    last = scanner.lps @ [0, 0, SLICES - 1, 1]
    np.testing.assert_allclose(flip_affine(volume.grid.affine)[:, 3], last, atol=1e-6)
    np.testing.assert_array_equal(scanner.values[:, :, ::-1], volume.data[0].numpy())
    assert itk_grid(_by_itk(scanner.folder)).same_as(volume.grid, 1e-4)


def test_each_slice_has_its_own_slope_and_intercept(scanner):
    for k in range(SLICES):
        scanner.slice(k, RescaleSlope=str(1 + 0.5 * k), RescaleIntercept=str(-1024 + k))
    expected = scanner.values * (1 + 0.5 * np.arange(SLICES)) + np.arange(SLICES) - 1024
    np.testing.assert_allclose(read_image(scanner.folder).data[0].numpy(), expected, rtol=1e-6)


def test_gantry_tilt_is_kept_as_shear(scanner):
    """Slice origins that do not follow the normal: each must land on its own ImagePositionPatient."""
    scanner.lps[:3, 2] += [0.0, 1.3, 0.4]
    scanner.all()
    grid = read_image(scanner.folder).grid
    assert not grid.is_orthonormal
    np.testing.assert_allclose(flip_affine(grid.affine), scanner.lps, atol=1e-6)


def test_a_missing_slice_is_named(scanner):
    for k in (0, 1, 2, 4, 5):
        scanner.slice(k)
    message = _refused(scanner.folder, "slice-spacing")
    assert "7.40 mm between slices 3 and 4 (instances 3 and 5" in message and "median 3.70 mm" in message
    assert "interpolate_gaps=True" in message
    _refused(scanner.folder, "slice-spacing", kind="labels", interpolate_gaps=True)


def test_gaps_are_filled_linearly_when_asked(scanner):
    for k in (0, 1, 2, 4, 5):
        scanner.slice(k)
    volume = read_image(scanner.folder, interpolate_gaps=True)
    expected = scanner.values.astype(np.float32)
    expected[:, :, 3] = (expected[:, :, 2] + expected[:, :, 4]) / 2
    np.testing.assert_allclose(volume.data[0].numpy(), expected, atol=1e-2)
    np.testing.assert_allclose(flip_affine(volume.grid.affine), scanner.lps, atol=1e-6)


def test_rounded_positions_are_not_called_gaps(scanner):
    for k in range(SLICES):
        place = scanner.lps[:3, 3] + k * scanner.lps[:3, 2]
        scanner.slice(k, ImagePositionPatient=[f"{x:.2f}" for x in place])
    np.testing.assert_allclose(flip_affine(read_image(scanner.folder).grid.affine), scanner.lps, atol=0.01)


def test_copies_of_a_file_count_once(scanner):
    scanner.all()
    source = next(scanner.folder.iterdir())
    (scanner.folder / "copy.dcm").write_bytes(source.read_bytes())
    np.testing.assert_array_equal(read_image(scanner.folder).data[0].numpy(), scanner.values)


def test_two_slices_at_one_place_are_refused(scanner):
    scanner.all()
    scanner.slice(3, "again.dcm", InstanceNumber=77)
    message = _refused(scanner.folder, "slice-duplicate")
    assert "Found 7 slices at 6 positions" in message and "77" in message


def test_several_series_are_listed_and_one_is_chosen_even_in_a_subfolder(scanner):
    scanner.all()
    first, mine = scanner.series, scanner.values
    scanner.series, scanner.values = generate_uid(), scanner.values + 1
    for k in range(3):
        scanner.slice(k, f"deeper/{k}", SeriesNumber=6, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    message = _refused(scanner.folder, "series-ambiguous")
    assert "Found 2 series (5: MR, 6 slices of 11 x 13; 6: MR, 3 slices of 11 x 13, localiser)" in message
    assert "Or pass series='5' to" in message and first not in message
    np.testing.assert_array_equal(read_image(scanner.folder, series=first).data[0].numpy(), mine)
    assert read_image(scanner.folder, series=scanner.series).data.shape[3] == 3
    assert read_image(scanner.folder, series="6").data.shape[3] == 3
    _refused(scanner.folder, "series-ambiguous", series="9.9")


def test_series_that_share_a_number_are_told_apart_by_their_place(scanner):
    scanner.all()
    counts = {scanner.series: SLICES}
    for count in (3, 4):
        scanner.series = generate_uid()
        counts[scanner.series] = count
        for k in range(count):
            scanner.slice(k, f"{count}/{k}")
    first, second, third = (counts[uid] for uid in sorted(counts))
    message = _refused(scanner.folder, "series-ambiguous")
    assert f"(5.1: MR, {first} slices of 11 x 13; 5.2: MR, {second} slices" in message
    assert not any(uid in message for uid in counts)
    assert read_image(scanner.folder, series="5.3").data.shape[3] == third
    _refused(scanner.folder, "series-ambiguous", series="5")


def test_a_localiser_inside_the_series_is_named(scanner):
    scanner.all()
    scanner.slice(0, "scout.dcm", ImageOrientationPatient=["1", "0", "0", "0", "0", "-1"], ImageType=["LOCALIZER"])
    message = _refused(scanner.folder, "series-inconsistent")
    assert "Found 2 kinds of slice" in message and "1 slices of 11 x 13, localiser" in message


def test_slices_off_a_line_are_refused(scanner):
    scanner.all()
    place = scanner.lps[:3, 3] + 3 * scanner.lps[:3, 2] + 4 * scanner.lps[:3, 0]
    scanner.slice(3, f"{3 * 5 % SLICES}_3.dcm", ImagePositionPatient=[f"{x:.6f}" for x in place])
    _refused(scanner.folder, "slice-positions")


def test_folders_without_a_usable_series_say_what_they_hold(tmp_path, scanner):
    (tmp_path / "empty").mkdir()
    assert "no files" in _refused(tmp_path / "empty", "dicom-missing")
    scanner.slice(0, "frames.dcm", NumberOfFrames="4")
    (scanner.folder / "notes.txt").write_text("hello")
    message = _refused(scanner.folder, "dicom-missing")
    assert "1 multi-frame (enhanced) images" in message and "1 files that are not DICOM" in message
    assert "dcm2niix" in message


def test_foreign_files_beside_a_series_do_no_harm(scanner):
    scanner.all()
    (scanner.folder / "notes.txt").write_text("hello")
    (scanner.folder / "empty.dcm").write_bytes(b"")
    np.testing.assert_array_equal(read_image(scanner.folder).data[0].numpy(), scanner.values)


def test_one_slice_colour_truncation_and_memory(scanner):
    scanner.slice(0)
    _refused(scanner.folder, "single-slice")
    lone = read_image(scanner.folder, allow_degenerate=True)
    np.testing.assert_allclose(lone.grid.spacing[2], 2.0)
    scanner.all()
    _refused(scanner.folder, "memory", max_bytes=100)
    path = scanner.folder / "0_0.dcm"
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    message = _refused(scanner.folder, "decoding")
    assert "slice instance 1 " in message and "truncated or damaged" in message
    scanner.slice(0, SamplesPerPixel=3, PhotometricInterpretation="RGB")
    _refused(scanner.folder, "voxel-type")


def test_compressed_slices(scanner):
    scanner.all()
    for path in scanner.folder.iterdir():
        data = pydicom.dcmread(path)
        data.compress(RLELossless)
        data.save_as(path)
    np.testing.assert_array_equal(read_image(scanner.folder).data[0].numpy(), scanner.values)


def test_jpeg_2000_slices_that_pydicom_cannot_decode_alone(tmp_path, scanner):
    scanner.values = np.abs(scanner.values)
    scanner.all(RescaleSlope="2", RescaleIntercept="-10")
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG2000")
    writer.SetFileName(str(tmp_path / "encoded.dcm"))
    for path in scanner.folder.iterdir():
        data = pydicom.dcmread(path)
        writer.Execute(sitk.GetImageFromArray(data.pixel_array.astype(np.uint16)))
        encoded = pydicom.dcmread(tmp_path / "encoded.dcm")
        data.file_meta.TransferSyntaxUID = encoded.file_meta.TransferSyntaxUID
        data.PixelRepresentation = encoded.PixelRepresentation
        data.PixelData = encoded.PixelData
        data["PixelData"].VR = "OB"
        data["PixelData"].is_undefined_length = True
        data.save_as(path)
    assert "JPEG 2000" in data.file_meta.TransferSyntaxUID.name
    np.testing.assert_array_equal(read_image(scanner.folder).data[0].numpy(), scanner.values * 2.0 - 10)
