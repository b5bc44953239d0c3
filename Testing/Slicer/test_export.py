"""Exported transforms: what SimpleITK makes of the images with them is the moved image, wherever the images lie."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk
from SynthRegisterLib.transform_export import export_job
from SynthRegLib.node_job import run_sync
from SynthRegLib.registration_inputs import RegistrationNodes
from SynthRegLib.registration_job import register
from SynthRegLib.scene_worker import tasks_on_nodes
from SynthRegLib.settings import Settings

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.service.run import run
from SlicerSynthReg.spatial.transform import Affine
from Testing.Slicer.answers import known_map
from Testing.Slicer.known import running
from Testing.Slicer.rotation import turn
from Testing.Slicer.scenes import PLAIN, grid_parent, linear_parent, matrix_of, skewed, volume

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
CASES = {
    "as they are": (PLAIN, None, PLAIN, None),
    "oblique, anisotropic, left-handed": (skewed(), None, skewed(), None),
    "under different linear parents": (skewed(), linear_parent, PLAIN, lambda: linear_parent((-6.0, 9.0, 4.0))),
    "moving under a bending parent": (PLAIN, linear_parent, skewed(), lambda: grid_parent(5, from_parent=False)),
}


def door(request, progress):
    return run(request, progress, tasks_on_nodes())


def itk(node) -> sitk.Image:
    """The node's own voxels where its own header says that they lie."""
    image = sitk.GetImageFromArray(slicer.util.arrayFromVolume(node).astype(np.float32))
    affine = LPS @ matrix_of(node)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def a_pair(case: str):
    fixed_affine, fixed_parent, moving_affine, moving_parent = CASES[case]
    nodes = volume("fixed", fixed_affine, 1), volume("moving", moving_affine, 2)
    for node, parent in zip(nodes, (fixed_parent, moving_parent)):
        if parent is not None:
            node.SetAndObserveTransformNodeID(parent().GetID())
    return nodes


def exported(found, tmp_path, suffix=".h5", inverse=True):
    return run_sync(export_job(found.forward, found.inverse if inverse else None, str(tmp_path), suffix), door)


@pytest.mark.parametrize("suffix", [".h5", ".nii.gz"])
@pytest.mark.parametrize("case", CASES)
def test_simpleitk_makes_the_moved_image_with_the_exported_file(case, suffix, tmp_path):
    fixed, moving = a_pair(case)
    found = register(RegistrationNodes(fixed, moving), Settings(), running(known_map()))
    folder = exported(found, tmp_path, suffix)
    assert folder.parent == tmp_path and folder.name == "moving to fixed"
    transform = read(folder / f"forward{suffix}")
    seen = sitk.GetArrayFromImage(sitk.Resample(itk(moving), itk(fixed), transform, sitk.sitkLinear, 0.0))
    unmoved = sitk.GetArrayFromImage(sitk.Resample(itk(moving), itk(fixed), sitk.Transform(), sitk.sitkLinear, 0.0))
    ours = slicer.util.arrayFromVolume(found.moved)
    core = inner((seen > 0) & (ours > 0))
    assert core.sum() > 2000
    span = ours[core].max() - ours[core].min()
    assert np.abs(seen - ours)[core].max() < 0.015 * span
    assert np.abs(unmoved - ours)[core].max() > 0.1 * span, "the file must matter"
    back = read(folder / f"inverse{suffix}")
    points = np.random.default_rng(0).uniform(-15, 15, (20, 3))
    own = points if fixed.GetParentTransformNode() is None else into(fixed, points)
    there = np.array([back.TransformPoint(transform.TransformPoint(p)) for p in (own @ LPS[:3, :3]).tolist()])
    assert np.abs(there - own @ LPS[:3, :3]).max() < 0.15


def into(node, points: np.ndarray) -> np.ndarray:
    """World to the node's own space."""
    from SynthRegLib.node_geometry import between, mapped

    return mapped(between(None, node.GetParentTransformNode()), points)


def read(path) -> sitk.Transform:
    if path.name.endswith(".nii.gz"):
        return sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
    return sitk.ReadTransform(str(path))


def inner(mask: np.ndarray) -> np.ndarray:
    core = np.zeros_like(mask)
    core[2:-2, 2:-2, 2:-2] = True
    for axis in range(3):
        for shift in (-1, 1):
            core &= np.roll(mask, shift, axis)
    return core


def test_a_straight_result_becomes_an_affine_in_a_text_file(tmp_path):
    matrix = np.eye(4)
    matrix[:3, :3] = turn((6.0, -4.0, 9.0)) * 1.03
    matrix[:3, 3] = (3.0, -5.0, 2.0)
    fixed, moving = a_pair("under different linear parents")
    found = register(RegistrationNodes(fixed, moving), Settings(), running(Affine(matrix)))
    folder = exported(found, tmp_path, ".tfm", inverse=False)
    transform, back = (sitk.ReadTransform(str(folder / f"{name}.tfm")) for name in ("forward", "inverse"))
    assert transform.IsLinear() and back.IsLinear()
    parents = [one.GetParentTransformNode() for one in (fixed, moving)]
    to_world, from_world = (slicer.util.arrayFromTransformMatrix(one, toWorld=True) for one in parents)
    own = np.linalg.inv(from_world) @ matrix @ to_world
    for point in np.random.default_rng(1).uniform(-40, 40, (10, 3)):
        expected = LPS[:3, :3] @ (own[:3, :3] @ (LPS[:3, :3] @ point) + own[:3, 3])
        np.testing.assert_allclose(transform.TransformPoint(point.tolist()), expected, atol=5e-3)
        np.testing.assert_allclose(back.TransformPoint(expected.tolist()), point, atol=5e-3)


def test_a_second_export_leaves_the_first_alone_and_an_inverse_is_made_where_there_is_none(tmp_path):
    found = register(RegistrationNodes(*a_pair("as they are")), Settings(inverse=False), running(known_map()))
    assert found.inverse is None
    first, second = exported(found, tmp_path), exported(found, tmp_path)
    assert [one.name for one in (first, second)] == ["moving to fixed", "moving to fixed-2"]
    transform, back = (read(second / f"{name}.h5") for name in ("forward", "inverse"))
    for point in np.random.default_rng(2).uniform(-20, 20, (10, 3)).tolist():
        np.testing.assert_allclose(back.TransformPoint(transform.TransformPoint(point)), point, atol=0.15)


def test_what_cannot_be_exported_is_refused_and_nothing_is_written(tmp_path):
    fixed, moving = a_pair("as they are")
    found = register(RegistrationNodes(fixed, moving), Settings(), running(known_map()))
    with pytest.raises(RequestError, match="Found no export folder"):
        export_job(found.forward, None, str(tmp_path / "nowhere"), ".h5")
    found.forward.SetAndObserveTransformFromParent(vtk.vtkTransform())
    with pytest.raises(RequestError, match="was modified, expected the registered transform"):
        export_job(found.forward, None, str(tmp_path), ".h5")
    slicer.mrmlScene.RemoveNode(moving)
    with pytest.raises(RequestError, match="was removed from the scene"):
        export_job(found.forward, None, str(tmp_path), ".h5")
    assert not list(tmp_path.iterdir())
