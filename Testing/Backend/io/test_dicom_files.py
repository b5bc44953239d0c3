"""What lies in DICOM folders beside sound slices, and slices with damaged headers."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from SlicerSynthReg.errors import SynthRegError
from SlicerSynthReg.io.ct_series import find_ct_series
from SlicerSynthReg.io.read import read_image
from Testing.Backend.io.dicom_folder import SLICES, DicomFolder
from Testing.Backend.io.dicom_mutations import Mutations


@pytest.fixture
def folder(tmp_path, nasty) -> DicomFolder:
    return DicomFolder(tmp_path / "export", nasty)


@pytest.mark.parametrize("kept", ["meta", "data"], ids=["no preamble", "no preamble and no meta header"])
def test_files_without_preamble_are_read(folder, kept):
    folder.write_all()
    for path in folder.path.iterdir():
        whole = path.read_bytes()
        length = int.from_bytes(whole[140:144], "little")  # of the meta header, after its first element
        path.write_bytes(whole[132:] if kept == "meta" else whole[144 + length :])
    np.testing.assert_array_equal(folder.read_values(), folder.values)


def test_names_and_subfolders_do_not_matter(folder):
    for k in range(SLICES):
        folder.write(k, (f"a/b/{k}", f"c/{k}.IMA", f"I{k}.dicom")[k % 3])
    np.testing.assert_array_equal(folder.read_values(), folder.values)


def test_what_is_no_image_is_ignored_with_a_count(folder):
    folder.write_all()
    (folder.path / "notes.txt").write_text("hello")
    (folder.path / "empty.dcm").write_bytes(b"")
    (folder.path / "._0_0.dcm").write_bytes(b"\0\5\x16\7" + b"\0" * 200)
    (folder.path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (folder.path / "damaged.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 50)
    for modality in ("SEG", "RTSTRUCT", "SR", "PR", "DOC"):
        folder.write(0, f"{modality}.dcm", Modality=modality, SeriesInstanceUID="1.2.3.9")
    image = folder.read()
    np.testing.assert_array_equal(image.data[0].numpy(), folder.values)
    [warning] = image.warnings
    for words in ("2 files that are not DICOM", "1 damaged", "1 segmentations", "1 RT structure sets", "1 documents"):
        assert words in warning


@pytest.mark.parametrize("tag", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
@pytest.mark.parametrize("value", [b"", b"1", b"1\\2\\3\\4\\5\\6\\7\\8", b"left\\right", b"nan\\nan\\nan", b"\\\\"])
def test_a_slice_with_a_damaged_place_is_refused_by_its_number(folder, tag, value):
    folder.write_all()
    damage(folder, 3, tag, value)
    assert "1 image of the series (instance 4)" in str(folder.refusal("slice-position-missing"))
    assert find_ct_series(folder.path)[0] == []


@pytest.mark.parametrize("tag", ["SeriesNumber", "InstanceNumber", "SliceThickness", "AcquisitionNumber", "EchoTime"])
@pytest.mark.parametrize("value", [b"", b"1\\2", b"one"])
def test_damaged_tags_that_the_geometry_does_not_need_do_no_harm(folder, tag, value):
    folder.write_all(AcquisitionNumber=1, EchoTime="5")
    for k in range(SLICES):
        damage(folder, k, tag, value)
    np.testing.assert_array_equal(folder.read_values(), folder.values)


def damage(folder: DicomFolder, k: int, tag: str, value: bytes) -> None:
    """Write `value` as it is into a tag of slice `k`."""
    [path] = folder.path.glob(f"*_{k}_*")
    data = pydicom.dcmread(path)
    element = data[tag]
    kind = pydicom.dataelem.RawDataElement
    data._dict[element.tag] = kind(element.tag, element.VR, len(value), value, 0, False, True, True)
    data.save_as(path)


def test_mutated_files_are_read_or_refused(tmp_path):
    """A short run of Testing/Benchmarks/fuzz_dicom.py."""
    mutations = Mutations(tmp_path, seed=1)
    for _ in range(60):
        folder = mutations.next_folder()
        for read in (read_image, find_ct_series):
            try:
                read(folder)
            except SynthRegError as error:
                assert "Found " in str(error)
