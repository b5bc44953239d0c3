"""Every bad file: what was found, what was expected, what to do."""

from __future__ import annotations

import gzip

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.itk import itk_image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.write import write_image
from Testing.Backend.refusals import refused

FORMATS = (".nii", ".nii.gz", ".nrrd", ".mha")


def _save(path, values: np.ndarray) -> None:
    if "nii" in path.name:
        nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2, 2, 1])), path)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(values.T), path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_nan_and_infinity_are_counted_and_may_be_replaced(tmp_path, suffix):
    values = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    values[0, 0, 1], values[2, 1, 0], values[1, 1, 1] = np.nan, np.inf, -np.inf
    path = tmp_path / f"image{suffix}"
    _save(path, values)
    with refused("nonfinite", "image", "3 of 60 voxels", suggests="replace_nonfinite"):
        read_image(path)
    data = read_image(path, replace_nonfinite=-7.0).data[0].numpy()
    np.testing.assert_array_equal(data, np.where(np.isfinite(values), values, -7.0))
    with refused("label-values", "3 voxels"):
        read_image(path, "labels")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_constant_image_is_refused_unless_allowed_but_an_empty_label_map_is_not(tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    _save(path, np.zeros((3, 4, 5), np.int16))
    with refused("constant-image", suggests="allow_degenerate"):
        read_image(path)
    assert read_image(path, allow_degenerate=True).data.sum() == 0
    assert read_image(path, "labels").data.sum() == 0


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("shape", [(6, 5, 1), (1, 6, 5), (6, 5)])
def test_one_slice_is_refused_unless_allowed(tmp_path, suffix, shape):
    path = tmp_path / f"image{suffix}"
    values = np.arange(30, dtype=np.int16).reshape(shape)
    _save(path, values)
    options = {"assume_geometry": len(shape) == 2}
    with refused("single-slice", suggests="allow_degenerate"):
        read_image(path, **options)
    allowed = read_image(path, allow_degenerate=True, **options).data[0].numpy()
    np.testing.assert_array_equal(allowed, values.reshape((*shape, 1)[:3]))


@pytest.mark.parametrize("suffix", FORMATS)
def test_labels_must_be_whole(tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    values = np.zeros((3, 4, 5), np.float32)
    values[1, 1, 1:3] = 2.5
    _save(path, values)
    with refused("label-values", "2 voxels", "such as 2.5"):
        read_image(path, "labels")
    values[1, 1, 1:3] = 7
    _save(path, values)
    assert read_image(path, "labels").data.unique().tolist() == [0, 7]


def test_labels_beyond_32_bits_are_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.full((2, 3, 4), 2**40), np.eye(4), dtype="int64"), tmp_path / "image.nii")
    with refused("label-range"):
        read_image(tmp_path / "image.nii", "labels")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kept", [0, 10, 100, 0.5, 0.98])
def test_a_truncated_file_is_called_damaged(tmp_path, scalar, suffix, kept):
    path = tmp_path / f"image{suffix}"
    write_image(scalar, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(len(whole) * kept)])
    with pytest.raises(ImageError, match=r"image\.\w+.*(truncated, damaged|Found)"):
        read_image(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_another_type_under_this_name_is_called_so(tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    for contents in (b"\x89PNG\r\n\x1a\n" + bytes(500), b"patient,age\n" * 100, gzip.compress(b"text" * 300)):
        path.write_bytes(contents)
        with refused("decoding"):
            read_image(path)


def test_a_png_named_nrrd_is_not_read_as_an_image(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(30, dtype=np.uint8).reshape(5, 6)), tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.nrrd")
    with refused("decoding"):
        read_image(tmp_path / "a.nrrd", assume_geometry=True, allow_degenerate=True)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("where", [0.3, 0.5, 0.7, 0.9])
def test_flipped_bits_in_compressed_voxels_are_noticed(tmp_path, scalar, suffix, where):
    path = tmp_path / f"image{suffix}"
    sitk.WriteImage(itk_image(scalar.data[0].numpy(), scalar.grid), path, useCompression=True)
    data = bytearray(path.read_bytes())
    data[int(len(data) * where)] ^= 0xFF
    path.write_bytes(data)
    with refused("decoding"):
        read_image(path)


def test_an_unknown_suffix_names_the_known_ones(tmp_path):
    (tmp_path / "scan.dcm").write_bytes(b"x")
    with refused("file-type", "scan.dcm"):
        read_image(tmp_path / "scan.dcm")
    with pytest.raises(FileNotFoundError, match="Found nothing at .*Check the path"):
        read_image(tmp_path / "absent.nii")
    with refused("image-kind"):
        read_image(tmp_path / "scan.dcm", "mask")


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_does_not_fit_in_memory_is_refused_before_it_is_read(tmp_path, scalar, suffix):
    path = tmp_path / f"image{suffix}"
    write_image(scalar, path)
    with refused("memory", "17 x 14 x 11"):
        read_image(path, max_bytes=17 * 14 * 11 * 4)
    assert read_image(path, max_bytes=17 * 14 * 11 * 16).data.shape[1:] == scalar.grid.shape


def test_a_header_that_promises_terabytes_is_refused(tmp_path, scalar):
    path = tmp_path / "image.nii"
    write_image(scalar, path)
    head = bytearray(path.read_bytes())
    head[42:48] = np.array([30000, 30000, 30000], dtype="<i2").tobytes()
    path.write_bytes(head)
    with refused("memory", "30000 x 30000 x 30000", "432000.0 GB"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha"])
def test_two_thousand_slices_are_read(tmp_path, nasty, suffix):
    tall = nasty.cropped((0, 0, 0), (6, 5, 2000))
    data = torch.arange(6 * 5 * 2000, dtype=torch.float32).reshape(1, 6, 5, 2000)
    write_image(Image(data, tall), tmp_path / f"tall{suffix}")
    back = read_image(tmp_path / f"tall{suffix}")
    assert torch.equal(back.data, data) and back.grid.same_as(tall, 5e-3)


def test_a_singular_affine_is_refused(tmp_path, scalar):
    path = tmp_path / "image.nii"
    write_image(scalar, path)
    head = bytearray(path.read_bytes())
    head[280:328] = bytes(48)
    path.write_bytes(head)
    with refused("header-affine", "image.nii"):
        read_image(path)


def test_colour_complex_and_displacements_are_no_volumes(tmp_path):
    rgb = np.zeros((3, 4, 5), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    for values in (rgb, np.zeros((3, 4, 5), np.complex64)):
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "image.nii")
        with refused("voxel-type"):
            read_image(tmp_path / "image.nii")
    field = nibabel.Nifti1Image(np.zeros((3, 4, 5, 1, 3), np.float32), np.eye(4))
    field.header["intent_code"] = 1007
    nibabel.save(field, tmp_path / "field.nii")
    with refused("not-an-image"):
        read_image(tmp_path / "field.nii")
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5, 2, 3), np.float32), np.eye(4)), tmp_path / "five.nii")
    with refused("image-dimensions"):
        read_image(tmp_path / "five.nii")
