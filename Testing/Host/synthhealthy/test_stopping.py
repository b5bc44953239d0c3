"""Runs that do not end as planned: cancelled, scene closed, node deleted, worker dead; and scans that are none."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from slicerhost import close_scene

from Testing.Host.synthregister.clicking import apply, folders, gone, is_idle, node_ids, wait_for_children


def test_cancel_ends_the_whole_tree_and_leaves_nothing(panel, scan, monkeypatch):
    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "slow")
    before = node_ids(), folders()
    apply(panel)
    family = wait_for_children(panel)
    panel.click("applyButton")
    panel.wait_until(lambda: all(gone(one) for one in family), "the worker's tree to end")
    panel.wait_until(lambda: is_idle(panel))
    assert panel.text("statusLabel").startswith("Cancelled")
    assert (node_ids(), folders()) == before


def test_closing_the_scene_or_deleting_the_scan_ends_the_run(panel, scan, a_volume, monkeypatch):
    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "slow")
    apply(panel)
    family = wait_for_children(panel)
    slicer.mrmlScene.RemoveNode(scan)
    panel.wait_until(lambda: is_idle(panel))
    assert all(gone(one) for one in family) and "scan was deleted" in panel.text("logText")
    panel.select("imageSelector", a_volume("another"))
    panel["logText"].clear()
    apply(panel)
    family = wait_for_children(panel)
    close_scene()
    panel.wait_until(lambda: all(gone(one) for one in family), "the worker's tree to end")
    assert panel.text("statusLabel").startswith("Choose the scan")
    assert not slicer.util.getNodesByClass("vtkMRMLVolumeNode")


def test_a_killed_worker_is_reported_and_the_scene_stays(panel, scan, monkeypatch):
    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "die")
    before = node_ids(), folders()
    apply(panel)
    panel.wait_until(lambda: is_idle(panel))
    assert "was ended by signal 9" in panel.text("statusLabel")
    panel.wait_until(lambda: (node_ids(), folders()) == before)


@pytest.mark.parametrize("which", ["Anomaly map of scan", "scan"])
def test_deleting_what_is_shown_clears_the_result(panel, scan, which):
    apply(panel)
    panel.wait_until(lambda: is_idle(panel))
    slicer.mrmlScene.RemoveNode(slicer.util.getNode(which))
    panel.settle()
    assert panel.text("resultLabel") == "No result yet." and not panel.is_enabled("foregroundBox")
    panel.set_value("thresholdWidget", 0.2)


def test_input_without_a_volume_is_refused(panel):
    affine = np.eye(4)
    flat = slicer.util.addVolumeFromArray(np.arange(42, dtype=np.int16).reshape(1, 6, 7), affine, "slice")
    panel.select("imageSelector", flat)
    assert "Found a single slice in slice" in panel.text("statusLabel") and not panel.is_enabled("applyButton")
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    panel.select("imageSelector", empty)
    assert "Found no voxels in empty" in panel.text("statusLabel") and not panel.is_enabled("applyButton")
