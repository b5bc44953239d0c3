"""Any task on nodes: what it is given under whatever parents, and where its results lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk
from scipy.ndimage import map_coordinates
from SynthRegLib.node_job import node_job, run_steps, run_sync
from SynthRegLib.nodes import write_nodes
from SynthRegLib.results import Origin, add_all, add_scan, add_segmentation, load, new_segment, node_placement
from SynthRegLib.scene_worker import nodes_spec

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.progress import Progress
from SlicerSynthReg.service.run import run
from SlicerSynthReg.spatial.grid import Grid
from Testing.Slicer.scenes import (
    PLAIN,
    grid_parent,
    linear_parent,
    matrix_of,
    segmentation,
    skewed,
    two_balls,
    volume,
)

ADDED = 50.0


@dataclass(frozen=True)
class Report:
    model: str = "none"


@dataclass(frozen=True)
class Result:
    """What image_task asks of a result of the API."""

    images: dict[str, Image]
    report: Report = Report()
    warnings: tuple[str, ...] = ()

    def save(self, folder: Path, images: bool = True) -> dict[str, str]:
        assert not images
        return {}


def adding(given: dict, grid_of=lambda grid: grid):
    """Return a function that adds 50 to the image, on another grid if wanted, marks what is above 1000, and keeps its
    inputs in `given`."""

    def derive(inputs: dict, parameters: dict, progress: Progress) -> Result:
        given.update(inputs)
        image = inputs["image"]
        grid = grid_of(image.grid)
        made = Image(image.resampled(grid).data + ADDED, grid)
        return Result({"image": made, "labels": Image((made.data > 1000.5).int(), grid, "labels")})

    return derive


def derived(nodes: dict, seen: dict | None = None, grid_of=lambda grid: grid, **more) -> dict:
    """The nodes made of nodes["image"]."""
    tasks = {"contrast_nodes": nodes_spec("contrast", adding({} if seen is None else seen, grid_of))}
    main = nodes["image"]

    def place(loaded):
        makers = {
            "image": lambda added: add_scan(
                "made", loaded.arrays["image"], node_placement(loaded, "image", main), added
            ),
            "labels": lambda added: add_segmentation(
                "marked", loaded.arrays["labels"], node_placement(loaded, "labels", main), added,
                {"high": (1, new_segment("high", (1.0, 0.0, 0.0), "some~where"))}, main,
            ),
        }  # fmt: skip
        return (yield from add_all(makers, Origin({"image": main}, main, "none", "")))

    work = node_job(
        "contrast_nodes",
        lambda folder: write_nodes(nodes, folder, "image", **more),
        {},
        lambda result: load(result, ("image", "labels")),
        place,
    )
    return run_sync(work, lambda request, progress: run(request, progress, tasks))


def values(node) -> np.ndarray:
    """(I, J, K)."""
    return slicer.util.arrayFromVolume(node).astype(float).transpose(2, 1, 0)


@pytest.mark.parametrize("under", [False, True])
def test_a_result_on_the_images_grid_lies_where_the_image_lies(under):
    image = volume("scan", skewed(), 1, (48, 42, 30))
    if under:
        image.SetAndObserveTransformNodeID(linear_parent().GetID())
    seen: dict = {}
    made = derived({"image": image}, seen)
    np.testing.assert_allclose(matrix_of(made["image"]), matrix_of(image), atol=1e-5)
    assert made["image"].GetTransformNodeID() == image.GetTransformNodeID()
    np.testing.assert_allclose(values(made["image"]), values(image) + ADDED, atol=1e-3)
    parent = slicer.util.arrayFromTransformMatrix(image.GetParentTransformNode()) if under else np.eye(4)
    np.testing.assert_allclose(seen["image"].grid.affine, parent @ matrix_of(image), atol=1e-5)
    high = slicer.util.arrayFromSegmentBinaryLabelmap(made["labels"], "high", image).transpose(2, 1, 0)
    np.testing.assert_array_equal(high > 0, values(image) + ADDED > 1000.5)
    tag = vtk.mutable("")
    segment = made["labels"].GetSegmentation().GetSegment("high")
    assert segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), tag) and str(tag) == "some~where"


def test_a_result_on_another_grid_lies_in_the_world():
    image = volume("scan", skewed(), 1, (48, 42, 30))
    image.SetAndObserveTransformNodeID(linear_parent().GetID())
    upright = Grid((30, 31, 32), np.array([[3.0, 0, 0, -45], [0, 3.0, 0, -45], [0, 0, 3.0, -40], [0, 0, 0, 1]]))
    made = derived({"image": image}, grid_of=lambda grid: upright)
    assert made["image"].GetTransformNodeID() is None
    np.testing.assert_allclose(matrix_of(made["image"]), upright.affine, atol=1e-6)


@pytest.mark.parametrize("from_parent", [True, False])
def test_a_bent_scan_is_seen_in_the_world_with_its_lowest_value_around_it(from_parent):
    image = volume("scan", PLAIN, 2)
    slicer.util.arrayFromVolume(image)[:] -= 2000
    image.SetAndObserveTransformNodeID(grid_parent(5, from_parent).GetID())
    made = derived({"image": image})["image"]
    assert made.GetTransformNodeID() is None
    from_world = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, image.GetParentTransformNode(), from_world)
    index = np.random.default_rng(0).integers(0, made.GetImageData().GetDimensions(), (400, 3))
    world = np.c_[index, np.ones(400)] @ matrix_of(made).T
    own = np.array([from_world.TransformPoint(point[:3]) for point in world])
    there = np.linalg.solve(PLAIN, np.c_[own, np.ones(400)].T)[:3]
    expected = map_coordinates(values(image), there, order=1, cval=np.nan)
    inside = np.isfinite(expected)
    found = values(made)[tuple(index.T)] - ADDED
    np.testing.assert_allclose(found[inside], expected[inside], atol=3.0)
    assert values(made).min() - ADDED == pytest.approx(values(image).min())
    assert 100 < inside.sum() < 400 and found[~inside].max() < -800, "nothing outside is water"


def test_labels_are_brought_to_their_images_grid_under_the_numbers_given():
    image, parent = volume("scan", skewed(), 1, (48, 42, 30)), linear_parent()
    parts = segmentation("parts", two_balls(), PLAIN)
    for node in (image, parts):
        node.SetAndObserveTransformNodeID(parent.GetID())
    seen: dict = {}
    derived({"image": image, "labels": parts}, seen, on={"labels": "image"}, numbers={"left": 52, "right": 1001})
    labels = seen["labels"]
    assert labels.grid.same_as(seen["image"].grid, 1e-4) and set(np.unique(labels.data)) == {0, 52, 1001}
    index = np.argwhere(labels.data[0].numpy() == 52)
    own = np.c_[index, np.ones(len(index))] @ matrix_of(image).T
    there = np.rint(np.linalg.solve(PLAIN, own.T)[:3]).astype(int)
    assert len(index) > 300 and (two_balls()[tuple(there)] == 4).mean() > 0.97


def test_a_part_holds_these_slices_at_their_place(tmp_path):
    image = volume("scan", skewed(), 1, (48, 42, 30))
    run_steps(write_nodes({"image": image}, tmp_path, "image", parts={"image": (7, 12)}))
    read = read_image(tmp_path / "node0.nrrd")
    np.testing.assert_array_equal(read.data[0].numpy(), values(image)[:, :, 7:12])
    np.testing.assert_allclose(
        read.grid.index_to_world(np.array([[3, 4, 0]]))[0], (matrix_of(image) @ [3, 4, 7, 1])[:3], atol=1e-4
    )


def test_an_empty_segmentation_is_named():
    image = volume("scan", PLAIN, 1)
    parts = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "parts")
    parts.GetSegmentation().AddEmptySegment("nothing", "nothing")
    with pytest.raises(RequestError) as caught:
        derived({"image": image, "labels": parts})
    assert caught.value.code == "segmentation-empty"
