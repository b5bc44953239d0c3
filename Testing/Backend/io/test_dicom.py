"""Geometry of DICOM folders, with SimpleITK's series reader as the reference, and the choice among several series."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.uid import generate_uid

from SlicerSynthReg.io.itk import itk_grid
from SlicerSynthReg.io.lps import flip_affine
from Testing.Backend.io.dicom_folder import SLICES, DicomFolder, ct_tags, read_by_simpleitk, refusal_of


@pytest.fixture
def folder(tmp_path, nasty) -> DicomFolder:
    return DicomFolder(tmp_path / "export", nasty)


def test_an_oblique_series_has_the_geometry_that_simpleitk_reads(folder):
    folder.write_all()
    image, reference = folder.read(), read_by_simpleitk(folder.path)
    assert image.name == "MR series 5" and image.modality == "mr" and image.warnings == ()
    assert itk_grid(reference).same_as(image.grid, 1e-4)
    np.testing.assert_allclose(flip_affine(image.grid.affine), folder.lps, atol=1e-6)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(reference).T, image.data[0].numpy())
    np.testing.assert_array_equal(folder.values, image.data[0].numpy())


def test_slices_are_sorted_by_position_not_by_instance_number(folder):
    folder.lps[:3, 2] *= -1
    folder.write_all()
    image = folder.read()
    last = folder.lps @ [0, 0, SLICES - 1, 1]
    np.testing.assert_allclose(flip_affine(image.grid.affine)[:, 3], last, atol=1e-6)
    np.testing.assert_array_equal(folder.values[:, :, ::-1], image.data[0].numpy())
    assert itk_grid(read_by_simpleitk(folder.path)).same_as(image.grid, 1e-4)


def test_gantry_tilt_is_kept_as_shear(folder):
    folder.lps[:3, 2] += [0.0, 1.3, 0.4]
    folder.write_all()
    grid = folder.read().grid
    assert not grid.is_orthonormal
    np.testing.assert_allclose(flip_affine(grid.affine), folder.lps, atol=1e-6)


def test_a_missing_slice_is_named(folder):
    for k in (0, 1, 2, 4, 5):
        folder.write(k)
    message = str(folder.refusal("slice-spacing"))
    assert "7.40 mm between slices 3 and 4 (instances 3 and 5" in message and "median 3.70 mm" in message
    assert "interpolate_gaps=True" in message
    folder.refusal("slice-spacing", kind="labels", interpolate_gaps=True)


def test_gaps_are_interpolated_linearly_on_request_and_reported(folder):
    for k in (0, 1, 2, 4, 5):
        folder.write(k)
    image = folder.read(interpolate_gaps=True)
    expected = folder.values.astype(np.float32)
    expected[:, :, 3] = (expected[:, :, 2] + expected[:, :, 4]) / 2
    np.testing.assert_allclose(image.data[0].numpy(), expected, atol=1e-2)
    np.testing.assert_allclose(flip_affine(image.grid.affine), folder.lps, atol=1e-6)
    assert "interpolated linearly" in image.warnings[0]


@pytest.mark.parametrize(("step_mm", "digits"), [(3.7, 2), (3.7, 1), (0.625, 1)])
def test_positions_rounded_to_a_tenth_of_a_millimetre_are_even(folder, step_mm, digits):
    folder.lps[:3, 2] *= step_mm / np.linalg.norm(folder.lps[:3, 2])
    for k in range(SLICES):
        folder.write(k, ImagePositionPatient=[f"{x:.{digits}f}" for x in folder.origin(k)])
    found = flip_affine(folder.read().grid.affine)
    np.testing.assert_allclose(found[:3, 3], folder.lps[:3, 3], atol=0.06)
    np.testing.assert_allclose(found[:3, 2], folder.lps[:3, 2], atol=0.03)


def test_directions_that_differ_in_the_sixth_decimal_are_one_volume(folder):
    for k in range(SLICES):
        cosines = folder.axes.ravel() + 1e-6 * (k % 3)
        folder.write(k, ImageOrientationPatient=[f"{x:.10g}"[:16] for x in cosines])
    np.testing.assert_allclose(flip_affine(folder.read().grid.affine), folder.lps, atol=1e-4)


def test_directions_rounded_to_three_decimals_are_normalised(folder):
    folder.write_all(ImageOrientationPatient=[f"{x:.3f}" for x in folder.axes.ravel()])
    grid = folder.read().grid
    np.testing.assert_allclose(grid.spacing, np.linalg.norm(folder.lps[:3, :3], axis=0), atol=1e-6)


def test_directions_beyond_the_tolerance_are_separate_volumes(folder):
    folder.write_all()
    folder.write_all(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    assert "orientation" in str(folder.refusal("series-ambiguous"))


def test_slices_off_a_line_are_refused(folder):
    for k in range(SLICES):
        off = 4 * folder.lps[:3, 0] * (k == 3)
        folder.write(k, ImagePositionPatient=[f"{x:.6f}" for x in folder.origin(k) + off])
    folder.refusal("slice-positions")


def test_several_series_are_listed_and_one_is_chosen_even_in_a_subfolder(folder):
    folder.write_all()
    first, first_values = folder.series, folder.values
    folder.series, folder.values = generate_uid(), folder.values + 1
    for k in range(3):
        folder.write(k, f"deeper/{k}", SeriesNumber=6, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    message = str(folder.refusal("series-ambiguous"))
    assert "Found 2 series (5: MR, 6 slices of 11 x 13; 6: MR, 3 slices of 11 x 13, localiser)" in message
    assert "Or pass series='5' to" in message and first not in message
    np.testing.assert_array_equal(folder.read_values(series=first), first_values)
    assert folder.read(series=folder.series).data.shape[3] == 3
    assert folder.read(series="6").data.shape[3] == 3
    folder.refusal("series-ambiguous", series="9.9")


def test_the_suggested_series_is_the_largest_and_never_the_localiser(folder):
    for k in range(3):
        folder.write(k, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SeriesNumber=1)
    folder.write_all(SeriesNumber=2, ImageType=["DERIVED", "PRIMARY", "ADC"])
    for k in range(5):
        folder.write(k, SeriesNumber=3)
    error = folder.refusal("series-ambiguous")
    assert error.suggestion.value == "3"
    assert folder.read(series=error.suggestion.value).data.shape[3] == 5


def test_series_that_share_a_number_are_numbered_within_it(folder):
    folder.write_all()
    counts = {folder.series: SLICES}
    for count in (3, 4):
        folder.series = generate_uid()
        counts[folder.series] = count
        for k in range(count):
            folder.write(k, f"{count}/{k}")
    first, second, third = (counts[uid] for uid in sorted(counts))
    message = str(folder.refusal("series-ambiguous"))
    assert f"(5.1: MR, {first} slices of 11 x 13; 5.2: MR, {second} slices" in message
    assert not any(uid in message for uid in counts)
    assert folder.read(series="5.3").data.shape[3] == third
    folder.refusal("series-ambiguous", series="5")


def test_a_localiser_within_the_series_is_listed_and_the_volume_suggested(folder):
    folder.write_all()
    folder.write(0, "scout.dcm", ImageOrientationPatient=[1, 0, 0, 0, 0, -1], ImageType=["LOCALIZER"])
    error = folder.refusal("series-ambiguous")
    assert "1 slice of 11 x 13, localiser" in str(error)
    np.testing.assert_array_equal(folder.read_values(series=error.suggestion.value), folder.values)


def test_folders_without_a_usable_series_state_what_they_hold(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    assert "no files" in str(refusal_of(tmp_path / "empty", "dicom-missing"))
    folder.write(0, "frames.dcm", NumberOfFrames="4")
    folder.write(1, "mosaic.IMA", ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
    folder.write(2, "roi", Modality="RTSTRUCT")
    (folder.path / "notes.txt").write_text("hello")
    message = str(folder.refusal("dicom-missing"))
    for words in ("1 multi-frame", "1 Siemens mosaic", "1 RT structure", "1 files that are not DICOM", "dcm2niix"):
        assert words in message


def test_a_single_slice_and_too_little_memory_are_refused(folder):
    folder.write(0)
    folder.refusal("single-slice")
    np.testing.assert_allclose(folder.read(allow_degenerate=True).grid.spacing[2], 2.0)
    folder.write_all(SeriesNumber=6)
    folder.refusal("memory", max_bytes=100, series="6")


def test_the_modality_of_ct_in_hu_is_ct(folder):
    folder.write_all(**ct_tags())
    assert folder.read().modality == "ct" and folder.read_values().min() < -1000


@pytest.mark.parametrize("tags", [{"RescaleType": "US"}, {"RescaleIntercept": None}])
def test_ct_that_is_not_stated_in_hu_has_no_modality_and_a_warning(folder, tags):
    folder.write_all(**ct_tags(**tags))
    image = folder.read()
    assert image.modality == "" and "expected" in image.warnings[0]
