"""Our transform files, read back by SimpleITK and by ourselves, do what our own transforms do."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.spatial.transform import Rotation

from SlicerSynthReg.io.itk import itk_image
from SlicerSynthReg.io.lps import flip_vectors
from SlicerSynthReg.io.transforms import read_transform, write_transform
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Affine, Composite, Displacement, Velocity
from Testing.Backend.refusals import refused

FILES = (".tfm", ".h5", ".nii.gz")
KINDS = ("affine", "displacement", "velocity", "coarse velocity", "composite")


def _smooth(grid: Grid, size: float) -> torch.Tensor:
    """(3, I, J, K) voxels, different along each axis, fading towards the border so that nothing leaves the grid."""
    i, j, k = np.meshgrid(*(np.linspace(0, np.pi, n) for n in grid.shape), indexing="ij")
    bump = np.sin(i) * np.sin(j) * np.sin(k)
    parts = np.stack([bump * np.cos(0.5 * j), -0.7 * bump * np.sin(0.3 + i), 0.5 * bump * np.cos(k + 0.2 * i)])
    return torch.from_numpy((size * parts).astype(np.float32))


@pytest.fixture
def affine(nasty) -> Affine:
    """Turn, scaling, shear and shift about the centre: no element of the matrix is symmetric."""
    linear = Rotation.from_euler("zyx", [7, -4, 5], degrees=True).as_matrix() @ np.diag([1.05, 0.97, 1.02])
    linear[0, 1] += 0.04
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = nasty.center_mm - linear @ nasty.center_mm + [1.5, -2.0, 0.8]
    return Affine(matrix)


@pytest.fixture
def transforms(nasty, affine):
    coarse = nasty.resampled(tuple(nasty.spacing * 1.7))
    dense = Displacement(_smooth(nasty, 1.5), nasty)
    return {
        "affine": affine,
        "displacement": dense,
        "velocity": Velocity(_smooth(nasty, 1.2), nasty),
        "coarse velocity": Velocity(_smooth(coarse, 0.9), coarse),
        "composite": Composite((Velocity(_smooth(nasty, 1.0), nasty), affine, dense)),
    }


def _itk(path) -> sitk.Transform:
    if path.name.endswith(".nii.gz"):
        return sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
    return sitk.ReadTransform(str(path))


def _itk_resampled(moving, fixed: Grid, transform: sitk.Transform) -> np.ndarray:
    image = itk_image(moving.data[0].numpy(), moving.grid)
    reference = itk_image(np.zeros(fixed.shape, np.uint8), fixed)
    return sitk.GetArrayFromImage(sitk.Resample(image, reference, transform, sitk.sitkLinear, 0.0, sitk.sitkFloat32)).T


def _inside(transform, fixed: Grid, moving: Grid, margin: float = 0.0) -> np.ndarray:
    """Where the fixed voxel lands between the first and last voxel centres of the moving grid."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in fixed.shape), indexing="ij"), -1).reshape(-1, 3)
    there = moving.world_to_index(transform.map_points(fixed.index_to_world(index)))
    return ((there >= margin) & (there <= np.array(moving.shape) - 1 - margin)).all(1).reshape(fixed.shape)


def _itk_points(transform: sitk.Transform, points: np.ndarray) -> np.ndarray:
    return flip_vectors(np.array([transform.TransformPoint(p) for p in flip_vectors(points).tolist()]))


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("kind", KINDS)
def test_simpleitk_resamples_through_our_file_as_we_do(tmp_path, transforms, moving, nasty, kind, suffix):
    path = tmp_path / f"transform{suffix}"
    write_transform(transforms[kind], path, nasty, moving.grid)
    ours = moving.resampled(nasty, transforms[kind]).data[0].numpy()
    theirs = _itk_resampled(moving, nasty, _itk(path))
    inside = _inside(transforms[kind], nasty, moving.grid, 0.01)
    assert inside.mean() > 0.3
    span = float(moving.data.max() - moving.data.min())
    error = np.abs(ours - theirs)[inside].max() / span
    wrong = moving.resampled(nasty, transforms[kind].inverse()).data[0].numpy()
    still = moving.resampled(nasty).data[0].numpy()
    assert error < 1e-4
    assert min(np.abs(wrong - theirs)[inside].max(), np.abs(still - theirs)[inside].max()) > 0.02 * span


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_inverse_is_written_by_the_same_function(tmp_path, transforms, scalar, other, kind, suffix):
    """From the moving grid back to the fixed one."""
    inverse = transforms[kind].inverse()
    path = tmp_path / f"inverse{suffix}"
    write_transform(inverse, path, other, scalar.grid)
    ours = scalar.resampled(other, inverse).data[0].numpy()
    theirs = _itk_resampled(scalar, other, _itk(path))
    inside = _inside(inverse, other, scalar.grid, 0.01)
    assert np.abs(ours - theirs)[inside].max() < 1e-4 * float(scalar.data.max() - scalar.data.min())


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("kind", KINDS)
def test_landmarks_follow_itk_to_a_micron_or_less(tmp_path, transforms, nasty, other, kind, suffix):
    path = tmp_path / f"transform{suffix}"
    write_transform(transforms[kind], path, nasty, other)
    index = np.random.default_rng(3).integers(0, nasty.shape, (40, 3)).astype(float)
    if kind in ("affine", "displacement", "velocity"):
        index[:20] += np.random.default_rng(4).uniform(-0.4, 0.4, (20, 3))
        index = np.clip(index, 0, np.array(nasty.shape) - 1)
    points = nasty.index_to_world(index)
    expected = transforms[kind].map_points(points)
    assert np.linalg.norm(expected - points, axis=1).max() > 1
    np.testing.assert_allclose(_itk_points(_itk(path), points), expected, atol=1e-3)
    np.testing.assert_allclose(read_transform(path).map_points(points), expected, atol=1e-3)


@pytest.mark.parametrize("suffix", FILES)
def test_itk_and_we_move_points_outside_the_field_by_zero(tmp_path, transforms, nasty, other, suffix):
    path = tmp_path / f"transform{suffix}"
    write_transform(transforms["displacement"], path, nasty, other)
    outside = nasty.index_to_world(np.array([[-0.7, 3, 3], [5, 13.8, 2], [5, 5, 400.0]]))
    np.testing.assert_allclose(_itk_points(_itk(path), outside), outside, atol=1e-9)
    np.testing.assert_allclose(read_transform(path).map_points(outside), outside, atol=1e-9)


@pytest.mark.parametrize("suffix", FILES)
def test_types_come_back(tmp_path, transforms, nasty, other, suffix):
    for kind in KINDS:
        path = tmp_path / f"transform{suffix}"
        write_transform(transforms[kind], path, nasty, other)
        back = read_transform(path)
        if kind == "affine" and suffix != ".nii.gz":
            assert isinstance(back, Affine)
            np.testing.assert_allclose(back.matrix, transforms[kind].matrix, atol=1e-10)
        elif kind == "composite" and suffix == ".h5":
            assert isinstance(back, Composite) and len(back.parts) == len(transforms[kind].parts)
            points = nasty.index_to_world(np.random.default_rng(3).uniform(0, np.array(nasty.shape) - 1, (100, 3)))
            np.testing.assert_allclose(back.map_points(points), transforms[kind].map_points(points), atol=1e-4)
        else:
            assert isinstance(back, Displacement)
            assert back.grid.same_as(nasty, 1e-4) and back.grid.is_left_handed
            torch.testing.assert_close(back.u_vox, transforms[kind].on(nasty).u_vox, atol=2e-5, rtol=1e-5)


def test_a_composite_of_affines_is_one_affine_in_the_right_order(tmp_path, affine, nasty):
    second = Affine(np.array([[0, -1, 0, 20], [1, 0, 0, 5], [0, 0, 1, 3], [0, 0, 0, 1.0]]))
    there = Grid(nasty.shape, second.matrix @ affine.matrix @ nasty.affine)
    write_transform(Composite((affine, second)), tmp_path / "both.tfm", nasty, there)
    points = nasty.index_to_world(nasty.corner_indices())
    back = read_transform(tmp_path / "both.tfm")
    assert isinstance(back, Affine)
    np.testing.assert_allclose(back.map_points(points), second.map_points(affine.map_points(points)), atol=1e-9)
    assert np.abs(back.map_points(points) - affine.map_points(second.map_points(points))).max() > 1


@pytest.mark.parametrize("suffix", [".tfm", ".h5"])
def test_itk_composites_apply_their_last_part_first(tmp_path, affine, nasty, transforms, suffix):
    field = itk_image(np.zeros((*nasty.shape, 3)), nasty)
    write_transform(transforms["displacement"], tmp_path / "field.h5", nasty, nasty)
    field = sitk.ReadTransform(str(tmp_path / "field.h5"))
    rigid = sitk.Euler3DTransform((10.0, -5.0, 30.0), 0.1, -0.2, 0.3, (1.0, 2.0, 3.0))
    composite = sitk.CompositeTransform([rigid, field])
    sitk.WriteTransform(composite, str(tmp_path / f"composite{suffix}"))
    back = read_transform(tmp_path / f"composite{suffix}")
    assert isinstance(back, Composite) and isinstance(back.parts[0], Displacement) and isinstance(back.parts[1], Affine)
    points = nasty.index_to_world(np.random.default_rng(5).uniform(1, 9, (30, 3)))
    np.testing.assert_allclose(back.map_points(points), _itk_points(composite, points), atol=1e-4)


def test_every_linear_itk_transform_becomes_an_affine(tmp_path, nasty):
    euler = sitk.Euler3DTransform((1.0, 2.0, 3.0), 0.3, -0.1, 0.2, (4.0, 5.0, 6.0))
    similarity = sitk.Similarity3DTransform()
    similarity.SetScale(1.2)
    similarity.SetRotation((0, 0, 1), 0.3)
    points = nasty.index_to_world(nasty.corner_indices())
    for transform in (
        euler,
        similarity,
        sitk.TranslationTransform(3, (1.0, 2.0, 3.0)),
        sitk.Transform(3, sitk.sitkIdentity),
    ):
        sitk.WriteTransform(transform, str(tmp_path / "linear.tfm"))
        back = read_transform(tmp_path / "linear.tfm")
        assert isinstance(back, Affine)
        np.testing.assert_allclose(back.map_points(points), _itk_points(transform, points), atol=1e-9)


@pytest.mark.parametrize("deep", [False, True])
def test_the_affine_of_older_ants_and_itk_snap_is_read(tmp_path, nasty, deep):
    """SimpleITK knows no MatrixOffsetTransformBase and hands over a composite that contains itself."""
    head = "#Insight Transform File V1.0\n"
    if deep:
        head += "#Transform 0\nTransform: CompositeTransform_double_3_3\n"
    numbers = "Parameters: 1 0.1 0 -0.2 1 0.3 0 0 1.1 5 6 7\nFixedParameters: 10 20 30\n"
    text = f"{head}#Transform {int(deep)}\nTransform: MatrixOffsetTransformBase_double_3_3\n{numbers}"
    (tmp_path / "old.txt").write_text(text)
    back = read_transform(tmp_path / "old.txt")
    matrix, centre = np.array([[1, 0.1, 0], [-0.2, 1, 0.3], [0, 0, 1.1]]), np.array([10.0, 20, 30])
    points = nasty.index_to_world(nasty.corner_indices())
    expected = flip_vectors((flip_vectors(points) - centre) @ matrix.T + centre + [5, 6, 7])
    assert isinstance(back, Affine)
    np.testing.assert_allclose(back.map_points(points), expected, atol=1e-9)


def test_a_bspline_is_sampled_on_a_grid_when_one_is_given(tmp_path, nasty):
    spline = sitk.BSplineTransformInitializer(itk_image(np.zeros(nasty.shape, np.uint8), nasty), [4, 4, 4])
    spline.SetParameters(np.random.default_rng(0).uniform(-2, 2, len(spline.GetParameters())).tolist())
    sitk.WriteTransform(spline, str(tmp_path / "spline.tfm"))
    with refused("transform-grid", "BSplineTransform"):
        read_transform(tmp_path / "spline.tfm")
    points = nasty.index_to_world(np.random.default_rng(1).integers(1, 10, (30, 3)))
    back = read_transform(tmp_path / "spline.tfm", nasty)
    np.testing.assert_allclose(back.map_points(points), _itk_points(spline, points), atol=1e-4)


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_field_on_a_sheared_grid_goes_to_perpendicular_axes(tmp_path, transforms, sheared, moving, kind, suffix):
    transform = transforms[kind]
    if kind == "displacement":
        transform = Displacement(_smooth(sheared, 1.5), sheared)
    path = tmp_path / f"transform{suffix}"
    write_transform(transform, path, sheared, moving.grid)
    rng = np.random.default_rng(6)
    points = sheared.index_to_world(rng.uniform(0, np.array(sheared.shape) - 1, (200, 3)))
    keeps_parts = kind == "composite" and suffix == ".h5"
    expected = (transform if keeps_parts else transform.on(sheared)).map_points(points)
    error = np.linalg.norm(_itk_points(_itk(path), points) - expected, axis=1)
    length = np.linalg.norm(expected - points, axis=1)
    assert error.max() < (1e-3 if kind == "affine" else 0.05 * length.max())
    assert error.mean() < 0.01 * length.max()
    back = read_transform(path)
    if isinstance(back, Displacement):
        assert back.grid.is_orthonormal
        corners = back.grid.world_to_index(sheared.index_to_world(sheared.corner_indices()))
        assert (corners > -0.501).all() and (corners < np.array(back.grid.shape) - 0.499).all()


def test_the_nifti_field_is_as_ants_expects_it(tmp_path, nasty):
    """5-D, intent 1007, LPS mm: one voxel along array axis 0 everywhere."""
    u_vox = torch.zeros(3, *nasty.shape)
    u_vox[0] = 1
    write_transform(Displacement(u_vox, nasty), tmp_path / "field.nii.gz", nasty, nasty)
    image = nibabel.load(tmp_path / "field.nii.gz")
    assert image.shape == (*nasty.shape, 1, 3) and int(image.header["intent_code"]) == 1007
    step = nasty.affine[:3, 0] * [-1, -1, 1]
    np.testing.assert_allclose(np.asarray(image.dataobj)[3, 4, 5, 0], step, atol=1e-5)


def test_nifti_dispvect_is_ras_for_us_and_for_itk(tmp_path, nasty):
    vectors = np.broadcast_to(np.array([1.0, 2.0, 3.0], np.float32), (*nasty.shape, 1, 3))
    image = nibabel.Nifti1Image(vectors, nasty.affine)
    image.header["intent_code"] = 1006
    nibabel.save(image, tmp_path / "field.nii.gz")
    centre = nasty.center_mm[None]
    np.testing.assert_allclose(
        read_transform(tmp_path / "field.nii.gz").map_points(centre) - centre, [[1, 2, 3]], atol=1e-4
    )
    np.testing.assert_allclose(_itk_points(_itk(tmp_path / "field.nii.gz"), centre) - centre, [[1, 2, 3]], atol=1e-4)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_displacement_images_of_slicer_are_read(tmp_path, transforms, nasty, suffix):
    write_transform(transforms["displacement"], tmp_path / "field.nii.gz", nasty, nasty)
    sitk.WriteImage(sitk.ReadImage(str(tmp_path / "field.nii.gz")), str(tmp_path / f"field{suffix}"))
    back = read_transform(tmp_path / f"field{suffix}")
    torch.testing.assert_close(back.u_vox, transforms["displacement"].u_vox, atol=2e-5, rtol=1e-5)
