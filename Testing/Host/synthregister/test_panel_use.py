"""SynthRegister's panel, with real clicks: what is missing, a run, its result; the worker answers a known map."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import qt
import slicer
from slicerhost import count_turns, opened, views

from Testing.Host.synthregister.clicking import TURNS, apply, is_idle, node_ids


def test_it_opens_at_once_without_torch_and_says_what_to_do():
    with opened("SynthRegister") as panel:
        assert "torch" not in sys.modules
        assert panel.logic.worker.pid is None
        assert panel.text("statusLabel").startswith("Choose the fixed image")
        assert not panel.is_enabled("applyButton")
        assert not panel.is_enabled("reportButton")
        assert "Not for diagnosis" in panel.text("noticeLabel")


def test_what_is_missing_is_named(panel, a_volume):
    fixed = a_volume("fixed")
    panel.select("fixedSelector", fixed)
    assert "moving image" in panel.text("statusLabel") and not panel.is_enabled("applyButton")
    panel.select("movingSelector", fixed)
    assert "Found fixed as fixed and as moving image" in panel.text("statusLabel")
    assert not panel.is_enabled("applyButton")
    panel.select("movingSelector", a_volume("moving"))
    assert panel.is_enabled("applyButton")


def test_only_scans_are_offered_as_images(panel, a_labelmap, a_volume):
    labels, volume = a_labelmap("labels"), a_volume("scan")
    panel.select("fixedSelector", volume)
    with pytest.raises(LookupError, match="does not offer"):
        panel.select("movingSelector", labels)
    panel.expand("guidesCollapsibleButton")
    panel.select("movingLabelsSelector", labels)


def test_a_run_is_shown_and_ends_in_the_scene_and_the_views(panel, pair, tmp_path):
    fixed, moving = pair
    with count_turns() as turns:
        apply(panel)
        assert panel.is_visible("progressBar")
        assert not panel.is_enabled("fixedSelector") and not panel.is_enabled("presetBox")
        panel.wait_until(lambda: is_idle(panel))
    assert turns.count >= TURNS
    assert panel.text("statusLabel").startswith("Done")
    assert not panel.is_visible("progressBar") and panel.is_enabled("fixedSelector")
    moved = slicer.util.getNode("moving registered to fixed")
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        assert composite.GetBackgroundVolumeID() == fixed.GetID()
        assert composite.GetForegroundVolumeID() == moved.GetID()
        assert composite.GetLinkedControl()
    names = {node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLGridTransformNode")}
    assert names == {"moving to fixed", "fixed to moving"}
    assert "known map" in panel.text("resultLabel")
    assert panel.is_enabled("reportButton")
    panel.screenshot(tmp_path / "done.png")


def test_a_large_volume_under_a_bending_transform_does_not_freeze_the_window(panel, a_volume):
    """Two and a half million voxels, each sent through the inverse of a grid transform: seconds of work."""
    from Testing.Slicer.scenes import grid_parent

    affine = np.diag([0.7, 0.7, 1.0, 1.0])
    affine[:3, 3] = (-56.0, -56.0, -50.0)
    panel.select("fixedSelector", a_volume("fixed"))
    moving = a_volume("moving", (160, 160, 100), affine)
    moving.SetAndObserveTransformNodeID(grid_parent(5, from_parent=False).GetID())
    panel.select("movingSelector", moving)
    with count_turns() as turns:
        apply(panel)
        panel.wait_until(lambda: is_idle(panel))
    assert panel.text("statusLabel").startswith("Done"), panel.text("statusLabel")
    assert turns.count >= TURNS


def test_fade_and_checkerboard_change_what_is_seen(panel, pair):
    apply(panel)
    panel.wait_until(lambda: is_idle(panel))
    panel.set_value("opacitySlider", 0.0)
    fixed_alone = views.pixels("Red").astype(int)
    panel.set_value("opacitySlider", 1.0)
    moved_alone = views.pixels("Red").astype(int)
    assert abs(fixed_alone - moved_alone).max() > 50
    before = node_ids()
    panel.click("checkerboardCheckBox")
    board = views.pixels("Red").astype(int)
    assert abs(board - fixed_alone).max() > 50 and abs(board - moved_alone).max() > 50
    like_fixed = (abs(board - fixed_alone).max(2) < 3).mean()
    like_moved = (abs(board - moved_alone).max(2) < 3).mean()
    assert like_fixed > 0.3 and like_moved > 0.3
    panel.click("checkerboardCheckBox")
    assert node_ids() == before


def test_a_second_run_finds_the_worker_warm(panel, pair):
    apply(panel)
    panel.wait_until(lambda: is_idle(panel))
    first = panel.logic.worker.pid
    panel.click("applyButton")
    panel.wait_until(lambda: panel.text("statusLabel") == "computing")
    panel.wait_until(lambda: is_idle(panel))
    assert panel.logic.worker.pid == first is not None


def test_the_report_opens_in_the_browser(panel, pair, monkeypatch):
    asked = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: asked.append(url.toLocalFile()))
    apply(panel)
    panel.wait_until(lambda: is_idle(panel))
    panel.click("reportButton")
    assert len(asked) == 1 and Path(asked[0]).name == "report.html" and Path(asked[0]).is_file()


def test_the_sample_pair_is_one_click_away(panel):
    with count_turns() as turns:
        panel.click("sampleButton")
        panel.wait_until(lambda: panel.text("fixedSelector") == "Sample T1")
    assert turns.count >= TURNS
    assert panel.is_enabled("applyButton")
    panel.expand("guidesCollapsibleButton")
    assert panel.text("movingLabelsSelector") == "Sample T2 labels"
    assert panel.text("fixedLandmarksSelector") == "Sample T1 landmarks"


def test_the_module_sample_data_offers_the_same_pair(panel):
    from slicerhost.sampledata import click_sample_button

    nodes = click_sample_button("SynthRegisterPair")
    assert {"Sample T1", "Sample T2"} <= {node.GetName() for node in nodes}


def test_choices_are_kept_in_the_scene(panel, pair):
    panel.choose("presetBox", "Affine only")
    panel.set_value("regularizationWidget", 2.5)
    panel.click("jacobianCheckBox")
    panel.leave()
    panel.return_()
    assert panel.text("presetBox") == "Affine only"
    assert panel["regularizationWidget"].value == 2.5 and panel["jacobianCheckBox"].checked
    node = slicer.mrmlScene.GetSingletonNode("SynthRegister", "vtkMRMLScriptedModuleNode")
    assert node.GetParameter("preset") == "AFFINE" and node.GetNodeReference("fixed") is pair[0]
