"""Targets done by their examples, in the real worker with a network that votes: answers, their correction, their way
into the examples, and runs that do not end as planned."""

from __future__ import annotations

import os

import numpy as np
import psutil
import pytest
import slicer
from slicerhost import close_scene, count_turns, dialogs, views

from Testing.Host.synthcontext.clicking import (
    a_head,
    a_pair,
    a_segmentation,
    check,
    drop,
    is_idle,
    quick,
    run,
    select_row,
    texts,
)


def segment(node, name) -> np.ndarray:
    """(K, J, I) bool of the segment, on the grid of the volume that it was drawn on."""
    segmentation = node.GetSegmentation()
    drawn_on = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, segmentation.GetSegmentIdBySegmentName(name), drawn_on) > 0


def temporary_folders() -> set[str]:
    return {name for name in os.listdir(slicer.app.temporaryPath) if name.startswith("SynthReg-")}


@pytest.fixture
def filled(panel):
    """Three examples whose segments are in different orders, and a target with its truth under a shifting parent."""
    for n, names in enumerate((("rest", "ball"), ("ball", "rest"), ("rest", "ball"))):
        drop(panel, "exampleTable", a_pair(f"example {n + 1}", shift_mm=4.0 * n, seed=n, names=names))
    target, labels = a_head("target", seed=9)
    truth = a_segmentation(target, labels)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[:3, 3] = (25.0, -10.0, 5.0)
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    for node in (target, truth):
        node.SetAndObserveTransformNodeID(transform.GetID())
    drop(panel, "targetTable", [target, truth])
    quick(panel)
    return target, truth


def test_an_answer_is_corrected_and_becomes_an_example(panel, filled, shots):
    target, truth = filled
    panel.click("applyButton")
    with count_turns() as turns:
        panel.wait_until(lambda: is_idle(panel))
    assert turns.count >= 10
    assert panel.text("statusLabel").startswith("Done")
    answer = slicer.util.getNode("Prediction of target")
    assert answer.GetTransformNodeID() == target.GetTransformNodeID(), "under the target's parent"
    assert {answer.GetSegmentation().GetNthSegment(n).GetName() for n in range(2)} == {"rest", "ball"}
    colour = answer.GetSegmentation().GetSegment(answer.GetSegmentation().GetSegmentIdBySegmentName("ball")).GetColor()
    assert colour == pytest.approx((0.9, 0.2, 0.1))
    found, true = segment(answer, "ball"), segment(truth, "ball")
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.85
    assert answer.GetAttribute("SynthReg.Derived") and ", Dice " in panel.text("resultLabel")
    assert panel["targetTable"].item(0, 2).text().startswith("Dice ")
    assert panel["exampleTable"].item(0, 2).text().startswith("leave-one-out Dice")
    uncertainty = slicer.util.arrayFromVolume(slicer.util.getNode("Uncertainty of target"))
    assert uncertainty.min() >= 0 and 0.9 < uncertainty.max() <= 1.0
    assert panel.is_visible("uncertaintyBar") and "Uncertainty (entropy): red 0.72 bit" in panel.text(
        "uncertaintyLabel"
    )
    assert_air_is_clear_and_uncertainty_is_seen(uncertainty, answer)
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        assert composite.GetBackgroundVolumeID() == target.GetID()
    assert answer.GetDisplayNode().GetVisibility() and not truth.GetDisplayNode().GetVisibility()
    panel.screenshot(shots / "context-done.png")
    views.screenshot(shots / "context-views.png")

    edited = segment(answer, "ball").astype(np.uint8)
    edited[:4, :4, :4] = 1
    segment_id = answer.GetSegmentation().GetSegmentIdBySegmentName("ball")
    slicer.util.updateSegmentBinaryLabelmapFromArray(edited, answer, segment_id, target)
    panel.click("correctedButton")
    assert texts(panel, "exampleTable")[-1] == ("target", "Prediction of target")
    assert "added to the examples" in panel.text("statusLabel") and not panel.is_enabled("applyButton")
    panel.click("correctedButton")
    assert panel["exampleTable"].rowCount == 4 and "already an example" in panel.text("statusLabel")
    drop(panel, "targetTable", [a_head("second", seed=11)[0]])
    folder = panel.logic.folder
    before = folder.current(panel.widget._examples.rows()[:3])
    assert before is not None and folder.current(panel.widget._examples.rows()) is None
    assert run(panel) == "Done: Prediction of second is in the scene."
    made = folder.current(panel.widget._examples.rows())
    from slicer import util

    names = sorted(path.name for path in (made.folder / "labels").iterdir())
    assert names == ["example 1.nrrd", "example 2.nrrd", "example 3.nrrd", "target.nrrd"]
    corrected = util.arrayFromVolume(util.loadVolume(str(made.folder / "labels" / "target.nrrd"), {"show": False}))
    numbers = made.legend.numbers
    assert (corrected[:4, :4, :4] == numbers["ball"]).all() and numbers["rest"] != numbers["ball"]
    written = os.stat(made.folder / "labels" / "target.nrrd").st_mtime_ns
    assert run(panel).startswith("Done")
    assert os.stat(made.folder / "labels" / "target.nrrd").st_mtime_ns == written, "examples are written once"


def assert_air_is_clear_and_uncertainty_is_seen(uncertainty: np.ndarray, answer) -> None:
    """With the segments hidden, the overlay's red to yellow is where the uncertainty is, and grey is all the rest."""
    display = answer.GetDisplayNode()
    assert not display.GetVisibility2DFill(), "outlines, which hide no uncertainty"
    found = segment(answer, "ball") | segment(answer, "rest")
    far = np.ones(found.shape, bool)
    k, j, i = np.nonzero(found)
    far[k.min() - 3 : k.max() + 4, j.min() - 3 : j.max() + 4, i.min() - 3 : i.max() + 4] = False
    assert not uncertainty[far].any(), "far from what was found there is none"
    display.SetVisibility(False)
    shown = views.pixels("Red").astype(int)
    display.SetVisibility(True)
    coloured = shown[..., 0] - shown[..., 2] > 40
    assert 0.001 < coloured.mean() < 0.5, coloured.mean()  # alike patches leave uncertainty at the outlines alone
    assert not coloured[:20, :20].any() and not coloured[-20:, -20:].any(), "the corners are air"


def test_many_targets_are_done_one_after_another_and_looked_at_by_row(panel, filled):
    second = a_head("second", seed=11)[0]
    drop(panel, "targetTable", [second])
    panel.set_value("bootstrapWidget", 2)
    assert not panel.is_visible("rankingLabel")
    assert run(panel) == "Done: 2 targets. Select a row to show its prediction."
    ranked = panel.text("rankingLabel")
    assert "by epistemic uncertainty: " in ranked and "second" in ranked
    assert "did not beat random selection" in ranked and panel.is_visible("rankingLabel")
    assert panel["targetTable"].item(1, 2).text().startswith("done, correlation")
    composite = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")[0]
    assert composite.GetBackgroundVolumeID() == second.GetID()
    select_row(panel, "targetTable", 0)
    assert composite.GetBackgroundVolumeID() == filled[0].GetID() and ", Dice " in panel.text("resultLabel")
    shown = [
        slicer.util.getNode(f"Prediction of {name}").GetDisplayNode().GetVisibility() for name in ("target", "second")
    ]
    assert shown == [1, 0]
    select_row(panel, "exampleTable", 1)
    assert composite.GetBackgroundVolumeID() == slicer.util.getNode("example 2").GetID()
    assert slicer.util.getNode("example 2 drawn").GetDisplayNode().GetVisibility()
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("Prediction of second"))
    panel.settle()
    assert panel["targetTable"].item(1, 2).text() == ""


def test_who_answers_and_how_images_are_brought_together_reach_the_worker(panel, filled):
    target, truth = filled
    panel.choose("predictorWidget", "Similar patches")
    panel.click("missingIsBackgroundWidget")
    assert run(panel).startswith("Done")
    assert panel.widget._answers.of(target).report["run"]["parameters"]["missing_is_background"]
    assert "Weight of patch propagation: 100%" in panel.text("resultLabel")
    by_patches = segment(slicer.util.getNode("Prediction of target"), "ball")
    panel.choose("predictorWidget", "Network")
    panel.choose("alignmentWidget", "Deformable registration (slower)")
    assert run(panel).startswith("Done")
    assert "Weight of patch propagation: 0%" in panel.text("resultLabel")
    shown = panel.widget._answers.of(target)
    assert (
        shown.report["run"]["parameters"]["alignment"] == "deformable"
        and shown.report["run"]["parameters"]["predictor"] == "network"
    )
    by_network, true = segment(shown.labels, "ball"), segment(truth, "ball")
    assert (by_network != by_patches).any() and 2 * (by_network & true).sum() > 0.8 * (by_network.sum() + true.sum())


def test_images_that_examples_show_come_back_as_an_image(panel):
    for n in range(2):
        image, _labels = a_head(f"example {n}", seed=n)
        turned = slicer.util.addVolumeFromArray(1000 - 2 * slicer.util.arrayFromVolume(image))
        turned.SetName(f"example {n} output")
        turned.CopyOrientation(image)
        drop(panel, "exampleTable", [image])
        drop(panel, "exampleTable", [turned], column=1)
    target = a_head("target", seed=9)[0]
    drop(panel, "targetTable", [target])
    quick(panel)
    assert run(panel) == "Done: Prediction of target is in the scene."
    image = slicer.util.getNode("Prediction of target")
    assert image.IsA("vtkMRMLScalarVolumeNode") and not panel.is_enabled("correctedButton")
    inside = slicer.util.arrayFromVolume(target) > 60
    error = slicer.util.arrayFromVolume(image) - (1000.0 - 2 * slicer.util.arrayFromVolume(target))
    assert abs(error[inside]).mean() < 60


def test_an_unlike_target_is_warned_of(panel, filled):
    drop(panel, "targetTable", [a_head("noise", seed=11)[0]])
    check(panel, "targetTable", 0, False)
    noise = np.random.default_rng(3).normal(100, 40, slicer.util.arrayFromVolume(slicer.util.getNode("noise")).shape)
    slicer.util.updateVolumeFromArray(slicer.util.getNode("noise"), noise.astype(np.int16))
    run(panel)
    assert "Note: The target differs from the examples" in panel.text("resultLabel")
    assert "differs from the examples" in panel.text("logText")


def test_a_set_is_saved_and_loaded_again(panel, filled, tmp_path):
    dialogs.choose_path(tmp_path / "my set")
    assert run(panel, "saveSetButton") == f"Saved: the examples are in {tmp_path / 'my set'}."
    from SlicerSynthReg.io.example_pairs import find_examples, read_label_names

    assert [pair.name for pair in find_examples(tmp_path / "my set")] == ["example 1", "example 2", "example 3"]
    assert sorted(one.name for one in read_label_names(tmp_path / "my set").values()) == ["ball", "rest"]
    close_scene()
    panel.settle()
    dialogs.choose_path(tmp_path / "my set")
    panel.click("loadSetButton")
    panel.wait_until(lambda: panel["exampleTable"].rowCount == 3)
    loaded = slicer.util.getNode("example 2 labels")
    assert int(segment(loaded, "ball").sum()) > 100
    affine = slicer.util.arrayFromVTKMatrix(_matrix(slicer.util.getNode("example 2")))
    assert affine[0, 3] == pytest.approx(-3.0 * 14.5 + 4.0), "where it lay in the world"


def _matrix(volume):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix


def test_cancelled_and_deleted_targets_leave_nothing(panel, filled):
    nodes, folders = slicer.mrmlScene.GetNumberOfNodes(), temporary_folders()
    panel.click("applyButton")
    panel.wait_until(lambda: panel.logic.worker.pid is not None)
    family = psutil.Process(panel.logic.worker.pid)
    panel.click("applyButton")
    panel.wait_until(lambda: is_idle(panel))
    panel.wait_until(lambda: not family.is_running() or family.status() == psutil.STATUS_ZOMBIE)
    assert panel.text("statusLabel").startswith("Cancelled")
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    panel.wait_until(lambda: temporary_folders() == folders)
    panel.click("applyButton")
    slicer.mrmlScene.RemoveNode(filled[0])
    panel.wait_until(lambda: is_idle(panel))
    assert "Stopped because target was deleted" in panel.text("logText")
    assert not slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[0].GetName().startswith("target by")


def test_correction_and_review_are_one_click_away(panel, filled):
    run(panel)
    opened_modules = []
    import slicer.util as util

    real, util.selectModule = util.selectModule, opened_modules.append
    try:
        panel.click("editButton")
    finally:
        util.selectModule = real
    editor = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
    assert opened_modules == ["SegmentEditor"]
    assert slicer.util.getNode("Prediction of target").GetDisplayNode().GetVisibility2DFill()
    assert (
        editor.GetSegmentationNode().GetName() == "Prediction of target" and editor.GetSourceVolumeNode() is filled[0]
    )
    assert panel.is_enabled("reviewButton") and panel.is_enabled("reportButton")
