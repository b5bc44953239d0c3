"""The transform nodes say what the registration said, wherever the volumes lie.

Slicer's own code moves, maps and resamples; the answer is known. Volumes are oblique, anisotropic and left-handed,
under linear parents, under grid parents set either way, and under both.
"""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from SynthRegLib.registration_inputs import RegistrationNodes
from SynthRegLib.registration_job import register
from SynthRegLib.settings import Settings
from vtk.util.numpy_support import vtk_to_numpy

from Testing.Slicer.answers import known_map
from Testing.Slicer.known import running
from Testing.Slicer.scenes import PLAIN, grid_parent, linear_parent, skewed, volume

CASES = {
    "as they are": ("plain", "plain", "", ""),
    "oblique, anisotropic, left-handed": ("skewed", "skewed", "", ""),
    "moving under a linear parent": ("plain", "skewed", "", "linear"),
    "fixed under a linear parent": ("skewed", "plain", "linear", ""),
    "both under different linear parents": ("skewed", "skewed", "linear", "other linear"),
    "both under the same linear parent": ("plain", "skewed", "linear", "linear"),
    "moving under a grid parent": ("plain", "skewed", "", "grid"),
    "moving under a grid set to parent": ("plain", "skewed", "", "grid to parent"),
    "fixed under a grid parent": ("skewed", "plain", "grid", ""),
    "fixed under a grid set to parent": ("skewed", "plain", "grid to parent", ""),
    "both under grid parents": ("skewed", "skewed", "grid", "other grid"),
    "both under grids under linear parents": ("skewed", "skewed", "linear and grid", "other linear and grid"),
}


def parents(kind: str) -> str | None:
    """The id of the transform node that a volume is put under."""
    if not kind:
        return None
    node = above = None
    if "linear" in kind:
        other = "other" in kind
        name = "other linear" if other else "linear"
        known = slicer.mrmlScene.GetFirstNodeByName(name)
        node = above = known or linear_parent((-6.0, 9.0, 4.0) if other else (8.0, -5.0, 12.0), name=name)
    if "grid" in kind:
        node = grid_parent(3 if "other" in kind else 5, from_parent="to parent" not in kind)
        if above is not None:
            node.SetAndObserveTransformNodeID(above.GetID())
    return node.GetID()


def through(source, target, points: np.ndarray) -> np.ndarray:
    """Points (N, 3) from the space below one transform node to that below another, by MRML; None is the world."""
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(source, target, transform)
    return np.array([transform.TransformPoint(point) for point in points])


@pytest.fixture(autouse=True)
def a_clean_host():
    """In this file each case keeps its scene for all of its tests."""


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """Two volumes, their registration with the known map, and points x (fixed world) and T(x) (moving world)."""
    slicer.mrmlScene.Clear(False)
    fixed_kind, moving_kind, fixed_parent, moving_parent = CASES[request.param]
    fixed = volume("fixed", skewed() if fixed_kind == "skewed" else PLAIN, 1)
    moving = volume("moving", skewed() if moving_kind == "skewed" else PLAIN, 2)
    fixed.SetAndObserveTransformNodeID(parents(fixed_parent))
    moving.SetAndObserveTransformNodeID(parents(moving_parent))
    answer = known_map()
    nodes = RegistrationNodes(fixed, moving)
    registered = register(nodes, Settings(jacobian=True), running(answer))
    here = np.random.default_rng(0).uniform(-22.0, 22.0, (40, 3))
    return nodes, registered, here, answer.map_points(here)


def seen_by_slicer(node, reference) -> np.ndarray:
    """The voxels of `node` on those of `reference`, which lies in the world, by Slicer's own resampling."""
    seen = slicer.vtkSlicerVolumesLogic.ResampleVolumeToReferenceVolume(node, reference)
    values = slicer.util.arrayFromVolume(seen).astype(float)
    slicer.mrmlScene.RemoveNode(seen)
    return values


def test_the_moving_volume_under_the_forward_node_is_the_moved_image(case):
    nodes, registered, _, _ = case
    reference = slicer.vtkSlicerVolumesLogic.CloneVolume(slicer.mrmlScene, registered.moved, "reference")
    reference.SetAndObserveTransformNodeID(registered.moved.GetTransformNodeID())
    reference.HardenTransform()
    header_only = seen_by_slicer(nodes.moving, reference)
    before = nodes.moving.GetTransformNodeID()
    nodes.moving.SetAndObserveTransformNodeID(registered.forward.GetID())
    by_slicer = seen_by_slicer(nodes.moving, reference)
    nodes.moving.SetAndObserveTransformNodeID(before)
    ours = slicer.util.arrayFromVolume(registered.moved)
    # values lie between 100 and 1700, outside is 0
    inside = (by_slicer > 0) & (ours > 0) & (seen_by_slicer(nodes.fixed, reference) > 0)
    slicer.mrmlScene.RemoveNode(reference)
    core = np.zeros_like(inside)
    core[1:-1, 1:-1, 1:-1] = True
    for axis in range(3):
        for shift in (-1, 1):
            core &= np.roll(inside, shift, axis)
    assert core.mean() > 0.15
    span = ours[inside].max() - ours[inside].min()
    assert np.abs(by_slicer - ours)[core].max() < 0.01 * span
    assert np.abs(header_only - ours)[core].max() > 0.1 * span, "the transform must matter"


def test_a_landmark_of_the_moving_image_goes_where_the_registration_says(case):
    nodes, registered, here, there = case
    own = through(None, nodes.moving.GetParentTransformNode(), there)
    markups = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
    for point in own:
        markups.AddControlPoint(vtk.vtkVector3d(*point))
    markups.SetAndObserveTransformNodeID(registered.forward.GetID())
    found = slicer.util.arrayFromMarkupsControlPoints(markups, world=True)
    slicer.mrmlScene.RemoveNode(markups)
    assert np.linalg.norm(found - here, axis=1).max() < 0.05
    assert np.linalg.norm(there - here, axis=1).mean() > 4.0, "the map must matter"


def test_a_landmark_of_the_fixed_image_comes_back_by_the_inverse_node(case):
    nodes, registered, here, there = case
    own = through(None, nodes.fixed.GetParentTransformNode(), here)
    assert np.linalg.norm(through(registered.inverse, None, own) - there, axis=1).max() < 0.1


def test_forward_then_inverse_is_where_one_started(case):
    nodes, registered, _, there = case
    moving_parent, fixed_parent = nodes.moving.GetParentTransformNode(), nodes.fixed.GetParentTransformNode()
    own = through(None, moving_parent, there)
    on_fixed = through(registered.forward, fixed_parent, own)
    back = through(registered.inverse, moving_parent, on_fixed)
    assert np.linalg.norm(back - own, axis=1).max() < 0.1


def test_both_transform_nodes_are_grids_from_parent_that_name_their_images(case):
    nodes, registered, _, _ = case
    roles = [
        slicer.vtkMRMLTransformNode.GetFixedNodeReferenceRole(),
        slicer.vtkMRMLTransformNode.GetMovingNodeReferenceRole(),
    ]
    for node, fixed, moving in (
        (registered.forward, nodes.fixed, nodes.moving),
        (registered.inverse, nodes.moving, nodes.fixed),
    ):
        assert node.IsA("vtkMRMLGridTransformNode")
        grid = node.GetTransformFromParentAs("vtkOrientedGridTransform")
        assert grid is not None and grid.GetDisplacementGrid().GetPointData().GetScalars() is not None
        assert [node.GetNodeReference(role) for role in roles] == [fixed, moving]
        assert node.GetTransformNodeID() == fixed.GetTransformNodeID()


def test_the_moved_image_lies_on_the_fixed_voxels_or_in_the_world(case):
    nodes, registered, _, _ = case
    parent = nodes.fixed.GetParentTransformNode()
    if parent is None or parent.IsTransformToWorldLinear():
        assert registered.moved.GetTransformNodeID() == nodes.fixed.GetTransformNodeID()
        theirs, ours = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
        nodes.fixed.GetIJKToRASMatrix(theirs)
        registered.moved.GetIJKToRASMatrix(ours)
        np.testing.assert_allclose(
            slicer.util.arrayFromVTKMatrix(ours), slicer.util.arrayFromVTKMatrix(theirs), atol=1e-5
        )
        assert registered.moved.GetImageData().GetDimensions() == nodes.fixed.GetImageData().GetDimensions()
    else:
        assert registered.moved.GetTransformNodeID() is None


def test_the_jacobian_map_is_that_of_the_known_map(case):
    nodes, registered, here, _ = case
    answer, h = known_map(), 1.0
    columns = [(answer.map_points(here + step) - answer.map_points(here - step)) / (2 * h) for step in h * np.eye(3)]
    expected = np.linalg.det(np.stack(columns, axis=-1))
    values = vtk_to_numpy(registered.jacobian.GetImageData().GetPointData().GetScalars())
    own = through(None, registered.jacobian.GetParentTransformNode(), here)
    to_index = vtk.vtkMatrix4x4()
    registered.jacobian.GetRASToIJKMatrix(to_index)
    index = np.rint([to_index.MultiplyPoint([*point, 1.0])[:3] for point in own]).astype(int)
    i, j, k = registered.jacobian.GetImageData().GetDimensions()
    found = values[(index[:, 2] * j + index[:, 1]) * i + index[:, 0]]
    assert np.abs(found - expected).max() < 0.12
    assert np.corrcoef(found, expected)[0, 1] > 0.9
