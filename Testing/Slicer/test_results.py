"""What comes back into the scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from SynthRegLib.registration_inputs import RegistrationNodes
from SynthRegLib.registration_job import register
from SynthRegLib.results import DERIVED
from SynthRegLib.settings import BRAIN_MODEL, Preset, Settings

from SlicerSynthReg.io.transforms import read_transform
from SlicerSynthReg.parameters.registration import RegisterParameters
from SlicerSynthReg.spatial.transform import Affine
from Testing.Slicer.answers import known_map
from Testing.Slicer.known import running
from Testing.Slicer.scenes import PLAIN, label_map, linear_parent, segmentation, skewed, two_balls, volume

STILL = Affine()


@pytest.fixture
def pair():
    return volume("fixed", PLAIN, 1), volume("moving", skewed(), 2)


def test_a_moved_segmentation_keeps_names_colours_and_terminology(pair):
    fixed, moving = pair
    node = segmentation("parts", two_balls(), PLAIN)
    registered = register(RegistrationNodes(fixed, moving, moving_labels=node), Settings(), running(STILL))
    moved, source = registered.moved_labels.GetSegmentation(), node.GetSegmentation()
    assert registered.moved_labels.IsA("vtkMRMLSegmentationNode")
    for n, value in enumerate((4, 9)):
        ours, theirs = moved.GetNthSegment(n), source.GetNthSegment(n)
        assert ours.GetName() == theirs.GetName()
        np.testing.assert_allclose(ours.GetColor(), theirs.GetColor(), atol=0.005)
        array = slicer.util.arrayFromSegmentBinaryLabelmap(registered.moved_labels, moved.GetNthSegmentID(n), fixed)
        np.testing.assert_array_equal(array.T > 0, two_balls() == value)
    tag = vtk.mutable("")
    assert moved.GetNthSegment(1).GetTag("Terminology", tag) and str(tag) == "somewhere~right"


def test_a_moved_label_map_stays_a_label_map(pair):
    fixed, moving = pair
    labels = label_map("labels", PLAIN, two_balls())
    registered = register(RegistrationNodes(fixed, moving, moving_labels=labels), Settings(), running(STILL))
    assert registered.moved_labels.IsA("vtkMRMLLabelMapVolumeNode")
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(registered.moved_labels).T, two_balls())


def test_results_say_what_they_come_from(pair):
    fixed, moving = pair
    moving.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    study = hierarchy.CreateStudyItem(hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "someone"), "a day")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(moving), study)
    registered = register(RegistrationNodes(fixed, moving), Settings(jacobian=True), running(known_map()))
    for node in (registered.moved, registered.forward, registered.inverse, registered.jacobian):
        assert node.GetAttribute("SynthReg.Derived") == DERIVED and "not for diagnosis" in DERIVED
        assert node.GetAttribute("DICOM.instanceUIDs") is None
        assert node.GetAttribute("SynthReg.moving.DICOM.instanceUIDs") == "1.2.3 1.2.4"
        assert node.GetNodeReference("SynthReg.fixed") is fixed and node.GetNodeReference("SynthReg.moving") is moving
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study
    assert Path(registered.moved.GetAttribute("SynthReg.Report")).is_file()


def test_the_moved_image_looks_like_the_moving_one(pair):
    fixed, moving = pair
    moving.CreateDefaultDisplayNodes()
    moving.GetDisplayNode().SetAutoWindowLevel(False)
    moving.GetDisplayNode().SetWindowLevel(321.0, 654.0)
    registered = register(RegistrationNodes(fixed, moving), Settings(), running(known_map()))
    display = registered.moved.GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel(), display.GetAutoWindowLevel()) == (321.0, 654.0, 0)


def test_only_what_was_asked_for_is_placed(pair):
    registered = register(RegistrationNodes(*pair), Settings(inverse=False), running(known_map()))
    assert registered.inverse is None and registered.jacobian is None
    assert len(slicer.util.getNodesByClass("vtkMRMLGridTransformNode")) == 1


def test_transforms_survive_saving_beside_the_volumes(pair, tmp_path):
    """The file holds the map between the two volumes' own spaces, which is what their files hold."""
    fixed, moving = pair
    fixed.SetAndObserveTransformNodeID(linear_parent().GetID())
    moving.SetAndObserveTransformNodeID(linear_parent((-6.0, 9.0, 4.0), name="other").GetID())
    registered = register(RegistrationNodes(fixed, moving), Settings(), running(known_map()))
    storage = registered.forward.CreateDefaultStorageNode()
    storage.SetFileName(str(tmp_path / "forward.h5"))
    assert storage.WriteData(registered.forward)
    read = read_transform(tmp_path / "forward.h5")
    own = np.random.default_rng(0).uniform(-20, 20, (20, 3))
    by_node = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(fixed.GetParentTransformNode(), registered.forward, by_node)
    expected = np.array([by_node.TransformPoint(p) for p in own])
    np.testing.assert_allclose(read.map_points(own), expected, atol=0.02)


def test_presets_reach_the_backend_as_its_own_parameters(pair):
    for preset, expected in (
        (Preset.AUTOMATIC, {"preset": "accurate", "model": None, "affine_only": False}),
        (Preset.FAST, {"preset": "fast", "model": None, "affine_only": False}),
        (Preset.ANY_ANATOMY, {"preset": "accurate", "anatomy": "other", "model": "none", "affine_only": False}),
        (Preset.AFFINE, {"preset": "accurate", "model": None, "affine_only": True}),
        (Preset.CT, {"anatomy": "ct", "model": "none", "fill_lesions": "none"}),
        (Preset.MR_CT, {"anatomy": "mr-ct", "model": "none", "fill_lesions": "none"}),
        (Preset.FOLLOW_UP, {"anatomy": "auto", "model": None, "fill_lesions": "both"}),
    ):
        settings = Settings(preset=preset, options=RegisterParameters(regularization=2.0))
        registered = register(RegistrationNodes(*pair), settings, running(known_map()))
        found = registered.report["run"]["parameters"]
        assert {name: found.get(name) for name in expected} == expected
        assert found["regularization"] == 2.0 and found["device"] == "auto"


def test_the_brain_model_is_the_backends():
    from SlicerSynthReg.weights.selection import DEFAULT_MODEL

    assert BRAIN_MODEL == DEFAULT_MODEL
