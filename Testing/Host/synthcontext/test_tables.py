"""The tables of SynthContext's panel: rows come by choosing, by dragging and from a folder, and stay with the scene. No
worker is started here."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import slicer
from slicerhost import close_scene, dialogs, opened

from SlicerSynthReg.weights.selection import CONTEXT_MODEL
from Testing.Host.synthcontext.clicking import a_head, a_pair, check, drop, select_row, texts
from Testing.Host.synthcontext.tiny import FEATURES, VOTING


def test_it_opens_without_torch_and_says_what_to_do(models):
    with opened("SynthContext") as panel:
        assert "torch" not in sys.modules and panel.logic.worker.pid is None
        assert panel.text("statusLabel").startswith("Add examples")
        assert not panel.is_enabled("applyButton") and not panel.is_enabled("fineTuneButton")
        assert not panel.is_enabled("finishButton") and not panel.is_enabled("correctedButton")
        assert "Not for diagnosis" in panel.text("noticeLabel")


def test_without_any_model_it_says_so(models, panel, monkeypatch):
    monkeypatch.setattr("SlicerSynthReg.weights.registry.FOLDER", models / "nowhere")
    for path in models.glob("*.json"):
        path.unlink()
    volume, segmentation = a_pair("anna")
    drop(panel, "exampleTable", [volume, segmentation])
    assert "expected an in-context or a fine-tuned network" in panel.text("statusLabel")
    assert panel.text("modelLabel") == "No model is installed."


def test_an_example_is_chosen_below_the_table_and_added(panel):
    volume, segmentation = a_pair("anna")
    panel.select("imageSelector", volume)
    assert "Found no" not in panel.text("statusLabel")
    panel.select("outputSelector", segmentation)
    panel.select("targetSelector", a_head("target")[0])
    assert panel.is_enabled("applyButton"), "what is chosen counts before it is added"
    panel.click("addExampleButton")
    assert texts(panel, "exampleTable") == [("anna", "anna drawn")]
    assert panel.text("imageSelector") == "Select an image" and not panel.is_enabled("addExampleButton")
    panel.click("addTargetButton")
    assert texts(panel, "targetTable") == [("target", "")] and panel.is_enabled("applyButton")


def test_dragged_nodes_find_each_other(panel):
    pairs = [a_pair(name, seed=n) for n, name in enumerate(("anna", "bob", "carl"))]
    answers_first = [segmentation for _volume, segmentation in reversed(pairs)] + [volume for volume, _ in pairs]
    assert drop(panel, "exampleTable", answers_first)
    assert sorted(texts(panel, "exampleTable")) == [(n, f"{n} drawn") for n in ("anna", "bob", "carl")]
    assert drop(panel, "exampleTable", answers_first)
    assert panel["exampleTable"].rowCount == 3, "what is there is not added again"
    assert not drop(panel, "exampleTable"), "a drag of something else is left to others"


def test_a_volume_dropped_over_the_answers_is_what_its_image_shows(panel):
    image, _labels = a_head("anna")
    other, _labels = a_head("anna output", seed=1)
    drop(panel, "exampleTable", [image])
    drop(panel, "exampleTable", [other], column=1)
    assert texts(panel, "exampleTable") == [("anna", "anna output")]
    assert "Task: image conversion" in panel.text("kindLabel")


def test_a_dragged_folder_of_the_hierarchy_brings_all_in_it(panel):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    volume, segmentation = a_pair("anna")
    folder = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "study")
    for node in (volume, segmentation):
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), folder)
    from SynthContextLib.drag_and_drop import dragged

    nodes, folders = dragged([f"mrml://scene/subjecthierarchy/item?id={folder}", "https://elsewhere/x?id=1"])
    assert set(nodes) == {volume, segmentation} and folders == []


def test_thumbnails_show_what_is_drawn(panel):
    volume, segmentation = a_pair("anna")
    drop(panel, "exampleTable", [volume, segmentation])
    table = panel["exampleTable"]
    panel.wait_until(lambda: not table.item(0, 1).icon().isNull())
    picture = table.item(0, 1).icon().pixmap(48, 48).toImage()
    # the ball lies at R -10, A 8: left of the patient is on the right of the picture, front above
    ball, mirrored = (picture.pixelColor(x, 20) for x in (24 + 5, 24 - 5))
    assert ball.red() > ball.blue() + 60, "the segment's own colour"
    assert mirrored.blue() > mirrored.red() + 60
    plain = table.item(0, 0).icon().pixmap(48, 48).toImage().pixelColor(29, 20)
    assert plain.red() == plain.blue() > 200


def test_checks_are_kept_in_the_scene_with_the_rows(panel, tmp_path):
    for n, name in enumerate(("anna", "bob")):
        drop(panel, "exampleTable", a_pair(name, seed=n))
    check(panel, "exampleTable", 1, False)
    panel.leave()
    panel.return_()
    assert texts(panel, "exampleTable") == [("anna", "anna drawn"), ("bob", "bob drawn")]
    from SynthContextLib.pair_rows import Rows

    rows = Rows(panel.logic.getParameterNode().parameterNode, "example").read()
    assert [row.use for row in rows] == [True, False]
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    close_scene()
    panel.settle()
    assert panel["exampleTable"].rowCount == 0
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    panel.leave()
    panel.return_()
    assert texts(panel, "exampleTable") == [("anna", "anna drawn"), ("bob", "bob drawn")]


def test_removed_rows_leave_their_nodes_and_removed_nodes_their_rows(panel):
    kept, gone = a_pair("kept"), a_pair("gone", seed=1)
    drop(panel, "exampleTable", [*kept, *gone])
    for node in gone:
        slicer.mrmlScene.RemoveNode(node)
    panel.settle()
    assert texts(panel, "exampleTable") == [("kept", "kept drawn")]
    select_row(panel, "exampleTable", 0)
    panel.click("removeExampleButton")
    assert panel["exampleTable"].rowCount == 0 and slicer.mrmlScene.IsNodePresent(kept[0])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("no answer", "Found no output for bob"),
        ("no image", "Found no image for"),
        ("kinds", "Found examples with segmentations and with images"),
        ("empty", "Found no segments in bob drawn"),
        ("flat", "Found a single slice in bob"),
        ("itself", "Found anna as image and as output"),
        ("no target", "Choose a target"),
        ("truth", "Found the reference anna, expected the kind of node"),
    ],
)
def test_bad_rows_are_named_and_nothing_can_start(panel, spoil, said):
    volume, segmentation = a_pair("anna")
    drop(panel, "exampleTable", [volume, segmentation])
    if spoil != "no target":
        drop(panel, "targetTable", [a_head("target", seed=5)[0]])
    if spoil == "no answer":
        drop(panel, "exampleTable", [a_head("bob", seed=1)[0]])
    elif spoil == "no image":
        image, drawn = a_pair("bob", seed=1)
        slicer.mrmlScene.RemoveNode(image)
        drop(panel, "exampleTable", [drawn])
    elif spoil == "kinds":
        drop(panel, "exampleTable", [a_head("bob", seed=1)[0]])
        drop(panel, "exampleTable", [a_head("bob output", seed=2)[0]], column=1)
    elif spoil == "empty":
        pair = a_pair("bob", seed=1)
        pair[1].GetSegmentation().RemoveAllSegments()
        drop(panel, "exampleTable", pair)
    elif spoil == "flat":
        flat = slicer.util.addVolumeFromArray(np.zeros((1, 20, 20), np.int16), np.eye(4), "bob")
        drop(panel, "exampleTable", [flat])
        panel.widget._examples.table.add([], [])
        from SynthContextLib.pair_rows import Row

        panel.widget._examples.table.append([Row(flat, segmentation)])
        check(panel, "exampleTable", 1, False)
    elif spoil == "itself":
        from SynthContextLib.pair_rows import Row

        panel.widget._examples.table.append([Row(volume, volume)])
    elif spoil == "truth":
        panel.select("targetSelector", a_head("other", seed=6)[0])
        panel.select("referenceSelector", volume)
        panel.click("addTargetButton")
    panel.settle()
    assert said in panel.text("statusLabel") and not panel.is_enabled("applyButton")
    assert said in panel["applyButton"].toolTip
    if spoil == "no answer":
        check(panel, "exampleTable", 1, False)
        assert panel.is_enabled("applyButton"), "an unchecked row is in nobody's way"


def test_what_the_examples_show_is_guessed(panel, a_labelmap):
    image, _labels = a_head("anna")
    whole_numbers = slicer.util.addVolumeFromArray((slicer.util.arrayFromVolume(image) > 100).astype(np.float32))
    whole_numbers.SetName("anna mask")
    drop(panel, "exampleTable", [image])
    drop(panel, "exampleTable", [whole_numbers], column=1)
    assert "Task: segmentation" in panel.text("kindLabel"), "a mask that was saved as a scan"
    panel.choose("outputKindWidget", "Image")
    assert panel.text("kindLabel") == ""


def test_models_are_listed_and_only_ones_own_can_be_deleted(panel, models):
    panel.expand("settingsCollapsibleButton")
    assert panel.text("modelBox") == f"{VOTING} (in-context)" and "Knows nothing" not in panel.text("modelLabel")
    assert FEATURES in [panel["startBox"].itemText(n) for n in range(panel["startBox"].count)]
    dialogs.answer("Cancel")
    panel.click("removeModelButton")
    assert (models / f"{VOTING}.json").exists()
    dialogs.answer("OK")
    panel.click("removeModelButton")
    assert not list(models.glob(f"{VOTING}.*")) and "is deleted" in panel.text("statusLabel")
    assert panel.text("modelBox") == f"{CONTEXT_MODEL} (in-context)" and not panel.is_enabled("removeModelButton")


def test_a_folder_of_examples_is_loaded_with_its_names(panel, tmp_path):
    from SlicerSynthReg.io.example_pairs import LABEL_NAMES_FILE, LabelName, write_label_names

    for n, name in enumerate(("anna", "bob")):
        volume, labels = a_head(name, seed=n)
        whole = slicer.util.addVolumeFromArray(np.ascontiguousarray(labels.T))
        whole.CopyOrientation(volume)
        for node, place in ((volume, "images"), (whole, "labels")):
            (tmp_path / "set" / place).mkdir(parents=True, exist_ok=True)
            assert slicer.util.saveNode(node, str(tmp_path / "set" / place / f"{name}.nrrd"), {})
    write_label_names({2: LabelName("ball", (1.0, 0.0, 0.0), "")}, tmp_path / "set" / LABEL_NAMES_FILE)
    close_scene()
    panel.settle()
    assert drop(panel, "exampleTable", paths=[tmp_path / "set"])
    panel.wait_until(lambda: panel["exampleTable"].rowCount == 2)
    assert texts(panel, "exampleTable") == [("anna", "anna labels"), ("bob", "bob labels")]
    assert "2 examples loaded" in panel.text("logText")
    segmentation = slicer.util.getNode("bob labels").GetSegmentation()
    assert [segmentation.GetNthSegment(n).GetName() for n in range(2)] == ["Label 1", "ball"]
    assert not slicer.util.getNodesByClass("vtkMRMLLabelMapVolumeNode"), "nothing else stays in the scene"
    assert len(slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 2


def test_a_folder_without_pairs_is_refused(panel, tmp_path):
    dialogs.choose_path(tmp_path)
    panel.click("loadSetButton")
    assert "Found no pairs among the examples" in panel.text("statusLabel")
