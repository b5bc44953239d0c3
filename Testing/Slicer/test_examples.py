"""Pairs of nodes as the folder of examples that the backend reads: where they lie, what their labels are called."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import slicer
from SynthRegLib.node_job import run_sync
from SynthRegLib.scene_worker import tasks_on_nodes

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.example_pairs import LabelName, find_examples, read_label_names
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.service.run import run
from Testing.Slicer.scenes import PLAIN, grid_parent, label_map, linear_parent, segmentation, skewed, two_balls, volume

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Modules" / "SynthContext"))

from SynthContextLib.example_folder import ExampleFolder, names_of
from SynthContextLib.label_names import label_names_of
from SynthContextLib.pair_rows import Row


def made(rows):
    tasks = tasks_on_nodes()
    return run_sync(ExampleFolder().work(rows), lambda request, progress: run(request, progress, tasks))


def centre_mm(volume, value) -> np.ndarray:
    """World mm of the middle of a label."""
    index = np.argwhere(volume.data[0].numpy() == value).mean(0)
    return volume.grid.index_to_world(index[None])[0]


def world_centre(node, segment_id) -> np.ndarray:
    """The same as Slicer has it, parents and all."""
    return np.array(node.GetSegmentCenterRAS(segment_id))


def test_a_pair_lies_in_the_world_whatever_lies_above_it():
    image = volume("anna", skewed(), 1)
    drawn = segmentation("drawn", two_balls(), skewed())
    parent = linear_parent()
    for node in (image, drawn):
        node.SetAndObserveTransformNodeID(parent.GetID())
    examples = made([Row(image, drawn)])
    [pair] = find_examples(examples.folder)
    labels = read_image(pair.output, "labels")
    for name, number in examples.legend.numbers.items():
        segment_id = drawn.GetSegmentation().GetSegmentIdBySegmentName(name)
        assert centre_mm(labels, number) == pytest.approx(world_centre(drawn, segment_id), abs=0.6)
    seen = read_image(pair.inputs[0])
    assert seen.grid.same_as(labels.grid, 1e-4) and pair.name == "anna"
    assert np.array_equal(seen.data[0].numpy().transpose(2, 1, 0), slicer.util.arrayFromVolume(image))


def test_a_pair_under_a_bend_is_seen_bent_and_together():
    image, drawn = volume("anna", PLAIN, 1), segmentation("drawn", two_balls(), PLAIN)
    straight = made([Row(image, drawn)])
    before = read_image(find_examples(straight.folder)[0].output, "labels")
    parent = grid_parent(23, from_parent=False)
    for node in (image, drawn):
        node.SetAndObserveTransformNodeID(parent.GetID())
    bent = made([Row(image, drawn)])
    [pair] = find_examples(bent.folder)
    labels = read_image(pair.output, "labels")
    assert labels.grid.same_as(read_image(pair.inputs[0]).grid, 1e-4)
    for number in bent.legend.numbers.values():
        there = np.zeros(3)
        here = centre_mm(before, number)
        parent.GetTransformToParent().TransformPoint(here, there)
        assert np.linalg.norm(there - here) > 2.5
        assert centre_mm(labels, number) == pytest.approx(there, abs=0.8)


def test_segments_and_label_maps_of_one_name_share_a_number():
    drawn = segmentation("drawn", two_balls(), PLAIN)
    right = drawn.GetSegmentation().GetNthSegment(1)
    right.SetTag(right.GetTerminologyEntryTagName(), "somewhere~right")
    labels = label_map("labels", PLAIN, two_balls())
    labels.CreateDefaultDisplayNodes()
    colours = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode")
    colours.SetTypeToUser()
    colours.SetNumberOfColors(10)
    colours.SetColor(9, "left", 0.1, 0.2, 0.3, 1.0)
    labels.GetDisplayNode().SetAndObserveColorNodeID(colours.GetID())
    legend = label_names_of([drawn, labels])
    assert legend.numbers == {"left": 9, "right": 10}, "the label map's value, and a number that it does not use"
    assert legend.names[10] == LabelName("right", pytest.approx((0.6, 0.5, 0.5)), "somewhere~right")
    examples = made([Row(volume("anna", PLAIN, 1), drawn), Row(volume("bob", PLAIN, 2), labels)])
    first, second = (read_image(pair.output, "labels") for pair in find_examples(examples.folder))
    assert set(first.data.unique().tolist()) == {0, 9, 10} and set(second.data.unique().tolist()) == {0, 4, 9}
    assert read_label_names(examples.folder)[10].name == "right"


def test_a_finer_drawing_keeps_its_own_voxels():
    fine = PLAIN @ np.diag([0.5, 0.5, 0.5, 1.0])
    drawn = segmentation("drawn", np.kron(two_balls(), np.ones((2, 2, 2), int)), fine)
    examples = made([Row(volume("anna", PLAIN, 1), drawn)])
    labels = read_image(find_examples(examples.folder)[0].output, "labels")
    assert labels.grid.spacing == pytest.approx([1.0, 1.0, 1.0])


def test_names_are_files_and_each_its_own():
    rows = [Row(volume(name, PLAIN, n)) for n, name in enumerate(("a/b", "a_b", "A_B", ".."))]
    assert names_of(rows) == ["a_b", "a_b 2", "A_B 3", "image"]


def test_an_edit_a_move_and_another_row_are_noticed():
    image, drawn = volume("anna", PLAIN, 1), segmentation("drawn", two_balls(), PLAIN)
    tasks, folder = tasks_on_nodes(), ExampleFolder()
    rows = [Row(image, drawn)]

    def make():
        run_sync(folder.work(rows), lambda request, progress: run(request, progress, tasks))
        assert folder.current(rows) is not None

    make()
    slicer.util.arrayFromVolume(image)[0, 0, 0] = 7
    slicer.util.arrayFromVolumeModified(image)
    assert folder.current(rows) is None
    make()
    segment_id = drawn.GetSegmentation().GetNthSegmentID(0)
    drawn.SetNodeReferenceID(drawn.GetReferenceImageGeometryReferenceRole(), image.GetID())
    values = slicer.util.arrayFromSegmentBinaryLabelmap(drawn, segment_id, image)
    values[5, 5, 5] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(values, drawn, segment_id, image)
    assert folder.current(rows) is None
    make()
    image.SetAndObserveTransformNodeID(linear_parent().GetID())
    assert folder.current(rows) is None
    home = folder.current(rows) or folder._made
    folder.forget()
    assert not home.folder.exists() and folder.current(rows) is None


def test_an_empty_drawing_is_named():
    drawn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "nothing drawn")
    drawn.GetSegmentation().AddEmptySegment("left", "left")
    with pytest.raises(RequestError, match="Found nothing drawn in nothing drawn, expected at least one voxel"):
        made([Row(volume("anna", PLAIN, 1), drawn)])
