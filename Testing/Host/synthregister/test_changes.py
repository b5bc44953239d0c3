"""What no warp explains, with real clicks: a lesion that only the fixed image has is coloured where it lies. The worker
runs the backend's own task with a network at birth."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from slicerhost import close_scene, count_turns, views

from Testing.Host.synthregister.clicking import TURNS, apply, folders, gone, is_idle, wait_for_children
from Testing.Slicer.scenes import PLAIN, grid_parent, linear_parent, skewed

ROOT = Path(__file__).resolve().parents[3]
CENTRE, LESION = np.array([10.0, -9.0, 8.0]), np.array([18.0, -9.0, 8.0])
SHAPE = (48, 42, 38)
CHANGES, STRETCHING, MISMATCH = (
    "Topological change (lesion, resection)",
    "Deformation (squared log-Jacobian)",
    "Intensity mismatch (Li and Wyatt)",
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    script = Path(__file__).with_name("tiny_topology.py")
    subprocess.run([sys.executable, str(script), str(folder)], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return folder


@pytest.fixture
def network(tiny, monkeypatch):
    """In the place of the one that ships."""
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tiny))


@pytest.fixture
def shots(tmp_path) -> Path:
    folder = Path(os.environ.get("SYNTHREG_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def world(affine: np.ndarray, parent=None) -> np.ndarray:
    """(N, 3) positions of the voxels of SHAPE, k running fastest."""
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1).reshape(-1, 3)
    points = index @ affine[:3, :3].T + affine[:3, 3]
    if parent is None:
        return points
    to_world = vtk.vtkGeneralTransform()
    parent.GetTransformToWorld(to_world)
    return np.array([to_world.TransformPoint(point) for point in points])


def a_body(name: str, affine: np.ndarray, parent=None, lesion: bool = False, slope: float = 0.01):
    """A ball of 24 mm with a soft edge, brighter by `slope` a mm to the front; the lesion is a dark ball of 8 mm."""
    points = world(affine, parent)
    distance = np.linalg.norm(points - CENTRE, axis=1)
    values = 200 / (1 + np.exp((distance - 24) / 2.5)) * (1 + slope * (points[:, 1] - CENTRE[1]))
    if lesion:
        values[np.linalg.norm(points - LESION, axis=1) < 8] *= 0.2
    array = np.ascontiguousarray(values.reshape(SHAPE).T).astype(np.float32)
    node = slicer.util.addVolumeFromArray(array, affine, name)
    node.SetAndObserveTransformNodeID(None if parent is None else parent.GetID())
    return node


def plain() -> np.ndarray:
    affine = PLAIN.copy()
    affine[:3, 3] += CENTRE
    return affine


def registered(panel, monkeypatch, parent=None):
    """A result whose moved image lies upon the fixed one but for the lesion; both images."""
    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "identity")
    affine = skewed() if parent is not None else plain()
    fixed, moving = a_body("follow-up", affine, parent, lesion=True), a_body("baseline", plain())
    panel.select("fixedSelector", fixed)
    panel.select("movingSelector", moving)
    apply(panel)
    panel.wait_until(lambda: is_idle(panel))
    assert panel.text("statusLabel").startswith("Done"), panel.text("statusLabel")
    panel.expand("topologyCollapsibleButton")
    return fixed, slicer.util.getNode("baseline registered to follow-up")


def find(panel) -> None:
    panel.click("topologyButton")
    assert panel.text("applyButton") == "Cancel" and not panel.is_enabled("topologyButton")
    panel.wait_until(lambda: is_idle(panel))


def a_map(title: str = CHANGES):
    return slicer.util.getNode(f"{title}: baseline registered to follow-up")


def layers() -> set[tuple[str, str]]:
    nodes = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return {(node.GetBackgroundVolumeID(), node.GetForegroundVolumeID()) for node in nodes}


def is_shown(node) -> np.ndarray:
    """(I, J, K): the voxels that the display's threshold lets through."""
    display = node.GetDisplayNode()
    assert display.GetApplyThreshold() and not display.GetAutoThreshold()
    values = slicer.util.arrayFromVolume(node).T
    return (values >= display.GetLowerThreshold()) & (values <= display.GetUpperThreshold())


def foreground_of(image) -> int:
    """Voxels that count as foreground, nearly."""
    return int((slicer.util.arrayFromVolume(image) > 10).sum())


def coloured(name: str) -> np.ndarray:
    """(H, W): where a view is not grey."""
    pixels = views.pixels(name).astype(int)
    return np.ptp(pixels, axis=2) > 40


@pytest.mark.parametrize("parent", [None, "linear", "grid"])
def test_a_lesion_is_coloured_where_it_lies_in_the_world(network, panel, monkeypatch, shots, parent):
    above = {None: lambda: None, "linear": linear_parent, "grid": lambda: grid_parent(5, from_parent=False)}[parent]()
    fixed, moved = registered(panel, monkeypatch, above)
    with count_turns() as turns:
        find(panel)
    assert turns.count >= TURNS
    found = a_map()
    assert panel.text("statusLabel") == f"Done: {found.GetName()} is in the scene."
    straight = above is not None and parent == "linear"
    assert found.GetTransformNodeID() == (above.GetID() if straight else None)
    matrix = vtk.vtkMatrix4x4()
    found.GetIJKToRASMatrix(matrix)
    to_world = slicer.util.arrayFromVTKMatrix(matrix)
    if straight:
        above.GetMatrixTransformToWorld(matrix)
        to_world = slicer.util.arrayFromVTKMatrix(matrix) @ to_world
    index = np.argwhere(is_shown(found))
    points = index @ to_world[:3, :3].T + to_world[:3, 3]
    assert len(points) > 20
    assert np.linalg.norm(points.mean(0) - LESION) < 3, points.mean(0)
    assert np.linalg.norm(points - LESION, axis=1).max() < 14
    ml = len(points) * abs(np.linalg.det(to_world[:3, :3])) / 1000
    shown_text = re.match(r"Shown: ([\d.]+) ml, the highest 2.0 % of the fixed image", panel.text("percentileLabel"))
    assert float(shown_text[1]) == pytest.approx(ml, abs=0.05 + 0.02), "rounded, and a voxel more or less"
    assert layers() == {(fixed.GetID(), found.GetID())}
    beside = 2 * CENTRE - LESION
    for name in ("Red", "Yellow", "Green"):
        x, y = views.pixel_of(name, LESION)
        assert coloured(name)[y, x], name
        x, y = views.pixel_of(name, beside)
        assert name == "Yellow" or not coloured(name)[y, x], name
    said = {role: found.GetAttribute(f"SynthReg.{role}") for role in ("Derived", "Model", "fixed", "moved")}
    assert said == {
        "Derived": "synthetic/derived, not for diagnosis",
        "Model": "topology-brains",
        "fixed": "follow-up",
        "moved": moved.GetName(),
    }
    assert "not for diagnosis" in panel.text("topologyNoticeLabel")
    panel.screenshot(shots / f"register-changes-{parent}.png")
    views.screenshot(shots / f"register-changes-views-{parent}.png")


def test_the_slider_moves_the_threshold_at_once_and_computes_nothing(network, panel, monkeypatch):
    fixed, _moved = registered(panel, monkeypatch)
    find(panel)
    found = a_map()
    made = found.GetImageData().GetMTime()
    shares, seen, texts = [], [], []
    for percentile in (98.0, 99.5, 90.0, 50.0):
        panel.set_value("percentileSlider", percentile)
        assert is_idle(panel)
        shares.append(is_shown(found).sum())
        seen.append(coloured("Red").sum())
        texts.append(panel.text("percentileLabel"))
    np.testing.assert_allclose(np.array(shares) / foreground_of(fixed), [0.02, 0.005, 0.1, 0.5], rtol=0.1)
    assert seen[1] < seen[0] < seen[2]
    assert "highest 2.0 %" in texts[0] and "highest 0.5 %" in texts[1] and "highest 10.0 %" in texts[2]
    assert found.GetImageData().GetMTime() == made


def test_the_simpler_measures_and_the_moved_image_are_a_choice_away(network, panel, monkeypatch):
    fixed, moved = registered(panel, monkeypatch)
    assert panel.text("mapBox") == "Moved image" and not panel.is_enabled("mapBox")
    assert not panel.is_enabled("percentileSlider")
    find(panel)
    for title in (STRETCHING, MISMATCH, CHANGES):
        panel.choose("mapBox", title)
        assert layers() == {(fixed.GetID(), a_map(title).GetID())}
    panel.click("checkerboardCheckBox")
    panel.click("checkerboardCheckBox")
    assert layers() == {(fixed.GetID(), a_map().GetID())}
    panel.choose("mapBox", "Moved image")
    assert layers() == {(fixed.GetID(), moved.GetID())} and not panel.is_enabled("percentileSlider")
    panel.choose("mapBox", CHANGES)
    slicer.mrmlScene.RemoveNode(a_map())
    panel.settle()
    assert panel.text("mapBox") == "Moved image" and layers() == {(fixed.GetID(), moved.GetID())}
    assert panel.is_enabled("mapBox"), "the others are still there"
    slicer.mrmlScene.RemoveNode(moved)
    panel.settle()
    assert not panel.is_enabled("topologyButton") and not panel.is_enabled("mapBox")
    close_scene()
    assert panel.text("topologyLabel").startswith("Register two images")


def test_what_is_usual_among_controls_is_told_apart_and_a_folder_without_them_is_said(
    network, panel, monkeypatch, tmp_path
):
    fixed, _moved = registered(panel, monkeypatch)
    panel["controlsDirectory"].currentPath = str(tmp_path)
    find(panel)
    assert "Found 0 control images" in panel.text("statusLabel") and not panel.is_enabled("mapBox")
    for n in range(2):
        control = a_body(f"control{n}", plain(), slope=0.01 - 0.02 * n)
        slicer.util.saveNode(control, str(tmp_path / f"{n}.nrrd"), properties={})
        slicer.mrmlScene.RemoveNode(control)
    find(panel)
    assert panel.text("statusLabel").startswith("Done"), panel.text("statusLabel")
    assert panel.text("mapBox") == "Topological change relative to controls"
    assert layers() == {(fixed.GetID(), a_map("Topological change relative to controls").GetID())}
    panel.set_value("percentileSlider", 50.0)
    assert "values above -" in panel.text("percentileLabel")
    share = is_shown(a_map("Topological change relative to controls")).sum() / foreground_of(fixed)
    assert share == pytest.approx(0.5, rel=0.1), "none of the background, which is zero in the file"
    panel["controlsDirectory"].currentPath = ""
    find(panel)
    assert panel.text("mapBox") == CHANGES, "of the run before without controls there is none"


def test_cancel_leaves_the_scene_as_it_was(network, panel, monkeypatch):
    fixed, moved = registered(panel, monkeypatch)
    panel.logic.close()
    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "slow")
    before = folders(), slicer.mrmlScene.GetNumberOfNodes()
    panel.click("topologyButton")
    family = wait_for_children(panel)
    panel.click("applyButton")
    panel.wait_until(lambda: all(gone(one) for one in family), "the worker's tree to end")
    panel.wait_until(lambda: is_idle(panel))
    assert panel.text("statusLabel").startswith("Cancelled")
    assert (folders(), slicer.mrmlScene.GetNumberOfNodes()) == before
    assert layers() == {(fixed.GetID(), moved.GetID())} and panel.is_enabled("topologyButton")


def test_deleting_the_moved_image_stops_the_run(network, panel, monkeypatch):
    _fixed, moved = registered(panel, monkeypatch)
    panel.logic.close()
    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "slow")
    panel.click("topologyButton")
    wait_for_children(panel)
    slicer.mrmlScene.RemoveNode(moved)
    panel.wait_until(lambda: is_idle(panel))
    assert "Stopped because baseline registered to follow-up was deleted" in panel.text("logText")


def test_without_the_network_the_section_says_so(panel, monkeypatch, tmp_path):
    from SlicerSynthReg.weights import registry

    monkeypatch.setattr(registry, "FOLDER", tmp_path)
    registered(panel, monkeypatch)
    assert panel.text("topologyLabel").startswith("Found no network for topological change (topology-brains)")
    assert "synthreg train topology" in panel.text("topologyLabel")
    assert not panel.is_enabled("topologyButton")


def test_a_script_finds_the_same(network, panel, monkeypatch):
    fixed, moved = registered(panel, monkeypatch)
    from SynthRegLib.registration_results import RegisteredNodes

    found = panel.logic.computeTopologicalChange(RegisteredNodes(moved=moved))
    assert list(found.maps) == ["changes", "stretching", "mismatch"]
    assert moved.GetNodeReference("SynthReg.changes") is found.maps["changes"]
    assert found.maps["changes"].GetNodeReference("SynthReg.fixed") is fixed
