"""Which slices of a DICOM series are one volume, and which are several."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import generate_uid

from SlicerSynthReg.io.lps import flip_affine
from Testing.Backend.io.dicom_folder import SLICES, DicomFolder, ct_tags


@pytest.fixture
def folder(tmp_path, nasty) -> DicomFolder:
    return DicomFolder(tmp_path / "export", nasty)


def write_two(folder: DicomFolder, first: dict, second: dict, offset: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Write two volumes of one series; return their values."""
    folder.write_all(**first)
    values = folder.values
    folder.values = values[::-1] + 7
    folder.write_all(offset, **second)
    return values, folder.values


def assert_separated(folder: DicomFolder, words: str, *expected: np.ndarray) -> None:
    """Assert that the volumes are listed, separated by `words`, and each readable by its number."""
    error = folder.refusal("series-ambiguous")
    assert f"Found {len(expected)} volumes in 1 series" in str(error) and words in str(error), error
    assert error.suggestion.value.startswith("5.")
    for n, values in enumerate(expected, start=1):
        np.testing.assert_array_equal(folder.read_values(series=f"5.{n}"), values)


@pytest.mark.parametrize("offset", [0.5, 0.3])
def test_acquisitions_a_part_of_a_slice_apart_are_two_volumes(folder, offset):
    assert_separated(
        folder, "acquisition 1", *write_two(folder, {"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}, offset)
    )


@pytest.mark.parametrize(
    ("tag", "first", "second", "words"),
    [
        ("AcquisitionNumber", 1, 2, "acquisition 1"),
        ("EchoTime", "4.6", "30", "echo time 4.6"),
        ("DiffusionBValue", 0.0, 1000.0, "b-value 1000"),
        ("TemporalPositionIdentifier", 1, 2, "time point 2"),
        ("ImageType", ["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"], "image type M"),
        ("ConvolutionKernel", "B30f", "B70f", "kernel B70f"),
        ("TriggerTime", "0", "410.5", "trigger time 410.5"),
        ("StackID", "1", "2", "stack 2"),
        ("FrameOfReferenceUID", "1.2.3.4", "1.2.3.5", "frame of reference 1 of 2"),
    ],
)
def test_volumes_at_the_same_positions_are_separated_by_a_tag(folder, tag, first, second, words):
    assert_separated(folder, words, *write_two(folder, {tag: first}, {tag: second}))


@pytest.mark.parametrize("tag", ["AcquisitionTime", "ContentTime"])
def test_repeated_positions_are_separated_by_time(folder, tag):
    assert_separated(folder, "time 1 of 2", *write_two(folder, {tag: "101530.25"}, {tag: "101530.75"}))


def test_repeated_positions_are_separated_by_the_order_of_times_that_differ_in_every_slice(folder):
    values = folder.values
    for time in range(2):
        folder.values = values + time
        for k in range(SLICES):
            folder.write(k, ContentTime=f"{100000 + 10 * time + k}")
    assert_separated(folder, "content time 1 of 2", values, values + 1)


def test_repeated_positions_without_any_tag_are_separated_by_instance_number(folder):
    values = folder.values
    for time in range(2):
        folder.values = values + time
        for k in range(SLICES):
            folder.write(k, InstanceNumber=1 + time * SLICES + k)
    assert_separated(folder, "instance number 1 of 2", values, values + 1)


def test_two_tags_together_separate_four_volumes(folder):
    written = []
    base = folder.values
    for n, (echo, kind) in enumerate((e, t) for t in "MP" for e in ("5", "30")):
        folder.values = base + n
        folder.write_all(EchoTime=echo, ImageType=["ORIGINAL", "PRIMARY", kind])
        written.append(folder.values)
    assert_separated(folder, "image type M, echo time 5", *written)


def test_gradient_directions_of_one_b_value_are_separated(folder):
    base = folder.values
    folder.write_all(DiffusionBValue=0.0)
    for n, direction in enumerate(([1.0, 0.0, 0.0], [0.0, 1.0, 0.0])):
        folder.values = base + n + 1
        folder.write_all(DiffusionBValue=1000.0, DiffusionGradientOrientation=direction)
    assert "Found 3 volumes" in str(folder.refusal("series-ambiguous"))


@pytest.mark.parametrize("tag", ["AcquisitionNumber", "ContentTime", "AcquisitionTime", "EchoTime"])
def test_a_tag_that_differs_in_every_slice_does_not_divide_a_volume(folder, tag):
    for k in range(SLICES):
        folder.write(k, **{tag: str(101500 + k)})
    np.testing.assert_array_equal(folder.read_values(), folder.values)


def test_an_interleaved_acquisition_in_two_passes_is_one_volume(folder):
    for k in range(SLICES):
        folder.write(k, AcquisitionTime=f"10153{k % 2}")
    np.testing.assert_array_equal(folder.read_values(), folder.values)


def test_image_types_that_differ_between_halves_do_not_divide_a_volume(folder):
    for k in range(SLICES):
        folder.write(k, ImageType=["ORIGINAL", "PRIMARY", "AXIAL" if k < 3 else "HELIX"])
    np.testing.assert_array_equal(folder.read_values(), folder.values)


def test_a_phase_with_a_missing_slice_is_still_separated(folder):
    folder.write_all(AcquisitionNumber=1)
    for k in (0, 1, 3, 4, 5):
        folder.write(k + 0.4, AcquisitionNumber=2)
    error = folder.refusal("series-ambiguous")
    assert error.suggestion.value == "5.1" and "uneven" in str(error)


def test_copies_of_a_file_count_once_with_a_warning(folder):
    folder.write_all()
    source = next(folder.path.iterdir())
    (folder.path / "copy.dcm").write_bytes(source.read_bytes())
    image = folder.read()
    np.testing.assert_array_equal(image.data[0].numpy(), folder.values)
    assert "1 slice with pixels and position equal" in image.warnings[0]


def test_a_copy_under_another_instance_uid_counts_once_with_a_warning(folder):
    folder.write_all()
    folder.write(3, "again.dcm", InstanceNumber=77)
    assert "copies were left out" in folder.read().warnings[0]


def test_anonymised_slices_that_share_one_instance_uid_are_all_kept(folder):
    folder.write_all(SOPInstanceUID="1.2.3.4")
    np.testing.assert_array_equal(folder.read_values(), folder.values)


def test_anonymised_phases_that_share_one_instance_uid_are_all_kept(folder):
    uid = {"SOPInstanceUID": "1.2.3.4"}
    first, second = write_two(folder, {"AcquisitionNumber": 1, **uid}, {"AcquisitionNumber": 2, **uid}, 0.5)
    assert_separated(folder, "acquisition 1", first, second)


def test_two_different_slices_at_one_position_are_refused(folder):
    folder.write_all()
    folder.values = folder.values + 1
    folder.write(3, "again.dcm", InstanceNumber=77)
    message = str(folder.refusal("slice-duplicate"))
    assert "Found 7 slices at 6 positions" in message and "77" in message


def test_time_points_are_frames_of_one_image_on_request(folder):
    base = folder.values
    for time in range(3):
        folder.values = base + time
        folder.write_all(TemporalPositionIdentifier=time + 1)
    image = folder.read(frame="all")
    assert image.data.shape[0] == 3
    np.testing.assert_array_equal(image.data[2].numpy(), base + 2)
    np.testing.assert_array_equal(folder.read_values(frame=1), base + 1)
    folder.refusal("frame-range", frame=3)


def test_echoes_are_not_frames(folder):
    write_two(folder, {"EchoTime": "5"}, {"EchoTime": "30"})
    folder.refusal("series-ambiguous", frame="all")


def test_series_under_one_anonymised_uid_are_separated_by_their_number(folder):
    folder.write_all(SeriesNumber=5)
    folder.write_all(SeriesNumber=6)
    assert folder.refusal("series-ambiguous").suggestion.value == "5"


def test_enhanced_multi_frame_equals_its_frames_in_position(folder):
    folder.write_enhanced()
    image = folder.read()
    np.testing.assert_array_equal(image.data[0].numpy(), folder.values * 2.0 + np.arange(SLICES))
    np.testing.assert_allclose(flip_affine(image.grid.affine), folder.lps, atol=1e-6)


def test_enhanced_multi_frame_with_two_time_points_is_two_volumes(folder):
    folder.write_enhanced(times=2)
    base = folder.values * 2.0 + np.arange(SLICES)
    assert_separated(folder, "time index 2", base, base + 2)
    assert folder.read(frame="all").data.shape[0] == 2


def test_phases_of_ct_half_a_slice_apart_are_two_volumes_even_if_the_series_has_two_kinds_of_uid(folder):
    frame = generate_uid()
    first, second = ct_tags(AcquisitionNumber=1, FrameOfReferenceUID=frame), ct_tags(AcquisitionNumber=2)
    a, b = write_two(folder, first, second, 0.5)
    assert "Found 2 volumes" in str(folder.refusal("series-ambiguous"))
    values = [folder.read_values(series=f"5.{n}") for n in (1, 2)]
    assert sorted(float(v.mean()) for v in values) == pytest.approx(
        sorted(float(v.mean()) - 1024 for v in (a, b)), abs=0.01
    )
