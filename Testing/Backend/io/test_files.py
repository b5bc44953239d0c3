"""One oblique, anisotropic, left-handed grid through every reader and writer, against nibabel and SimpleITK."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.write import DERIVED_MARK, write_image
from SlicerSynthReg.spatial.grid import Grid
from Testing.Backend.refusals import refused

FORMATS = (".nii", ".nii.gz", ".nrrd", ".mha")
LPS = np.diag([-1.0, -1.0, 1.0])


@pytest.mark.parametrize("suffix", FORMATS)
def test_scalars_come_back_at_the_same_place(tmp_path, scalar, suffix):
    path = tmp_path / f"image{suffix}"
    write_image(scalar, path)
    back = read_image(path)
    assert back.name == "image" and back.kind == "scalar" and back.data.dtype == torch.float32
    torch.testing.assert_close(back.data, scalar.data, rtol=0, atol=0)
    assert back.grid.same_as(scalar.grid, 1e-4)


@pytest.mark.parametrize("suffix", FORMATS)
def test_simpleitk_places_every_voxel_where_we_do(tmp_path, scalar, suffix):
    path = tmp_path / f"image{suffix}"
    write_image(scalar, path)
    image = sitk.ReadImage(str(path))
    for index in ((0, 0, 0), (16, 3, 7), (2, 13, 10)):
        ours = scalar.grid.index_to_world(np.array([index]))[0]
        np.testing.assert_allclose(LPS @ image.TransformIndexToPhysicalPoint(index), ours, atol=1e-4)
        assert image.GetPixel(index) == float(scalar.data[(0, *index)])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nibabel_and_simpleitk_agree_after_the_flip(tmp_path, scalar, suffix):
    path = tmp_path / f"image{suffix}"
    write_image(scalar, path)
    by_nibabel, by_itk, ours = nibabel.load(path), sitk.ReadImage(str(path)), read_image(path)
    axes = LPS @ np.array(by_itk.GetDirection()).reshape(3, 3) * np.array(by_itk.GetSpacing())
    np.testing.assert_allclose(axes, by_nibabel.affine[:3, :3], atol=1e-5)
    np.testing.assert_allclose(LPS @ by_itk.GetOrigin(), by_nibabel.affine[:3, 3], atol=1e-4)
    np.testing.assert_array_equal(ours.grid.affine, by_nibabel.affine)
    np.testing.assert_allclose(by_nibabel.header.get_qform(), by_nibabel.header.get_sform(), atol=1e-5)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0, 255, "uint8"), (-1, 300, "int16"), (0, 60000, "uint16"), (0, 70000, "int32")]
)
def test_labels_take_the_smallest_integer_type(tmp_path, nasty, suffix, low, high, expected):
    data = torch.full((1, *nasty.shape), low, dtype=torch.int32)
    data[0, 3, 2, 1] = high
    path = tmp_path / f"labels{suffix}"
    write_image(Image(data, nasty, "labels"), path)
    stored = (
        nibabel.load(path).get_data_dtype() if "nii" in suffix else sitk.GetArrayFromImage(sitk.ReadImage(path)).dtype
    )
    assert stored == np.dtype(expected)
    assert torch.equal(read_image(path, "labels").data, data)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_are_written_as_float32(tmp_path, scalar, suffix, dtype):
    path = tmp_path / f"image{suffix}"
    write_image(Image(scalar.data.to(dtype), scalar.grid), path)
    torch.testing.assert_close(read_image(path).data, scalar.data.to(dtype).float(), rtol=0, atol=0)


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_header_says_derived_only_when_it_is(tmp_path, scalar, suffix):
    for derived in (True, False):
        path = tmp_path / f"image{suffix}"
        write_image(scalar, path, derived)
        head = nibabel.load(path).header["descrip"].tobytes() if "nii" in suffix else path.read_bytes()[:2000]
        assert (DERIVED_MARK.encode() in head) == derived


@pytest.mark.parametrize("suffix", FORMATS)
def test_channels_come_back_when_asked_for_and_only_then(tmp_path, scalar, suffix):
    two = Image(torch.cat([scalar.data, 2 * scalar.data + 1]), scalar.grid)
    path = tmp_path / f"two{suffix}"
    write_image(two, path)
    torch.testing.assert_close(read_image(path, frame="all").data, two.data, rtol=0, atol=0)
    torch.testing.assert_close(read_image(path, frame=1).data, two.data[1:], rtol=0, atol=0)
    with refused("frame-ambiguous", "2 frames", suggests="frame"):
        read_image(path)
    with refused("frame-range", "0 to 1"):
        read_image(path, frame=2)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_sheared_grid_is_kept(tmp_path, sheared, scalar, suffix):
    path = tmp_path / f"sheared{suffix}"
    write_image(Image(scalar.data, sheared), path)
    back = read_image(path)
    assert back.grid.same_as(sheared, 1e-4) and not back.grid.is_orthonormal
    if "nii" in suffix:
        assert int(nibabel.load(path).header["qform_code"]) == 0


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_integer_and_float_type_is_read(tmp_path, nasty, suffix):
    values = (np.arange(np.prod(nasty.shape)) % 120).reshape(nasty.shape)
    for dtype in ("uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"):
        path = tmp_path / f"{dtype}{suffix}"
        if "nii" in suffix:
            nibabel.save(nibabel.Nifti1Image(values.astype(dtype), nasty.affine, dtype=dtype), path)
        else:
            sitk.WriteImage(sitk.GetImageFromArray(values.astype(dtype).T), path)
        np.testing.assert_array_equal(read_image(path).data[0].numpy(), values)
        np.testing.assert_array_equal(read_image(path, "labels").data[0].numpy(), values)


def test_a_detached_header_is_read(tmp_path, scalar):
    write_image(scalar, tmp_path / "image.mha")
    image = sitk.ReadImage(tmp_path / "image.mha")
    for name in ("split.mhd", "split.nhdr"):
        sitk.WriteImage(image, tmp_path / name)
        back = read_image(tmp_path / name)
        assert back.grid.same_as(scalar.grid, 1e-4)
        torch.testing.assert_close(back.data, scalar.data, rtol=0, atol=0)


def _nrrd(path, space: str, units: str = "") -> None:
    """2 x 3 x 4 voxels: axes (2, 0, 0), (0, 3, 0), (0, 0, 5), origin (10, 20, 30), in the words of `space`."""
    lines = ["NRRD0005", "type: short", "dimension: 3", space, "sizes: 2 3 4"]
    lines += [
        "space directions: (2,0,0) (0,3,0) (0,0,5)",
        "space origin: (10,20,30)",
        "encoding: raw",
        "endian: little",
    ]
    path.write_bytes(
        "\n".join([*lines, *([units] if units else []), "", ""]).encode() + np.arange(24, dtype="<i2").tobytes()
    )


@pytest.mark.parametrize(
    ("space", "signs"),
    [("right-anterior-superior", (1, 1, 1)), ("left-posterior-superior", (-1, -1, 1)), ("LAS", (-1, 1, 1))],
)
def test_nrrd_spaces(tmp_path, space, signs):
    _nrrd(tmp_path / "image.nrrd", f"space: {space}")
    volume = read_image(tmp_path / "image.nrrd")
    expected = np.diag([*signs, 1]) @ np.array([[2, 0, 0, 10], [0, 3, 0, 20], [0, 0, 5, 30], [0, 0, 0, 1]])
    np.testing.assert_allclose(volume.grid.affine, expected)
    assert volume.data[0, 1, 2, 3] == 23 and volume.data[0, 1, 0, 0] == 1


def test_nrrd_lengths_in_microns(tmp_path):
    _nrrd(tmp_path / "image.nrrd", "space: RAS", 'space units: "um" "um" "um"')
    np.testing.assert_allclose(read_image(tmp_path / "image.nrrd").grid.spacing, [0.002, 0.003, 0.005])


def test_nrrd_without_an_anatomical_space_is_refused_unless_assumed(tmp_path):
    _nrrd(tmp_path / "image.nrrd", "space dimension: 3")
    with refused("geometry-missing", suggests="assume_geometry"):
        read_image(tmp_path / "image.nrrd")
    assumed = read_image(tmp_path / "image.nrrd", assume_geometry=True).grid
    np.testing.assert_allclose(assumed.affine[:3, :3], np.diag([2, 3, 5]))
    np.testing.assert_allclose(assumed.center_mm, 0, atol=1e-12)


@pytest.mark.parametrize(("code", "to_mm"), [(0, 1.0), (1, 1000.0), (2, 1.0), (3, 0.001)])
def test_nifti_units(tmp_path, scalar, code, to_mm):
    affine = np.diag([1 / to_mm] * 3 + [1]) @ scalar.grid.affine
    image = nibabel.Nifti1Image(scalar.data[0].numpy(), affine)
    image.header["xyzt_units"] = code + 8
    nibabel.save(image, tmp_path / "image.nii")
    expected = Grid(scalar.grid.shape, np.diag([to_mm] * 3 + [1]) @ nibabel.load(tmp_path / "image.nii").affine)
    assert read_image(tmp_path / "image.nii").grid.same_as(expected, 1e-6)
    if to_mm != 1:
        image.set_sform(np.diag([2.0 if to_mm > 1 else 0.5] * 3 + [1]))
        nibabel.save(image, tmp_path / "image.nii")
        with refused("header-spacing"):
            read_image(tmp_path / "image.nii")


def _nifti(path, grid: Grid, sform: int, qform: int, slope: float = 1.0, inter: float = 0.0) -> np.ndarray:
    """Raw integers with an sform on `grid` and a qform 5 mm to the right."""
    raw = np.arange(grid.voxel_count, dtype=np.int16).reshape(grid.shape)
    image = nibabel.Nifti1Image(raw, None)
    shifted = grid.affine.copy()
    shifted[0, 3] += 5
    image.header.set_qform(shifted, code=qform)
    image.header.set_sform(grid.affine, code=sform)
    image.header.set_slope_inter(slope, inter)
    nibabel.save(nibabel.Nifti1Image(raw, None, image.header), path)
    if slope != 1:
        head = bytearray(path.read_bytes())
        head[112:120] = np.array([slope, inter], dtype="<f4").tobytes()
        path.write_bytes(head)
    return raw


@pytest.mark.parametrize(("sform", "qform", "right_mm"), [(1, 1, 0), (2, 0, 0), (0, 1, 5), (4, 1, 0)])
def test_nifti_sform_wins_over_qform(tmp_path, nasty, sform, qform, right_mm):
    _nifti(tmp_path / "image.nii", nasty, sform, qform)
    moved = read_image(tmp_path / "image.nii").grid.affine - nasty.affine
    np.testing.assert_allclose(moved, [[0, 0, 0, right_mm], [0] * 4, [0] * 4, [0] * 4], atol=1e-4)


def test_nifti_without_codes_is_refused_unless_assumed(tmp_path, nasty):
    _nifti(tmp_path / "image.nii", nasty, 0, 0)
    with refused("geometry-missing", suggests="assume_geometry"):
        read_image(tmp_path / "image.nii")
    assumed = read_image(tmp_path / "image.nii", assume_geometry=True).grid
    np.testing.assert_allclose(assumed.affine[:3, :3], np.diag(nasty.spacing), atol=1e-5)
    np.testing.assert_allclose(assumed.center_mm, 0, atol=1e-5)


def test_nifti_slope_and_intercept(tmp_path, nasty):
    raw = _nifti(tmp_path / "image.nii", nasty, 1, 1, slope=0.5, inter=-1000)
    np.testing.assert_array_equal(read_image(tmp_path / "image.nii").data[0].numpy(), raw * 0.5 - 1000)
    with refused("label-values"):
        read_image(tmp_path / "image.nii", "labels")
