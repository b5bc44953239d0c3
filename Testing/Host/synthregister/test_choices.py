"""What can be chosen for a run, and what is done with its result: presets, the landmarks' start, what moves along."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import qt
import slicer
from slicerhost import opened, views

from Testing.Host.synthregister.clicking import apply, is_idle


@pytest.fixture
def shots(tmp_path) -> Path:
    folder = Path(os.environ.get("SYNTHREG_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def requests_sent(panel, monkeypatch) -> list[dict]:
    """The parameters, and the entries of the scene, of each request to the worker."""
    from SlicerSynthReg.service.client import WorkerClient

    requests: list[dict] = []
    run = WorkerClient.run

    def recorded(client, request, *more):
        entries = json.loads(Path(request.inputs["scene"]).read_text())
        requests.append({"parameters": dict(request.parameters), "inputs": set(entries)})
        return run(client, request, *more)

    monkeypatch.setattr(WorkerClient, "run", recorded)
    return requests


def markups(name: str, count: int):
    """So many points, in a line for two and all over the image for more."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    for place in ((-20, -18, -10), (22, -15, -8), (0, 20, 5), (4, 6, 18))[:count]:
        node.AddControlPoint(*place)
    return node


def run(panel) -> None:
    apply(panel)
    panel.wait_until(lambda: is_idle(panel))
    assert panel.text("statusLabel").startswith("Done"), panel.text("statusLabel")


def test_a_preset_says_what_it_is_for_and_reaches_the_worker(panel, pair, requests_sent):
    offered = [panel["presetBox"].itemText(n) for n in range(panel["presetBox"].count)]
    assert len(offered) == len(set(offered)) == 7
    panel.choose("presetBox", "Brain with lesions (pseudo-healthy image)")
    assert "pseudo-healthy reconstruction" in panel.text("modelLabel")
    panel.choose("presetBox", "MR and CT of one patient")
    assert "contrasts may differ" in panel.text("modelLabel")
    panel.choose("presetBox", "Chest or abdomen, CT to CT")
    assert "Hounsfield" in panel.text("modelLabel")
    run(panel)
    parameters = requests_sent[-1]["parameters"]
    assert parameters["anatomy"] == "ct" and parameters["model"] == "none" and not parameters["landmark_start"]


def test_the_landmarks_start_asks_for_enough_of_them_and_for_no_other_start(panel, pair, requests_sent):
    panel.expand("guidesCollapsibleButton")
    panel.click("landmarkStartWidget")
    assert "Found 0 landmark pairs" in panel.text("statusLabel")
    assert not panel.is_enabled("applyButton")
    for role in ("fixed", "moving"):
        panel.select(f"{role}LandmarksSelector", markups(f"two {role}", 2))
    assert "Found 2 landmark pairs" in panel.text("statusLabel")
    for role in ("fixed", "moving"):
        panel.select(f"{role}LandmarksSelector", markups(f"four {role}", 4))
    assert panel.is_enabled("applyButton")
    start = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "near")
    panel.select("initialTransformSelector", start)
    assert "Found the initial transform near and landmark initialization" in panel.text("statusLabel")
    panel.select("initialTransformSelector", None)
    run(panel)
    assert requests_sent[-1]["parameters"]["landmark_start"] is True
    assert {"fixed_landmarks", "moving_landmarks"} <= set(requests_sent[-1]["inputs"])
    panel.click("landmarkStartWidget")
    run(panel)
    assert requests_sent[-1]["parameters"]["landmark_start"] is False


def listed(panel) -> dict[str, bool]:
    """Name of a node that may move along -> whether it is checked."""
    items = [panel["transformedNodesList"].item(n) for n in range(panel["transformedNodesList"].count)]
    return {item.text(): item.checkState() == qt.Qt.Checked for item in items}


def check(panel, name: str, on: bool) -> None:
    [item] = panel["transformedNodesList"].findItems(name, qt.Qt.MatchExactly)
    item.setCheckState(qt.Qt.Checked if on else qt.Qt.Unchecked)
    panel.settle()


def test_what_is_checked_moves_along_and_comes_back(panel, pair, a_volume, a_labelmap, shots):
    _fixed, moving = pair
    points, labels = markups("points", 3), a_labelmap("organs")
    elsewhere = a_volume("elsewhere")
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "other place")
    elsewhere.SetAndObserveTransformNodeID(other.GetID())
    assert not panel.is_visible("transformedNodesList")
    run(panel)
    assert listed(panel) == {"moving": False, "points": False, "organs": False}
    before = np.array(points.GetNthControlPointPositionWorld(0))
    for name in ("points", "organs", "moving"):
        check(panel, name, True)
    forward = slicer.util.getNode("moving to fixed")
    assert {node.GetTransformNodeID() for node in (points, labels, moving)} == {forward.GetID()}
    assert np.linalg.norm(np.array(points.GetNthControlPointPositionWorld(0)) - before) > 3
    assert all(listed(panel).values())
    panel.screenshot(shots / "register-along.png")
    views.screenshot(shots / "register-along-views.png")
    late = a_volume("late")
    panel.settle()
    assert listed(panel)["late"] is False
    slicer.mrmlScene.RemoveNode(late)
    panel.settle()
    assert "late" not in listed(panel)
    check(panel, "points", False)
    assert points.GetTransformNodeID() is None and listed(panel)["organs"]
    np.testing.assert_allclose(points.GetNthControlPointPositionWorld(0), before)
    slicer.mrmlScene.RemoveNode(forward)
    panel.settle()
    assert not panel.is_visible("transformedNodesList")


def through(node, point) -> np.ndarray:
    """Where the node, as a from-parent map, sends a point of the world."""
    from SynthRegLib.node_geometry import between, mapped

    return mapped(between(None, node), np.array([point]))[0]


def test_a_result_is_refined_from_where_it_ended(panel, pair, requests_sent):
    """The worker answers with one map whatever it is given: refined, the pair's transform is that map done twice."""
    fixed, moving = pair
    panel.expand("guidesCollapsibleButton")
    points = markups("moving points", 4)
    panel.select("movingLandmarksSelector", points)
    panel.select("fixedLandmarksSelector", markups("fixed points", 4))
    assert not panel.is_enabled("refineButton")
    run(panel)
    assert panel.is_enabled("refineButton")
    panel.select("movingSelector", fixed)
    assert not panel.is_enabled("refineButton"), "another pair"
    panel.select("movingSelector", moving)
    panel.click("refineButton")
    assert panel.text("applyButton") == "Cancel" and not panel.is_enabled("refineButton")
    panel.wait_until(lambda: is_idle(panel))
    assert panel.text("statusLabel").startswith("Done"), panel.text("statusLabel")
    assert "initial_transform" in requests_sent[-1]["inputs"] and "initial_transform" not in requests_sent[0]["inputs"]
    once, twice, back = (
        slicer.util.getNode(name) for name in ("moving to fixed", "moving to fixed_1", "fixed to moving_1")
    )
    for point in ((0.0, 0.0, 0.0), (12.0, -9.0, 6.0)):
        there = through(once, through(once, point))
        np.testing.assert_allclose(through(twice, point), there, atol=0.3)
        np.testing.assert_allclose(through(back, through(twice, point)), point, atol=0.3)
        assert np.linalg.norm(there - through(once, point)) > 3
    assert moving.GetTransformNodeID() is points.GetTransformNodeID() is back.GetTransformNodeID() is None
    assert set(listed(panel)) == {"moving", "moving points"}, "no result, and nothing of the fixed image"


def test_a_refinement_that_is_cancelled_leaves_the_moving_image_where_it_lay(panel, pair, monkeypatch):
    _fixed, moving = pair
    run(panel)
    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "slow")
    panel.logic.worker.shutdown().join()
    panel.click("refineButton")
    panel.click("applyButton")
    panel.wait_until(lambda: is_idle(panel))
    assert panel.text("statusLabel").startswith("Cancelled")
    assert moving.GetTransformNodeID() is None
    elsewhere = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "elsewhere")
    for role in ("fixed", "moving"):
        panel.expand("guidesCollapsibleButton")
        panel.select(f"{role}LandmarksSelector", markups(f"{role} points", 4))
    slicer.util.getNode("moving points").SetAndObserveTransformNodeID(elsewhere.GetID())
    panel.click("refineButton")
    assert "Found moving points under another transform than the moving image" in panel.text("statusLabel")
    assert is_idle(panel)


@pytest.mark.slow
def test_landmarks_bring_far_turned_images_together(shots):
    """The backend's own registration: the moving head is turned by 150 degrees and lies elsewhere."""
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(2.6), -np.sin(2.6)], [np.sin(2.6), np.cos(2.6)]]
    turn[:3, 3] = (180.0, -60.0, 40.0)
    with opened("SynthRegister") as panel:
        from SynthRegLib.node_job import run_steps
        from SynthRegLib.phantom import make_phantom
        from SynthRegLib.sample_nodes import add_sample

        made = make_phantom(5.0)
        there = made.moving_points @ turn[:3, :3].T + turn[:3, 3]
        far = dataclasses.replace(made, moving_affine=turn @ made.moving_affine, moving_points=there)
        nodes = run_steps(add_sample(far))
        panel.select("fixedSelector", nodes.fixed)
        panel.select("movingSelector", nodes.moving)
        panel.expand("guidesCollapsibleButton")
        for role in ("fixed", "moving"):
            panel.select(f"{role}LandmarksSelector", getattr(nodes, f"{role}_landmarks"))
        panel.click("landmarkStartWidget")
        panel.choose("presetBox", "MR and CT of one patient")
        panel.screenshot(shots / "register-landmarks.png")
        panel.click("applyButton")
        panel.wait_until(lambda: is_idle(panel))
        assert panel.text("statusLabel").startswith("Done"), panel.text("statusLabel")
        panel.screenshot(shots / "register-landmarks-done.png")
        views.screenshot(shots / "register-landmarks-views.png")
        [line] = [row for row in panel.text("resultLabel").splitlines() if "TRE" in row]
        before, after = (float(word) for word in line.split() if word.replace(".", "", 1).isdigit())
        assert before > 100 and after < 6, line
