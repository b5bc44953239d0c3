"""SynthHealthy's panel, with real clicks: what is missing, a run, what is shown; the worker's answer is known."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import qt
import slicer
import vtk
from slicerhost import count_turns, opened, views
from vtk.util.numpy_support import vtk_to_numpy

from Testing.Host.synthregister.clicking import TURNS, apply, is_idle, node_ids


def reconstruct(panel) -> None:
    apply(panel)
    panel.wait_until(lambda: is_idle(panel))
    assert panel.text("statusLabel").startswith("Done: Healthy T1 of scan")


def marked_voxels(name: str = "Anomalies of scan") -> int:
    node = slicer.util.getNode(name)
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    layer = node.GetSegmentation().GetNthSegment(0).GetRepresentation(kind)
    return int(vtk_to_numpy(layer.GetPointData().GetScalars()).sum())


def in_front() -> str:
    [composite, *others] = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert {one.GetForegroundVolumeID() for one in others} == {composite.GetForegroundVolumeID()}
    return slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID()).GetName()


def test_it_opens_at_once_without_torch_and_says_what_to_do(network):
    with opened("SynthHealthy") as panel:
        assert "torch" not in sys.modules and panel.logic.worker.pid is None
        assert panel.text("statusLabel").startswith("Choose the scan")
        assert not panel.is_enabled("applyButton") and not panel.is_enabled("foregroundBox")
        assert "Trained on" in panel.text("modelLabel")
        assert "Not for diagnosis" in panel.text("noticeLabel") and "synthetic" in panel.text("noticeLabel")


def test_without_the_network_it_says_so_and_does_not_begin(panel, scan, network, monkeypatch):
    monkeypatch.setattr("SlicerSynthReg.weights.registry.FOLDER", network / "nowhere")
    (network / "una-brains.json").unlink()
    panel.select("imageSelector", None)
    assert "Found no network for healthy reconstruction" in panel.text("statusLabel")
    panel.select("imageSelector", scan)
    assert not panel.is_enabled("applyButton") and "synthreg train healthy" in panel.text("statusLabel")


def test_a_run_ends_in_the_scene_beside_the_scan_and_in_the_views(panel, scan, tmp_path):
    with count_turns() as turns:
        apply(panel)
        assert panel.is_visible("progressBar") and not panel.is_enabled("imageSelector")
        panel.wait_until(lambda: is_idle(panel))
    assert turns.count >= TURNS
    healthy, anomaly, other = (
        slicer.util.getNode(name)
        for name in ("Healthy T1 of scan", "Anomaly map of scan", "Contralateral side of scan")
    )
    assert np.allclose(healthy.GetSpacing(), 1.0) and healthy.GetAttribute("SynthReg.Derived")
    assert slicer.util.arrayFromVolume(healthy).max() == pytest.approx(0.8)
    display = anomaly.GetDisplayNode()
    assert display.GetColorNode().GetName() == "Iron" and display.GetApplyThreshold()
    assert other.GetImageData().GetDimensions() == healthy.GetImageData().GetDimensions()
    segment = slicer.util.getNode("Anomalies of scan").GetSegmentation().GetNthSegment(0)
    assert segment.GetName() == "Anomaly (not verified)"
    terms = vtk.reference("")
    assert segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terms)
    assert "SCT^52988006^Lesion" in terms and "SCT^12738006^Brain" in terms
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    places = {hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in (scan, healthy, anomaly)}
    assert len(places) == 1
    assert in_front() == "Healthy T1 of scan"
    planes = {node.GetName(): node.GetSliceToRAS() for node in slicer.util.getNodesByClass("vtkMRMLSliceNode")}
    assert planes["Red"].GetElement(2, 3) == 5 and planes["Yellow"].GetElement(0, 3) == 14, "at the anomaly"
    figures = panel.text("resultLabel")
    assert "Marked as anomaly" in figures and "synthetic" in figures and "6.0 mm apart" in figures
    views.screenshot(tmp_path / "views.png")


def test_the_slider_fades_from_the_patient_to_what_is_chosen(panel, scan):
    reconstruct(panel)
    panel.set_value("opacitySlider", 1.0)
    healthy = views.pixels("Red").copy()
    for words, name in (
        ("Anomaly map", "Anomaly map of scan"),
        ("Contralateral side", "Contralateral side of scan"),
        ("Confidence in the healthy T1", "Confidence in the healthy T1 of scan"),
    ):
        panel.choose("foregroundBox", words)
        assert in_front() == name
    panel.set_value("opacitySlider", 0.0)
    patient = views.pixels("Red")
    assert abs(healthy.astype(int) - patient).mean() > 2
    panel.click("anomaliesCheckBox")
    assert not slicer.util.getNode("Anomalies of scan").GetDisplayNode().GetVisibility()
    assert abs(views.pixels("Red").astype(int) - patient).mean() > 0.01, "the outline is gone"


def test_what_is_marked_follows_the_threshold(panel, scan):
    reconstruct(panel)
    lesion = marked_voxels()
    panel.set_value("thresholdWidget", 0.2)
    both = marked_voxels()
    values = slicer.util.arrayFromVolume(slicer.util.getNode("Anomaly map of scan"))
    assert (lesion, both) == ((values >= 0.5).sum(), (values >= 0.2).sum()) and 0 < lesion < both
    assert f"at this threshold: {both / 1000:.1f} ml" in panel.text("resultLabel")
    panel.set_value("thresholdWidget", 0.95)
    assert marked_voxels() == 0
    reconstruct(panel)
    assert marked_voxels("Anomalies of scan_1") == 0, "the next run marks from there"


def test_a_segment_drawn_by_hand_is_left_alone(panel, scan):
    reconstruct(panel)
    slicer.util.getNode("Anomalies of scan").GetSegmentation().RemoveAllSegments()
    before = panel.text("resultLabel")
    panel.set_value("thresholdWidget", 0.2)
    assert panel.text("resultLabel") == before


def test_results_lie_where_a_turned_scan_lies(panel, scan):
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "turn")
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    matrix[:3, 3] = [30, -20, 10]
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    scan.SetAndObserveTransformNodeID(transform.GetID())
    panel.choose("gridWidget", "As the input")
    panel.choose("mirrorWidget", "None")
    reconstruct(panel)
    healthy = slicer.util.getNode("Healthy T1 of scan")
    assert healthy.GetTransformNodeID() == transform.GetID()
    assert healthy.GetImageData().GetDimensions() == scan.GetImageData().GetDimensions()
    expected = np.clip(slicer.util.arrayFromVolume(scan), None, 200) / 250
    assert np.abs(slicer.util.arrayFromVolume(healthy) - expected).max() < 1e-3
    assert slicer.mrmlScene.GetFirstNodeByName("Contralateral side of scan") is None
    panel.choose("foregroundBox", "Contralateral side")
    assert in_front() == "Healthy T1 of scan", "there is no other side to show"


def test_registration_via_the_pseudo_healthy_image_is_one_click(panel, scan, a_volume):
    panel.expand("pseudoHealthyCollapsibleButton")
    assert not panel.is_enabled("pseudoHealthyButton")
    panel.select("referenceSelector", scan)
    assert not panel.is_enabled("pseudoHealthyButton")
    reference = a_volume("reference", shift_mm=(4.0, 0.0, 0.0))
    panel.select("referenceSelector", reference)
    panel.click("pseudoHealthyButton")
    assert panel.text("applyButton") == "Cancel" and not panel.is_enabled("pseudoHealthyButton")
    panel.wait_until(lambda: is_idle(panel))
    moved = slicer.util.getNode("scan registered to reference")
    assert in_front() == moved.GetName() and moved.GetNodeReference("SynthReg.fixed") is reference
    assert {"scan to reference", "reference to scan"} <= {
        node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLGridTransformNode")
    }
    assert "Lesions were filled in: moving" in panel.text("resultLabel")
    assert not panel.is_enabled("foregroundBox")


def test_a_result_is_reviewed_and_its_report_opened(panel, scan, monkeypatch):
    reconstruct(panel)
    asked = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: asked.append(url.toLocalFile()))
    panel.click("reportButton")
    assert Path(asked[0]).name == "report.html" and Path(asked[0]).is_file()
    with opened("SynthReview") as review:
        panel.click("reviewButton")
        assert review["firstSelector"].currentNode() is scan
        assert review["secondSelector"].currentNode().GetName() == "Healthy T1 of scan"


def test_the_sample_is_one_click_away(panel):
    panel.click("sampleButton")
    panel.wait_until(lambda: panel.text("imageSelector") == "Sample T2 with a lesion")
    assert panel.text("referenceSelector") == "Sample reference T1" and panel.is_enabled("applyButton")


def test_choices_are_kept_in_the_scene(panel, scan):
    panel.choose("modalityWidget", "CT (window 0 to 80 HU)")
    panel.set_value("thresholdWidget", 0.3)
    panel.leave()
    panel.return_()
    assert panel.text("modalityWidget") == "CT (window 0 to 80 HU)" and panel["thresholdWidget"].value == 0.3
    node = slicer.mrmlScene.GetSingletonNode("SynthHealthy", "vtkMRMLScriptedModuleNode")
    assert node.GetParameter("modality") == "CT" and node.GetNodeReference("image") is scan
    assert node_ids()
