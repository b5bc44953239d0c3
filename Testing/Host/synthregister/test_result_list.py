"""What can be done with results: chosen among many, compared, exported; and a mask that is drawn for a run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
from slicerhost import count_turns

from Testing.Host.synthregister.clicking import TURNS, apply, cells, click_row, folders, is_idle


@pytest.fixture
def shots(tmp_path) -> Path:
    folder = Path(os.environ.get("SYNTHREG_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run(panel) -> None:
    apply(panel)
    panel.wait_until(lambda: is_idle(panel))
    assert panel.text("statusLabel").startswith("Done"), panel.text("statusLabel")


@pytest.fixture
def two(panel, pair):
    """Two results of one pair: affine only, and with the deformation. Their moved images."""
    panel.choose("presetBox", "Affine only")
    run(panel)
    panel.choose("presetBox", "Any anatomy (no network)")
    run(panel)
    return [slicer.util.getNode(f"moving registered to fixed{end}") for end in ("", "_1")]


def in_front() -> set[str]:
    return {node.GetForegroundVolumeID() for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}


def test_results_are_listed_with_their_figures_and_a_click_chooses_one(panel, two, shots):
    first, second = two
    assert cells(panel) == [
        ["moving registered to fixed", "-", "-", "0.000%", "0.400", "2"],
        ["moving registered to fixed_1", "-", "-", "0.000%", "0.700", "7"],
    ]
    assert in_front() == {second.GetID()} and "7 s" in panel.text("resultLabel")
    click_row(panel, 0)
    assert in_front() == {first.GetID()} and "2 s" in panel.text("resultLabel")
    assert panel.widget.chosenForward() is slicer.util.getNode("moving to fixed")
    panel.screenshot(shots / "register-results.png")
    panel.leave()
    panel.return_()
    assert len(cells(panel)) == 2, "the scene keeps them"
    slicer.mrmlScene.RemoveNode(first)
    panel.settle()
    assert [row[0] for row in cells(panel)] == ["moving registered to fixed_1"]
    assert not panel.is_enabled("refineButton") and panel.widget.chosenForward() is None
    click_row(panel, 0)
    assert panel.is_enabled("refineButton")
    slicer.mrmlScene.RemoveNode(second)
    panel.settle()
    assert not panel.is_visible("resultsTable")


def test_exactly_two_are_compared(panel, two, monkeypatch):
    from SynthRegisterLib import result_table

    shown = []
    monkeypatch.setattr(result_table.review, "show", lambda *images, **how: shown.append((images, how)))
    assert not panel.is_enabled("compareButton"), "one is selected"
    click_row(panel, 0)
    click_row(panel, 1, more=True)
    panel.click("compareButton")
    [(images, how)] = shown
    assert list(images) == two and how["mode"].label() == "Split (wipe)" and how["link_windows"]
    click_row(panel, 1)
    assert not panel.is_enabled("compareButton")


def test_nodes_that_come_together_are_shown_once(panel, monkeypatch):
    """A scene of hundreds of nodes must not fill the panel anew for each of them."""
    refreshed, refresh = [], panel.widget._results.refresh
    monkeypatch.setattr(panel.widget._results, "refresh", lambda *given: (refreshed.append(given), refresh(*given)))
    for _ in range(40):
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    panel.settle()
    assert len(refreshed) == 1


def test_the_chosen_result_is_exported_by_one_button(panel, two, tmp_path):
    assert not panel.is_enabled("exportButton"), "no folder is chosen"
    panel["exportDirectory"].currentPath = str(tmp_path)
    panel.settle()
    before = folders()
    with count_turns() as turns:
        panel.click("exportButton")
        assert panel.text("applyButton") == "Cancel"
        panel.wait_until(lambda: is_idle(panel))
    assert turns.count >= TURNS
    assert panel.text("statusLabel") == "Exported forward and inverse to the folder moving to fixed_1."
    assert folders() == before
    transform = sitk.ReadTransform(str(tmp_path / "moving to fixed_1" / "forward.h5"))
    point = np.array([4.0, -6.0, 2.0])
    expected = slicer.util.getNode("moving to fixed_1").GetTransformFromParent().TransformPoint(point)
    lps = [-1, -1, 1]
    np.testing.assert_allclose(np.array(transform.TransformPoint((point * lps).tolist())) * lps, expected, atol=0.01)
    panel["exportDirectory"].currentPath = str(tmp_path / "nowhere")
    panel.settle()
    panel.click("exportButton")
    assert "Found no export folder, expected one" in panel.text("statusLabel") and is_idle(panel)
    assert [path.name for path in tmp_path.iterdir()] == ["moving to fixed_1"]


@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_a_mask_is_drawn_where_its_image_lies(panel, pair, monkeypatch, side):
    opened = []
    monkeypatch.setattr(slicer.util, "selectModule", opened.append)
    image = pair[side == "moving"]
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "place")
    image.SetAndObserveTransformNodeID(parent.GetID())
    panel.expand("guidesCollapsibleButton")
    panel.click(f"draw{side.capitalize()}MaskButton")
    mask = panel[f"{side}MaskSelector"].currentNode()
    assert mask.GetName() == f"Mask of {side}" and mask.GetTransformNodeID() == parent.GetID()
    assert mask.GetNodeReference(mask.GetReferenceImageGeometryReferenceRole()) is image
    editor = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    assert editor.GetSegmentationNode() is mask and editor.GetSourceVolumeNode() is image
    assert opened == ["SegmentEditor"]
    panel.click(f"draw{side.capitalize()}MaskButton")
    assert panel[f"{side}MaskSelector"].currentNode() is mask, "drawn on, not made anew"
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1
