"""Labels that an example lacks: absent, or unannotated?"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from SlicerSynthReg.in_context.predictor import Predictor, leave_one_out
from SlicerSynthReg.in_context.reference_frame import MARGIN_MM, FrameConfig, build_reference_frame
from SlicerSynthReg.in_context.ridge_head import RidgeHeadConfig
from SlicerSynthReg.in_context.slices import Example, InferenceConfig, group_by_annotation
from SlicerSynthReg.io.example_images import ExamplePair, unannotated_labels
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import run
from SlicerSynthReg.spatial.grid import Grid


def cubes(*corners: tuple[int, int, int] | None, seed: int = 0, unannotated: frozenset[int] = frozenset()) -> Example:
    """A cube of 5 voxels a class, brighter by class, at its corner; None: not in the masks, though in the image."""
    image, masks = torch.zeros(1, 16, 14, 8), torch.zeros(len(corners), 16, 14, 8)
    for c, corner in enumerate(corners):
        i, j, k = corner or (9, 7, 2)
        image[0, i : i + 5, j : j + 5, k : k + 5] = 0.4 + 0.4 * c
        if corner:
            masks[c, i : i + 5, j : j + 5, k : k + 5] = 1
    noise = 0.03 * torch.rand(image.shape, generator=torch.Generator().manual_seed(seed))
    return Example(image + noise, masks, unannotated)


@pytest.fixture
def two_complete_and_one_partial() -> tuple[Example, list[Example]]:
    """Return target and examples: two annotate both cubes, the third only the first."""
    target, *whole = (cubes((2, 2, 1), (9, 7, 2), seed=n) for n in range(3))
    return target, [*whole, cubes((2, 2, 1), None, seed=3, unannotated=frozenset({1}))]


def test_classes_are_grouped_by_the_examples_that_annotate_them(two_complete_and_one_partial):
    _, known = two_complete_and_one_partial
    (first, everyone), (second, two) = group_by_annotation(known)
    assert first == [0] and len(everyone) == 3 and second == [1] and len(two) == 2
    assert torch.equal(two[0].y[0], known[0].y[1]) and group_by_annotation([known[2]])[0][0] == [0]
    assert group_by_annotation(known[:2]) == [([0, 1], known[:2])], "complete examples are not copied"


@torch.inference_mode()
@pytest.mark.parametrize(
    "ridge_head", [None, RidgeHeadConfig(pixels=400, slices=6)], ids=["trained head", "ridge head"]
)
@pytest.mark.parametrize("share", [0.0, 1.0], ids=["network", "patches"])
def test_an_unannotated_class_is_predicted_from_the_other_examples(
    two_complete_and_one_partial, an_averaging_network, share, ridge_head
):
    target, known = two_complete_and_one_partial
    config = InferenceConfig(support_size=1, ridge_head=ridge_head)
    predictor = Predictor(an_averaging_network, config, share, True)
    prediction = predictor.predict(target.x, known)
    second = predictor.predict(target.x, [e.select([1]) for e in known[:2]])
    assert torch.allclose(prediction[1:], second, atol=1e-5)
    absent = [dataclasses.replace(e, unannotated=frozenset()) for e in known]
    denied = predictor.predict(target.x, absent)
    cube = target.y[1] > 0
    assert float(denied[1][cube].mean()) < 0.8 * float(prediction[1][cube].mean())


def test_leave_one_out_ignores_unannotated_classes(two_complete_and_one_partial, an_averaging_network):
    _, known = two_complete_and_one_partial
    result = leave_one_out(an_averaging_network, known, InferenceConfig(support_size=1), "auto", True, 3)
    assert min(result.agreement) > 0.85, "the third lacks one annotation"


def labelled(*places: tuple[int, int], name: str = "one", value_at: tuple[int, ...] = (1, 2)) -> ExamplePair:
    """A bar of 200 mm, a few voxels of a label from `low` to `high` along it for each place."""
    grid = Grid((100, 20, 20), np.diag([2.0, 2.0, 2.0, 1.0]))
    image, labels = (
        torch.rand(1, *grid.shape, generator=torch.Generator().manual_seed(1)),
        torch.zeros(1, *grid.shape, dtype=torch.int32),
    )
    for value, (low, high) in zip(value_at, places):
        labels[0, low:high, 8:12, 8:12] = value
    return ExamplePair(name, (Image(image, grid),), Image(labels, grid, "labels"))


def test_labels_missing_beside_other_labels_are_unannotated():
    assert unannotated_labels(labelled((5, 9)), (1, 2)) == {2} and unannotated_labels(labelled(), (1, 2)) == frozenset()
    assert unannotated_labels(labelled((5, 9), (20, 24)), (1, 2)) == frozenset()


def test_the_grid_covers_the_labels_of_all_examples():
    first, second = labelled((5, 9)), labelled((5, 9), (80, 84), name="two")
    frame = build_reference_frame([first, second], FrameConfig((1, 2), "header"))
    shown = frame.examples[1].y[1]
    assert int(shown.sum()) == 4 * 4 * 4 and frame.examples[0].unannotated == {1}
    near = build_reference_frame([first], FrameConfig((1,), "header")).grid
    assert near.shape[0] == 9 + MARGIN_MM / 2 and near.shape[0] < frame.grid.shape[0]


def test_missing_is_background_annotates_all_labels():
    first, second = labelled((5, 9)), labelled((5, 9), (80, 84), name="two")
    frame = build_reference_frame([first, second], FrameConfig((1, 2), "header", missing_is_background=True))
    assert all(not e.unannotated for e in frame.examples)


def test_an_example_that_shows_only_other_labels_is_left_out_and_named(
    tmp_path, an_averaging_model, a_folder_of_examples, a_head
):
    path = a_folder_of_examples / "labels" / "p0.nii.gz"
    labels = read_image(path, "labels")
    write_image(Image(labels.data * (labels.data != 3), labels.grid, "labels"), path)
    image, _ = a_head(np.zeros(3), 2.0)
    write_image(image, tmp_path / "target.nii.gz")
    inputs = {"examples": str(a_folder_of_examples), "target": str(tmp_path / "target.nii.gz")}
    parameters = {"labels": "3", "alignment": "centre", "model": an_averaging_model}
    result = run(Request("in-context", inputs, str(tmp_path / "out"), parameters))
    assert "p0: left out, because it shows other labels only." in result.warnings
    assert list(result.report["examples"]) == ["p1", "p2"]
    both = run(Request("in-context", inputs, str(tmp_path / "both"), {**parameters, "labels": ""}))
    assert any("Label 3 is in 2 of 3 examples only. The others" in text for text in both.warnings)
    assert both.report["prediction"]["volumes_ml"]["3"] == pytest.approx(
        result.report["prediction"]["volumes_ml"]["3"], rel=0.3
    )
