"""Conversions that do not end as planned, and another module meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
import slicer
from slicerhost import close_scene, count_turns

from Testing.Host.synthcontrast.scans import a_ct, organs
from Testing.Host.synthregister.clicking import (
    apply,
    folders,
    gone,
    is_idle,
    node_ids,
    wait_for_children,
)
from Testing.Host.warm_worker import give_worker


@pytest.fixture
def slow(panel, monkeypatch):
    """The panel with a scan chosen and a worker that takes a minute."""
    monkeypatch.setenv("SYNTHREG_TEST_BEHAVIOUR", "slow")
    give_worker(panel, Path(__file__).with_name("behaving_worker.py"))
    panel.select("imageSelector", a_ct())
    return panel


def test_cancel_ends_the_whole_tree_and_leaves_nothing(slow):
    before = node_ids(), folders()
    apply(slow)
    family = wait_for_children(slow)
    with count_turns() as turns:
        slow.click("applyButton")
        slow.wait_until(lambda: all(gone(one) for one in family), "the worker's tree to end")
        slow.wait_until(lambda: is_idle(slow))
    assert turns.count > 1
    assert slow.text("statusLabel") == "Cancelled. Nothing was added to the scene."
    assert (node_ids(), folders()) == before


def test_a_preview_is_cancelled_as_a_run_is(slow):
    before = node_ids(), folders()
    slow.click("previewButton")
    wait_for_children(slow)
    assert not slow.is_enabled("previewButton")
    slow.click("applyButton")
    slow.wait_until(lambda: is_idle(slow))
    assert (node_ids(), folders()) == before


def test_closing_the_scene_ends_the_run_without_a_trace(slow):
    before = folders()
    apply(slow)
    family = wait_for_children(slow)
    close_scene()
    slow.wait_until(lambda: all(gone(one) for one in family) and folders() == before)
    assert is_idle(slow) and slow.text("statusLabel").startswith("Choose the CT")


def test_deleting_the_scan_stops_the_run(slow):
    apply(slow)
    wait_for_children(slow)
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("scan"))
    slow.wait_until(lambda: is_idle(slow))
    assert "Stopped because scan was deleted" in slow.text("logText")


def test_a_result_that_is_deleted_is_no_longer_shown_or_exported(panel, tmp_path):
    panel.select("imageSelector", a_ct())
    panel.select("labelsSelector", organs())
    apply(panel)
    panel.leave()
    panel.wait_until(lambda: slicer.util.getNodes("scan: synthetic*"))
    panel.return_()
    panel.wait_until(lambda: is_idle(panel))
    panel.expand("exportCollapsibleButton")
    panel["exportDirectory"].currentPath = panel["sourceDirectory"].currentPath = str(tmp_path)
    panel.settle()
    assert panel.is_enabled("exportButton") and panel.is_visible("organTable")
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("scan: synthetic native CT"))
    panel.settle()
    assert panel.text("resultLabel") == "No result yet." and not panel.is_enabled("exportButton")
    assert not panel.is_visible("organTable") and panel.text("exportLabel") == "Convert a whole volume first."
