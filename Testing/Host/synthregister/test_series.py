"""Sequence nodes registered frame by frame: real nodes, real clicks, the backend's own task with a known answer."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import slicer
from slicerhost import count_turns, views

from Testing.Host.synthregister.clicking import TURNS, folders, gone, is_idle, wait_for_children
from Testing.Host.synthregister.frames import a_sequence, break_frame
from Testing.Slicer.scenes import grid_parent, linear_parent


@pytest.fixture
def shots(tmp_path) -> Path:
    folder = Path(os.environ.get("SYNTHREG_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def choose(panel, sequence, onto: str) -> None:
    panel.expand("sequenceCollapsibleButton")
    panel.select("sequenceSelector", sequence)
    panel.choose("referenceBox", onto)


def register(panel) -> None:
    panel.click("sequenceButton")
    assert panel.text("applyButton") == "Cancel" and not panel.is_enabled("sequenceButton")
    panel.wait_until(lambda: is_idle(panel))
    assert panel.text("statusLabel").startswith("Done"), panel.text("statusLabel")


def made(name: str):
    """The sequence of that name; the node that shows it has the same."""
    return slicer.mrmlScene.GetFirstNode(name, "vtkMRMLSequenceNode")


def values_of(sequence, n: int) -> np.ndarray:
    return slicer.util.arrayFromVolume(sequence.GetNthDataNode(n)).astype(float)


def at(browser, number: int) -> None:
    browser.SetSelectedItemNumber(number)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)


def inner(values: np.ndarray) -> np.ndarray:
    """(K, J, I) without the rim that a shift of a few millimetres empties."""
    return values[3:-3, 6:-6, 6:-6]


def test_every_frame_is_brought_onto_the_first_and_played_with_the_source(panel, shots):
    sequence = a_sequence()
    browser = slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(sequence)
    choose(panel, sequence, "First frame")
    assert panel.text("sequenceLabel") == "4 frames."
    with count_turns() as turns:
        register(panel)
    assert turns.count >= TURNS
    moved = made("breath registered to its reference")
    forward = made("breath to its reference")
    shown, transform = browser.GetProxyNode(moved), browser.GetProxyNode(forward)
    assert [moved.GetNthIndexValue(n) for n in range(4)] == [sequence.GetNthIndexValue(n) for n in range(4)]
    assert moved.GetIndexName() == "time" and moved.GetIndexUnit() == "s"
    first = values_of(sequence, 0)
    for n in (1, 2, 3):
        before = np.abs(inner(values_of(sequence, n) - first)).max()
        after = np.abs(inner(values_of(moved, n) - first)).max()
        assert after < 0.12 * before, (n, before, after)
        at(browser, n)
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(shown), values_of(moved, n))
        landed = transform.GetTransformFromParent().TransformPoint(5.0, -3.0, 2.0)
        np.testing.assert_allclose(landed, (5.0 + 2.0 * n, -3.0, 2.0), atol=1e-3)
    assert "Frames: 4 of 4" in panel.text("resultLabel")
    assert "Largest mean motion: 6.0 mm, in frame 3" in panel.text("resultLabel")
    assert panel.is_enabled("reportButton")
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        assert composite.GetForegroundVolumeID() == shown.GetID()
        assert composite.GetBackgroundVolumeID() == browser.GetProxyNode(sequence).GetID()
    assert moved.GetAttribute("SynthReg.Derived") and shown.GetAttribute("SynthReg.Derived")
    panel.screenshot(shots / "register-series.png")
    views.screenshot(shots / "register-series-views.png")


def test_a_frame_that_fails_costs_no_other_and_is_not_shown_unmoved(panel):
    sequence = a_sequence()
    break_frame(sequence, 2)
    browser = slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(sequence)
    choose(panel, sequence, "First frame")
    register(panel)
    moved = made("breath registered to its reference")
    assert [moved.GetNthIndexValue(n) for n in range(moved.GetNumberOfDataNodes())] == ["0.0", "0.4", "1.2"]
    assert "Frames: 3 of 4" in panel.text("resultLabel")
    assert "Frame 2 failed: Found a constant image (every voxel is 7)" in panel.text("resultLabel")
    at(browser, 2)
    assert moved.GetNumberOfDataNodes() == 3, "no item is made up"
    shown = browser.GetProxyNode(moved)
    assert shown.GetImageData() is None or shown.GetImageData().GetNumberOfPoints() == 0
    at(browser, 3)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(shown), values_of(moved, 2))


@pytest.mark.parametrize("kind", ["linear", "grid"])
def test_a_sequence_under_a_transform_is_registered_where_it_is_shown(panel, kind):
    """The source's volume under its frame's transform is where the moved volume is."""
    sequence = a_sequence()
    browser = slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(sequence)
    parent = linear_parent() if kind == "linear" else grid_parent(5, from_parent=True)
    source = browser.GetProxyNode(sequence)
    source.SetAndObserveTransformNodeID(parent.GetID())
    choose(panel, sequence, "First frame")
    register(panel)
    moved, forward = (made(f"breath {end} its reference") for end in ("registered to", "to"))
    shown, transform = browser.GetProxyNode(moved), browser.GetProxyNode(forward)
    at(browser, 2)
    assert transform.GetTransformNodeID() == parent.GetID()
    assert shown.GetTransformNodeID() == (parent.GetID() if kind == "linear" else None)
    source.SetAndObserveTransformNodeID(transform.GetID())
    reference = slicer.vtkSlicerVolumesLogic.CloneVolume(slicer.mrmlScene, shown, "reference")
    reference.SetAndObserveTransformNodeID(shown.GetTransformNodeID())
    reference.HardenTransform()
    ours, by_slicer = (
        slicer.util.arrayFromVolume(slicer.vtkSlicerVolumesLogic.ResampleVolumeToReferenceVolume(node, reference))
        for node in (shown, source)
    )
    core = (ours > 100) & (by_slicer > 100)
    assert core.sum() > 500
    assert np.abs(ours.astype(float) - by_slicer)[core].max() < 0.05 * ours.max()


def test_a_fixed_image_as_reference_and_a_sequence_that_nothing_shows(panel, a_volume):
    sequence = a_sequence(shown=False)
    choose(panel, sequence, "The fixed image")
    assert panel.text("sequenceLabel") == "Choose the fixed image above, or another reference."
    assert not panel.is_enabled("sequenceButton")
    fixed = a_volume("still", (40, 40, 40))
    panel.select("fixedSelector", fixed)
    register(panel)
    moved = made("breath registered to still")
    assert moved.GetNumberOfDataNodes() == 4
    assert moved.GetNthDataNode(0).GetImageData().GetDimensions() == fixed.GetImageData().GetDimensions()
    browser = slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(moved)
    assert browser.GetMasterSequenceNode() is sequence


def test_what_cannot_be_registered_is_said_beside_the_button(panel, a_volume):
    panel.expand("sequenceCollapsibleButton")
    assert panel.text("sequenceLabel").startswith("Choose a sequence")
    choose(panel, a_sequence("single", 1), "First frame")
    assert "Found 1 frames in single, expected two or more" in panel.text("sequenceLabel")
    points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "points")
    for n in range(3):
        points.SetDataNodeAtValue(slicer.vtkMRMLMarkupsFiducialNode(), str(n))
    panel.select("sequenceSelector", points)
    assert panel.text("sequenceLabel").startswith("Frame 0 of points: Found the")
    sequence = a_sequence()
    choose(panel, sequence, "Frame number")
    panel.set_value("referenceSpinBox", 4)
    assert "Found frame 4 as reference, expected 0 to 3" in panel.text("sequenceLabel")
    panel.set_value("referenceSpinBox", 3)
    assert panel.is_enabled("sequenceButton")
    panel.choose("presetBox", "Brain with lesions (pseudo-healthy image)")
    assert "brains with lesions, expected a preset for sequences" in panel.text("sequenceLabel")
    assert not panel.is_enabled("sequenceButton")
    panel.select("sequenceSelector", None)
    browser = slicer.modules.sequences.logic().GetFirstBrowserNodeForSequenceNode(sequence)
    panel.select("movingSelector", browser.GetProxyNode(sequence))
    assert "is one frame of breath: choose breath here" in panel.text("sequenceLabel")


def test_cancel_ends_the_worker_and_leaves_nothing(panel, monkeypatch):
    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "slow")
    sequence = a_sequence()
    choose(panel, sequence, "First frame")
    before = folders(), slicer.mrmlScene.GetNumberOfNodes()
    panel.click("sequenceButton")
    family = wait_for_children(panel)
    assert "frame 2 of 4" in panel.text("statusLabel"), panel.text("statusLabel")
    panel.click("applyButton")
    panel.wait_until(lambda: all(gone(one) for one in family), "the worker's tree to end")
    panel.wait_until(lambda: is_idle(panel))
    assert panel.text("statusLabel").startswith("Cancelled")
    assert (folders(), slicer.mrmlScene.GetNumberOfNodes()) == before


def test_deleting_the_sequence_stops_the_run(panel, monkeypatch):
    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "slow")
    choose(panel, a_sequence(), "First frame")
    panel.click("sequenceButton")
    wait_for_children(panel)
    slicer.mrmlScene.RemoveNode(made("breath"))
    panel.wait_until(lambda: is_idle(panel))
    assert "Stopped because breath was deleted" in panel.text("logText")
