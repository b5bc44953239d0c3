"""What the public functions accept as image, landmarks and transform."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from SlicerSynthReg.api.apply import apply_transform
from SlicerSynthReg.api.images import as_image, as_landmarks, as_transform, image_name
from SlicerSynthReg.errors import MissingFileError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.landmarks import Landmarks, write_landmarks
from SlicerSynthReg.io.transforms import write_transform
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.spatial.transform import Affine
from Testing.Backend.refusals import refused


@pytest.fixture
def an_image(an_oblique_anisotropic_left_handed_grid, a_ramp_on) -> Image:
    grid = an_oblique_anisotropic_left_handed_grid
    return Image(a_ramp_on(grid), grid, name="ramp")


def test_every_type_of_image_lies_at_one_place(an_image, tmp_path):
    path = tmp_path / "ramp.nii.gz"
    write_image(an_image, path)
    for source in (an_image, path, str(path), nibabel.load(path), sitk.ReadImage(str(path))):
        found = as_image(source)
        assert found.grid.same_as(an_image.grid, 1e-3)
        torch.testing.assert_close(found.data, an_image.data, rtol=0, atol=1e-4)


def test_labels_of_any_integer_type_become_int32(an_image):
    values = (an_image.data[0].numpy() > 0).astype(np.uint8)
    found = as_image(nibabel.Nifti1Image(values, an_image.grid.affine), "labels")
    assert found.kind == "labels" and found.data.dtype == torch.int32
    assert found.data[0].numpy().sum() == values.sum()


def test_a_frame_of_an_image_in_memory_is_chosen_like_that_of_a_file(an_image):
    values = np.stack([an_image.data[0].numpy(), -an_image.data[0].numpy()], axis=-1)
    series = nibabel.Nifti1Image(values, an_image.grid.affine)
    assert torch.equal(as_image(series, frame=1).data, -as_image(series, frame=0).data)
    with refused("frame-ambiguous", suggests="frame"):
        as_image(series)


def test_images_that_cannot_be_used_are_refused(an_image):
    with refused("image-kind"):
        as_image(an_image, "labels")
    with refused("image-type"):
        as_image(np.zeros((3, 3, 3)))
    with refused("constant-image", suggests="allow_degenerate"):
        as_image(nibabel.Nifti1Image(np.zeros((3, 4, 5)), np.eye(4)))
    with refused("image-dimensions"):
        as_image(nibabel.Nifti1Image(np.zeros((3, 4, 5, 1, 3)), np.eye(4)))


def test_landmarks_and_transforms_by_value_and_by_file(an_image, tmp_path):
    points = np.array([[1.0, 2, 3], [4, 5, 7]])
    write_landmarks(Landmarks(points), tmp_path / "points.csv")
    for source in (points, Landmarks(points), tmp_path / "points.csv"):
        np.testing.assert_allclose(as_landmarks(source).points_mm, points)
    matrix = np.eye(4)
    matrix[:3, 3] = 2, -1, 0.5
    write_transform(Affine(matrix), tmp_path / "shift.tfm", an_image.grid, an_image.grid)
    for transform in (matrix, Affine(matrix), tmp_path / "shift.tfm"):
        np.testing.assert_allclose(as_transform(transform).map_points(points), points + [2, -1, 0.5], atol=1e-6)


def test_names_identify_no_folder(an_image, tmp_path):
    assert image_name(tmp_path / "scan.nii.gz", "fixed") == "scan.nii.gz"
    assert image_name(tmp_path, "fixed") == "DICOM folder"
    assert image_name(an_image, "fixed") == "ramp"
    assert image_name(nibabel.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4)), "fixed") == "fixed"


def test_an_image_in_memory_is_checked_like_a_file(an_image):
    broken = Image(an_image.data.clone(), an_image.grid)
    broken.data[0, 1, 2, 3] = float("nan")
    with refused("nonfinite", suggests="replace_nonfinite"):
        as_image(broken)
    assert float(as_image(broken, replace_nonfinite=7.0).data[0, 1, 2, 3]) == 7.0
    assert broken.data.isnan().any(), "the source is not changed"
    both = Image(torch.cat([an_image.data, -an_image.data]), an_image.grid)
    assert as_image(both) is both and torch.equal(as_image(both, frame=1).data, -an_image.data)
    with refused("frame-range"):
        as_image(both, frame=2)


def test_voxels_that_are_no_real_numbers_are_refused():
    colours = np.zeros((3, 4, 5), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    for values in (colours, np.ones((3, 4, 5), np.complex64)):
        with refused("voxel-type"):
            as_image(nibabel.Nifti1Image(values, np.eye(4)))
    with refused("header-shape"):
        as_image(nibabel.Nifti1Image(np.zeros((0, 4, 5), np.float32), np.eye(4)))


def test_landmarks_and_transforms_of_other_types_are_refused():
    for points in ([[0.0, 1.0, 2.0]], np.array([["a", "b", "c"]]), 3):
        with refused("landmark-type"):
            as_landmarks(points)
    for transform in (np.eye(4).tolist(), np.full((4, 4), "a"), sitk.TranslationTransform(3), None):
        with refused("transform-type"):
            as_transform(transform)
    shift = np.eye(4)
    shift[:3, 3] = 5.0
    with refused("singular-matrix"):
        as_transform(shift.T)


@pytest.mark.parametrize("read", [as_image, as_landmarks, as_transform])
def test_a_missing_file_is_named_without_its_folder(read, tmp_path):
    name = {as_landmarks: "scan.csv", as_transform: "scan.h5"}.get(read, "scan.nii.gz")
    with pytest.raises(MissingFileError) as caught:
        read(tmp_path / "patient" / name)
    assert isinstance(caught.value, FileNotFoundError) and caught.value.code == "path-missing"
    assert str(caught.value).startswith(f"{name}: ") and "patient" not in str(caught.value)


def test_the_reference_of_a_transform_may_be_an_image_of_any_kind(an_image):
    labels = Image((an_image.data > 0).int(), an_image.grid, "labels")
    moved = apply_transform(an_image, np.eye(4), labels)
    torch.testing.assert_close(moved.data, an_image.data, rtol=0, atol=1e-3)
