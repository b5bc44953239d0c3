"""What the worker is given of each kind of node."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from scipy.ndimage import map_coordinates
from SynthRegLib.node_job import run_steps
from SynthRegLib.nodes import NodeChanged
from SynthRegLib.registration_inputs import RegistrationNodes
from SynthRegLib.registration_job import register
from SynthRegLib.registration_scene import write_scene
from SynthRegLib.scene_worker import nodes_spec
from SynthRegLib.settings import Settings

from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.service.run import run
from SlicerSynthReg.spatial.transform import Affine
from Testing.Slicer.answers import known_map, known_registration
from Testing.Slicer.known import running
from Testing.Slicer.scenes import (
    PLAIN,
    grid_parent,
    label_map,
    linear_parent,
    markups,
    matrix_of,
    segmentation,
    skewed,
    two_balls,
    volume,
)

IDENTITY = Affine()


@pytest.fixture
def pair():
    return volume("fixed", PLAIN, 1), volume("moving", skewed(), 2)


def given_to_register(nodes: RegistrationNodes, name: str):
    """Return the argument `name` that the worker gives to the API's register()."""
    found = []

    def spy(fixed, moving, **more):
        found.append({"fixed": fixed, "moving": moving, **more}[name])
        return known_registration(IDENTITY)(fixed, moving, **more)

    tasks = {"register_nodes": nodes_spec("register", spy)}
    register(nodes, Settings(), lambda request, progress: run(request, progress, tasks))
    return found[0]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
def test_voxels_and_place_are_written_as_slicer_has_them(tmp_path, dtype, pair):
    fixed, moving = pair
    values = (np.random.default_rng(0).random((30, 42, 48)) * 120).astype(dtype)
    node = slicer.util.addVolumeFromArray(values, skewed(), "typed")
    run_steps(write_scene(RegistrationNodes(node, moving), tmp_path))
    read = read_image(tmp_path / "fixed.nrrd")
    np.testing.assert_array_equal(read.data[0].numpy(), values.T.astype(np.float32))
    np.testing.assert_allclose(read.grid.affine, matrix_of(node), atol=1e-9)
    again = slicer.util.loadVolume(str(tmp_path / "fixed.nrrd"))  # Slicer turns left-handed files over as it reads
    ijk = np.random.default_rng(1).integers(0, (48, 42, 30), (200, 3))
    there = np.linalg.solve(matrix_of(again), matrix_of(node) @ np.c_[ijk, np.ones(200)].T)[:3].T
    np.testing.assert_allclose(there, np.rint(there), atol=1e-4)
    i, j, k = np.rint(there).astype(int).T
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(again)[k, j, i], values[tuple(ijk.T[::-1])])


def test_a_volume_that_changes_while_it_is_written_is_refused(tmp_path, pair):
    big = slicer.util.addVolumeFromArray(np.zeros((80, 100, 200), np.int16), PLAIN, "live")
    steps = write_scene(RegistrationNodes(big, pair[1]), tmp_path)
    next(steps)
    big.GetImageData().GetPointData().GetScalars().Modified()
    with pytest.raises(NodeChanged, match="live was modified"):
        run_steps(steps)


def test_a_label_map_keeps_its_values_and_lies_on_its_image(pair):
    fixed, moving = pair
    parent = linear_parent()
    for node in (fixed, moving):
        node.SetAndObserveTransformNodeID(parent.GetID())
    labels = label_map("labels", PLAIN, two_balls())
    labels.SetAndObserveTransformNodeID(parent.GetID())
    nodes = RegistrationNodes(fixed, moving, fixed_labels=labels, moving_labels=labels)
    found = given_to_register(nodes, "fixed_labels")
    np.testing.assert_array_equal(found.data[0].numpy(), two_balls())
    world = slicer.util.arrayFromTransformMatrix(parent) @ PLAIN
    np.testing.assert_allclose(found.grid.affine, world, atol=1e-6)


def test_segments_are_numbered_by_name_alike_in_both_images(pair):
    fixed, moving = pair
    one = segmentation("fixed parts", two_balls(), PLAIN)
    other = segmentation("moving parts", two_balls()[::-1], PLAIN)
    other.GetSegmentation().GetNthSegment(0).SetName("right")
    other.GetSegmentation().GetNthSegment(1).SetName("left")
    nodes = RegistrationNodes(fixed, moving, fixed_labels=one, moving_labels=other)
    found = given_to_register(nodes, "fixed_labels")
    balls = two_balls()
    np.testing.assert_array_equal(found.data[0].numpy(), np.where(balls == 4, 1, np.where(balls == 9, 2, 0)))
    moving_found = given_to_register(nodes, "moving_labels")
    counts = np.bincount(moving_found.data.numpy().ravel(), minlength=3)
    # the larger ball is "left" (1) in the fixed and, renamed, "right" (2) in the moving segmentation
    assert counts[2] > counts[1] > 0


def test_overlapping_segments_are_all_seen(pair):
    fixed, moving = pair
    node = segmentation("parts", two_balls(), PLAIN)
    whole = two_balls() > 0
    whole[20:30, 20, 18] = True
    labels = label_map("whole", PLAIN, whole)
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labels, node)
    assert node.GetSegmentation().GetNumberOfLayers() == 2
    mask = given_to_register(RegistrationNodes(fixed, moving, fixed_mask=node), "fixed_mask")
    np.testing.assert_array_equal(mask.data[0].numpy() > 0, whole)


def test_a_segmentation_under_a_grid_parent_lies_on_its_image(pair):
    fixed, moving = pair
    parent = grid_parent(5, from_parent=True)
    moving.SetAndObserveTransformNodeID(parent.GetID())
    node = segmentation("parts", two_balls(), PLAIN)
    node.SetAndObserveTransformNodeID(parent.GetID())
    found = given_to_register(RegistrationNodes(fixed, moving, moving_labels=node), "moving_labels")
    from_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, parent, from_world)
    index = np.argwhere(found.data[0].numpy() == 1)[::7]
    own = np.array([from_world.TransformPoint(p) for p in found.grid.index_to_world(index)])
    there = np.rint(np.linalg.solve(PLAIN, np.c_[own, np.ones(len(own))].T).T[:, :3]).astype(int)
    assert len(index) > 50
    assert (two_balls()[tuple(there.T)] == 4).mean() > 0.97


def test_landmarks_go_in_world_and_come_back_moved(pair):
    fixed, moving = pair
    parent = linear_parent()
    points = np.random.default_rng(3).uniform(-15, 15, (6, 3))
    here, there = markups(known_map().inverse().map_points(points)), markups(points, parent)
    there.SetNthControlPointLabel(2, 'named, "so"')
    nodes = RegistrationNodes(fixed, moving, fixed_landmarks=here, moving_landmarks=there)
    given = given_to_register(nodes, "moving_landmarks")
    world = slicer.util.arrayFromMarkupsControlPoints(there, world=True)
    np.testing.assert_allclose(given.points_mm, world, atol=1e-6)
    assert given.labels[2] == 'named, "so"'
    registered = register(nodes, Settings(), running(known_map()))
    found = slicer.util.arrayFromMarkupsControlPoints(registered.moved_landmarks, world=True)
    np.testing.assert_allclose(found, known_map().inverse().map_points(world), atol=0.02)
    assert registered.moved_landmarks.GetNthControlPointLabel(2) == 'named, "so"'


@pytest.mark.parametrize("moving_parent", [None, "linear"])
def test_the_start_is_what_would_bring_the_moving_image_near(pair, moving_parent):
    fixed, moving = pair
    if moving_parent:
        moving.SetAndObserveTransformNodeID(linear_parent().GetID())
    start = linear_parent((3.0, 10.0, -4.0), (6.0, 2.0, -8.0), 1.0, name="start")
    nodes = RegistrationNodes(fixed, moving, initial_transform=start)
    given = Affine(given_to_register(nodes, "initial_transform"))
    here = np.random.default_rng(1).uniform(-20, 20, (9, 3))
    # out of `start` into the moving volume's own space, and to where the moving volume lies now
    own = np.c_[here, np.ones(9)] @ np.linalg.inv(slicer.util.arrayFromTransformMatrix(start)).T
    above = moving.GetParentTransformNode()
    now = own if above is None else own @ slicer.util.arrayFromTransformMatrix(above).T
    np.testing.assert_allclose(given.map_points(here), now[:, :3], atol=1e-3)


def test_the_forward_node_serves_as_a_start(pair):
    fixed, moving = pair
    moving.SetAndObserveTransformNodeID(linear_parent().GetID())
    answer = Affine(np.array([[1.0, 0.02, 0, 4], [-0.02, 1, 0, -3], [0, 0, 1.03, 2], [0, 0, 0, 1]]))
    first = register(RegistrationNodes(fixed, moving), Settings(), running(answer))
    again = RegistrationNodes(fixed, moving, initial_transform=first.forward)
    given = Affine(given_to_register(again, "initial_transform"))
    np.testing.assert_allclose(given.matrix, answer.matrix, atol=1e-3)


def test_the_scene_file_is_plain_json(pair, tmp_path):
    inputs = run_steps(write_scene(RegistrationNodes(*pair), tmp_path))
    record = json.loads(Path(inputs["scene"]).read_text())
    assert record["fixed"]["parent"] == np.eye(4).tolist() and record["moving"]["bent"] is None


@pytest.mark.parametrize("kind", ["linear", "grid", "grid set to parent"])
def test_the_registration_is_given_the_images_as_they_lie_in_the_world(pair, kind):
    fixed, moving = pair
    parent = linear_parent() if kind == "linear" else grid_parent(5, from_parent=kind == "grid")
    moving.SetAndObserveTransformNodeID(parent.GetID())
    found = given_to_register(RegistrationNodes(fixed, moving), "moving")
    from_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, parent, from_world)
    index = np.random.default_rng(2).integers(8, np.array(found.grid.shape) - 8, (300, 3))
    own = np.array([from_world.TransformPoint(p) for p in found.grid.index_to_world(index)])
    there = np.linalg.solve(matrix_of(moving), np.c_[own, np.ones(len(own))].T)[:3]
    values = slicer.util.arrayFromVolume(moving).astype(float)
    expected = map_coordinates(values, there[::-1], order=1)
    inside = expected > 0
    assert inside.sum() > 100
    np.testing.assert_allclose(found.data[0].numpy()[tuple(index.T)][inside], expected[inside], atol=2.0)
