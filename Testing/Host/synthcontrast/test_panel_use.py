"""SynthContrast's panel, with real clicks and the real worker: what is missing or wrong, a run, a preview."""

from __future__ import annotations

import json
import sys

import numpy as np
import slicer
import vtk
from slicerhost import count_turns, opened, views

from Testing.Host.synthcontrast.scans import a_ct, ct_values, organs
from Testing.Host.synthregister.clicking import TURNS, apply, is_idle, node_ids


def test_it_opens_without_torch_and_without_a_network_says_so(monkeypatch):
    import SlicerSynthReg.weights.registry as registry

    monkeypatch.setattr(registry, "FOLDER", registry.FOLDER / "nowhere")
    monkeypatch.delenv("SYNTHREG_WEIGHTS", raising=False)
    with opened("SynthContrast") as panel:
        assert "torch" not in sys.modules and panel.logic.worker.pid is None
        text = panel.text("statusLabel")
        assert text.startswith("Found no contrast network mfm-abdomen") and "SYNTHREG_WEIGHTS" in text
        assert "No network is installed" in panel.text("modelLabel")
        panel.select("imageSelector", a_ct())
        assert not panel.is_enabled("applyButton") and not panel.is_enabled("previewButton")
        assert panel.is_enabled("sampleButton")
        assert "Not for diagnosis" in panel.text("noticeLabel")


def test_what_the_network_is_and_was_trained_on_is_said(panel):
    assert "Trained on phantoms, not validated on patients." in panel.text("modelLabel")
    assert "Never trained." in panel.text("modelLabel")
    assert panel.text("statusLabel").startswith("Choose the CT")
    panel.select("imageSelector", a_ct())
    assert panel.text("checkLabel") == "The values fit a CT in HU." and panel.is_enabled("previewButton")


def test_what_is_no_ct_in_hu_is_refused_at_once(panel):
    hu = ct_values().astype(np.float32)
    wrong = {
        "an MR": (np.abs(hu) / 2, "none of them air of a CT"),
        "shifted": (hu + 1024, "fit a CT shifted by 1024"),
        "twice": (hu - 1024, "subtracted twice"),
        "grey": ((hu.clip(-160, 240) + 160) / 400 * 255, "grey values of a picture"),
        "scaled": (hu / 1000, "scaled for a network"),
        "window": (hu.clip(-160, 240), "few near fat and soft tissue"),
        "holes": (np.where(hu > 900, np.nan, hu), "NaN or infinite"),
    }
    for name, (values, said) in wrong.items():
        panel.select("imageSelector", a_ct(name, values))
        text = panel.text("statusLabel")
        assert said in text and "expected HU" in text, (name, text)
        assert not panel.is_enabled("applyButton") and not panel.is_visible("checkLabel"), name
    panel.select("imageSelector", a_ct("bone is cut", hu.clip(-1100, 400)))
    assert "clipped at 400 HU" in panel.text("checkLabel") and panel.is_enabled("applyButton")


def test_what_is_no_single_scan_is_refused(panel):
    from SynthContrastLib.input_checks import ContrastNodes, CTChecks, contrast_validation_error

    from SlicerSynthReg.parameters.derived_images import ContrastParameters

    def text(node) -> str:
        return contrast_validation_error(ContrastNodes(node), ContrastParameters(model="tiny"), CTChecks())

    colour = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "colour")
    image = vtk.vtkImageData()
    image.SetDimensions(4, 4, 4)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    colour.SetAndObserveImageData(image)
    assert "3 values per voxel" in text(colour)
    assert "sequence" in text(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "movie"))
    assert "no voxels" in text(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "nothing"))
    labels = slicer.util.addVolumeFromArray(np.ones((4, 4, 4), np.uint8), np.eye(4), "map", "vtkMRMLLabelMapVolumeNode")
    assert "label map" in text(labels)
    assert "single slice" in text(a_ct("slice", ct_values()[:, :, :1]))


def test_a_run_ends_in_the_scene_the_views_and_the_table(panel, tmp_path):
    scan, parts = a_ct(), organs()
    panel.select("imageSelector", scan)
    panel.select("labelsSelector", parts)
    with count_turns() as turns:
        apply(panel)
        assert panel.is_visible("progressBar") and not panel.is_enabled("imageSelector")
        assert not panel.is_enabled("previewButton")
        panel.wait_until(lambda: is_idle(panel))
    assert turns.count >= TURNS
    assert panel.text("statusLabel").startswith("Done")
    made, cycle = slicer.util.getNode("scan: synthetic native CT"), slicer.util.getNode("scan: cycle error in HU")
    change = slicer.util.arrayFromVolume(made) - slicer.util.arrayFromVolume(scan)
    assert made.GetImageData().GetDimensions() == (40, 36, 14) and 3 < np.abs(change).mean() < 100
    assert "not for diagnosis" in made.GetAttribute("SynthReg.Derived")
    assert made.GetAttribute("SynthReg.Model") == "tiny" and made.GetNodeReference("SynthReg.image") is scan
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        assert composite.GetBackgroundVolumeID() == scan.GetID()
        assert composite.GetForegroundVolumeID() == made.GetID()
    for node in (scan, made):
        assert (node.GetDisplayNode().GetWindow(), node.GetDisplayNode().GetLevel()) == (350.0, 40.0)
    text = panel.text("resultLabel")
    assert "Synthetic native CT by tiny: not a scan of the patient." in text
    assert "Detected phase: contrast-enhanced (scan)" in text and "Cycle error in soft tissue" in text
    assert "40 x 36 pixels, expected 512 x 512" in text, "the backend's own warnings"
    table = panel["organTable"]
    rows = {table.item(n, 0).text(): [table.item(n, c).text() for c in (1, 2, 3)] for n in range(table.rowCount)}
    assert set(rows) == {"Liver", "Aorta"} and abs(int(rows["Aorta"][0]) - 300) <= 2
    assert int(rows["Liver"][2]) == np.sign(int(rows["Liver"][2])) * abs(int(rows["Liver"][1]) - int(rows["Liver"][0]))
    panel.choose("foregroundBox", "Cycle error")
    assert slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0].GetForegroundVolumeID() == cycle.GetID()
    panel.screenshot(tmp_path / "done.png")


def test_a_preview_is_one_slice_where_the_red_view_is(panel):
    scan = a_ct()
    panel.select("imageSelector", scan)
    slicer.util.setSliceViewerLayers(background=scan, fit=True)
    red = slicer.app.layoutManager().sliceWidget("Red").sliceLogic()
    red.SetSliceOffset(-30.0 + 9 * 5.0 + 1.0)
    before = node_ids()
    with count_turns() as turns:
        panel.click("previewButton")
        panel.wait_until(lambda: is_idle(panel))
    assert turns.count >= TURNS
    assert "Preview of one slice" in panel.text("statusLabel")
    assert panel.text("resultLabel").startswith("Preview of slice 9")
    [preview] = [slicer.mrmlScene.GetNodeByID(one) for one in node_ids() - before if "VolumeNode" in one]
    assert preview.GetImageData().GetDimensions() == (40, 36, 1) and preview.GetHideFromEditors()
    bounds = [0.0] * 6
    preview.GetRASBounds(bounds)
    np.testing.assert_allclose(bounds[4:], [-30 + 8.5 * 5, -30 + 9.5 * 5], atol=1e-3)
    assert abs(red.GetSliceOffset() - 16.0) < 1e-6, "the view stays where it was"
    panel.set_value("opacitySlider", 0.0)
    behind = views.pixels("Red").astype(int)
    panel.set_value("opacitySlider", 1.0)
    assert abs(views.pixels("Red").astype(int) - behind).max() > 10
    panel.expand("exportCollapsibleButton")
    assert panel.text("exportLabel") == "Convert a whole volume first."
    panel.click("previewButton")
    panel.wait_until(lambda: is_idle(panel))
    assert len([one for one in node_ids() - before if "ScalarVolumeNode" in one]) == 1
    panel.click("applyButton")
    panel.wait_until(lambda: is_idle(panel))
    names = {slicer.mrmlScene.GetNodeByID(one).GetName() for one in node_ids() - before if "ScalarVolumeNode" in one}
    assert names == {"scan: synthetic native CT", "scan: cycle error in HU"}


def test_a_preview_is_nearly_the_slice_of_the_whole(panel):
    from SynthContrastLib.conversion_job import conversion_job, preview_job
    from SynthContrastLib.input_checks import ContrastNodes
    from SynthRegLib.node_job import run_sync

    from SlicerSynthReg.parameters.derived_images import ContrastParameters

    scan = a_ct()
    settings = ContrastParameters(target_phase="arterial", solver="midpoint", steps=1, cycle=False, model="tiny")
    run = panel.logic.worker.client().run
    whole = slicer.util.arrayFromVolume(run_sync(conversion_job(ContrastNodes(scan), settings), run).image)
    for k in (0, 6, 13):
        part = slicer.util.arrayFromVolume(run_sync(preview_job(ContrastNodes(scan), settings, k), run).image)
        np.testing.assert_allclose(part[0], whole[k], atol=2.0)
        assert abs(whole[k] - whole[(k + 5) % 14]).max() > 10, "slices differ enough to be told apart"


def test_solver_steps_direction_and_cycle_reach_the_backend(panel):
    panel.select("imageSelector", a_ct())
    panel.choose("targetPhaseWidget", "Arterial phase")
    panel.choose("solverWidget", "Heun (RK2; best in the paper)")
    panel.set_value("stepsWidget", 3)
    panel.click("cycleWidget")
    apply(panel)
    panel.wait_until(lambda: is_idle(panel))
    made = panel.widget._view.made
    chosen = {
        name: made.report["run"]["parameters"][name] for name in ("target_phase", "solver", "steps", "cycle", "model")
    }
    assert chosen == {"target_phase": "arterial", "solver": "heun", "steps": 3, "cycle": False, "model": "tiny"}
    assert made.report["network"]["nfe"] == 6 and made.cycle is None and not panel.is_enabled("foregroundBox")


def test_a_network_of_one_direction_is_refused_for_the_other(panel, own_weights, tmp_path, monkeypatch):
    card = json.loads((own_weights / "tiny.json").read_text())
    card["architecture"] |= {"method": "regression", "target_phase": "arterial"}
    (tmp_path / "tiny.json").write_text(json.dumps(card))
    monkeypatch.setenv("SYNTHREG_WEIGHTS", str(tmp_path))
    panel.select("imageSelector", a_ct())
    assert panel.text("statusLabel").startswith("Found that tiny converts to arterial CT only")
    assert not panel.is_enabled("applyButton")
    panel.choose("targetPhaseWidget", "Arterial phase")
    assert panel.is_enabled("applyButton")


def test_a_large_scan_does_not_freeze_the_window(panel):
    """Ten million voxels: looked at, written, converted and placed."""
    small = ct_values(1)
    values = np.repeat(np.repeat(np.repeat(small, 12, 0), 14, 1), 3, 2)
    scan = a_ct("large", values)
    scan.SetSpacing(4.0 / 12, 4.0 / 14, 5.0 / 3)
    panel.select("imageSelector", scan)
    with count_turns() as turns:
        apply(panel)
        panel.wait_until(lambda: is_idle(panel))
    assert panel.text("statusLabel").startswith("Done"), panel.text("statusLabel")
    assert turns.count >= TURNS
