"""Runs that do not end as planned: cancelled, scene closed, node deleted, panel reloaded, worker dead."""

from __future__ import annotations

import psutil
import pytest
import slicer
from slicerhost import close_scene, count_turns

from Testing.Host.synthregister.clicking import (
    WORKER,
    apply,
    folders,
    gone,
    is_idle,
    node_ids,
    wait_for_children,
)
from Testing.Host.warm_worker import give_worker


@pytest.mark.parametrize("behaviour", ["slow", "deaf"])
def test_cancel_ends_the_whole_tree_and_leaves_nothing(panel, pair, monkeypatch, behaviour):
    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", behaviour)
    before = node_ids(), folders()
    apply(panel)
    family = wait_for_children(panel)
    with count_turns() as turns:
        panel.click("applyButton")
        panel.wait_until(lambda: all(gone(one) for one in family), "the worker's tree to end")
        panel.wait_until(lambda: is_idle(panel))
    assert turns.count > 1
    assert panel.text("statusLabel").startswith("Cancelled")
    assert (node_ids(), folders()) == before
    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "")
    apply(panel)
    panel.wait_until(lambda: is_idle(panel))
    assert panel.text("statusLabel").startswith("Done")


def test_cancel_at_once_ends_a_worker_that_had_not_begun(panel, pair):
    before = node_ids(), folders()
    apply(panel)
    panel.wait_until(lambda: panel.text("statusLabel") != "reading the images")
    panel.click("applyButton")
    panel.wait_until(lambda: is_idle(panel))
    assert (node_ids(), folders()) == before
    mine = psutil.Process().children(recursive=True)
    assert not [one for one in mine if not gone(one) and WORKER.name in " ".join(one.cmdline())]


def test_closing_the_scene_ends_the_run_without_a_trace(panel, pair, monkeypatch):
    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "slow")
    before = folders()
    apply(panel)
    family = wait_for_children(panel)
    close_scene()
    panel.wait_until(lambda: all(gone(one) for one in family), "the worker's tree to end")
    panel.wait_until(lambda: folders() == before)
    assert is_idle(panel) and not panel.is_enabled("applyButton")
    assert panel.text("statusLabel").startswith("Choose the fixed image")
    assert panel.text("fixedSelector") == "Select the fixed image"
    assert not slicer.util.getNodesByClass("vtkMRMLVolumeNode")


def test_a_warm_worker_ends_with_the_scene_and_with_the_panel(panel, pair, a_volume):
    def run() -> psutil.Process:
        apply(panel)
        panel.wait_until(lambda: is_idle(panel))
        return psutil.Process(panel.logic.worker.pid)

    worker = run()
    close_scene()
    panel.wait_until(lambda: gone(worker), "the worker to end with the scene")
    panel.select("fixedSelector", a_volume("fixed"))
    panel.select("movingSelector", a_volume("moving"))
    worker = run()
    panel.widget.cleanup()
    panel.wait_until(lambda: gone(worker), "the worker to end with the panel")


@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_deleting_an_image_that_is_registered_stops_the_run(panel, pair, monkeypatch, which):
    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "slow")
    apply(panel)
    family = wait_for_children(panel)
    slicer.mrmlScene.RemoveNode(slicer.util.getNode(which))
    panel.wait_until(lambda: is_idle(panel))
    assert all(gone(one) for one in family)
    assert f"Stopped because {which} was deleted" in panel.text("logText")
    assert not slicer.util.getNodesByClass("vtkMRMLGridTransformNode")


def test_another_module_meanwhile_does_not_stop_the_run(panel, pair):
    apply(panel)
    panel.leave()
    panel.wait_until(lambda: slicer.util.getNodesByClass("vtkMRMLGridTransformNode"))
    panel.return_()
    panel.wait_until(lambda: is_idle(panel))
    assert panel.text("fixedSelector") == "fixed"


def test_reload_in_the_middle_ends_the_run_and_keeps_the_choice(panel, pair, monkeypatch):
    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "slow")
    panel.choose("presetBox", "Any anatomy (no network)")
    apply(panel)
    family = wait_for_children(panel)
    panel.reload()
    panel.wait_until(lambda: all(gone(one) for one in family), "the worker's tree to end")
    assert is_idle(panel) and panel.text("presetBox") == "Any anatomy (no network)"
    assert (panel.text("fixedSelector"), panel.text("movingSelector")) == ("fixed", "moving")
    give_worker(panel, WORKER)
    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "")
    apply(panel)
    panel.wait_until(lambda: is_idle(panel))
    assert panel.text("statusLabel").startswith("Done")


@pytest.mark.parametrize(("behaviour", "said"), [("memory", "too little memory"), ("die", "was ended by signal 9")])
def test_what_goes_wrong_in_the_worker_is_said(panel, pair, monkeypatch, behaviour, said):
    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", behaviour)
    before = node_ids(), folders()
    apply(panel)
    panel.wait_until(lambda: is_idle(panel))
    text = panel.text("statusLabel")
    assert text.startswith("Found") and said in text and "expected" in text
    panel.wait_until(lambda: (node_ids(), folders()) == before)
    panel.choose("presetBox", "Automatic, fast")
    assert panel.is_enabled("applyButton")


def test_deleting_a_shown_image_clears_the_result(panel, pair):
    apply(panel)
    panel.wait_until(lambda: is_idle(panel))
    panel.click("checkerboardCheckBox")
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("moving registered to fixed"))
    panel.settle()
    assert panel.text("resultLabel") == "No result yet." and not panel.is_enabled("checkerboardCheckBox")
    assert not [node for node in slicer.util.getNodesByClass("vtkMRMLVolumeNode") if "checkerboard" in node.GetName()]
