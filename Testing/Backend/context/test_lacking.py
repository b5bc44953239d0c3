"""A label that an example lacks: was it not there, or did nobody draw it?"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from SlicerSynthReg.methods.neuralizer.readout import ReadoutConfig
from SlicerSynthReg.methods.neuralizer.slices import AskConfig, Example, by_tellers
from SlicerSynthReg.request import Request
from SlicerSynthReg.run import run
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.tasks.context_answer import answered, judged
from SlicerSynthReg.tasks.context_frame import MARGIN_MM, build_frame
from SlicerSynthReg.tasks.context_inputs import Pair, not_drawn
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume


def drawn(*corners: tuple[int, int, int] | None, seed: int = 0, untold: frozenset[int] = frozenset()) -> Example:
    """A cube of 5 voxels a class, brighter by class, at its corner; None: not in the masks, though in the image."""
    image, masks = torch.zeros(1, 16, 14, 8), torch.zeros(len(corners), 16, 14, 8)
    for c, corner in enumerate(corners):
        i, j, k = corner or (9, 7, 2)
        image[0, i : i + 5, j : j + 5, k : k + 5] = 0.4 + 0.4 * c
        if corner:
            masks[c, i : i + 5, j : j + 5, k : k + 5] = 1
    noise = 0.03 * torch.rand(image.shape, generator=torch.Generator().manual_seed(seed))
    return Example(image + noise, masks, untold)


@pytest.fixture
def two_drawn_and_one_begun() -> tuple[Example, list[Example]]:
    """(target, examples): both cubes were drawn in two examples, of the third nobody drew the second."""
    target, *whole = (drawn((2, 2, 1), (9, 7, 2), seed=n) for n in range(3))
    return target, [*whole, drawn((2, 2, 1), None, seed=3, untold=frozenset({1}))]


def test_classes_are_told_by_those_who_drew_them(two_drawn_and_one_begun):
    _, known = two_drawn_and_one_begun
    (first, everyone), (second, two) = by_tellers(known)
    assert first == [0] and len(everyone) == 3 and second == [1] and len(two) == 2
    assert torch.equal(two[0].y[0], known[0].y[1]) and by_tellers([known[2]])[0][0] == [0]
    assert by_tellers(known[:2]) == [([0, 1], known[:2])], "what all tell of is not copied"


@torch.inference_mode()
@pytest.mark.parametrize("readout", [None, ReadoutConfig(pixels=400, looks=6)], ids=["as trained", "fitted"])
@pytest.mark.parametrize("share", [0.0, 1.0], ids=["network", "patches"])
def test_an_example_tells_nothing_of_what_nobody_drew_in_it(
    two_drawn_and_one_begun, an_averaging_network, share, readout
):
    target, known = two_drawn_and_one_begun
    config = AskConfig(size=1, readout=readout)
    found = answered(an_averaging_network, target.x, known, config, share, True)
    second = answered(an_averaging_network, target.x, [e.of([1]) for e in known[:2]], config, share, True)
    assert torch.allclose(found[1:], second, atol=1e-5)
    absent = [dataclasses.replace(e, untold=frozenset()) for e in known]
    denied = answered(an_averaging_network, target.x, absent, config, share, True)
    cube = target.y[1] > 0
    assert float(denied[1][cube].mean()) < 0.8 * float(found[1][cube].mean())


def test_examples_are_asked_about_no_more_than_they_tell(two_drawn_and_one_begun, an_averaging_network):
    _, known = two_drawn_and_one_begun
    told = judged(an_averaging_network, known, AskConfig(size=1), "auto", True, 3)
    assert min(told.agreement) > 0.85, "the third is not blamed for a cube that nobody drew"


def labelled(*places: tuple[int, int], name: str = "one", value_at: tuple[int, ...] = (1, 2)) -> Pair:
    """A bar of 200 mm, a few voxels of a label from `low` to `high` along it for each place."""
    grid = Grid((100, 20, 20), np.diag([2.0, 2.0, 2.0, 1.0]))
    image, labels = (
        torch.rand(1, *grid.shape, generator=torch.Generator().manual_seed(1)),
        torch.zeros(1, *grid.shape, dtype=torch.int32),
    )
    for value, (low, high) in zip(value_at, places):
        labels[0, low:high, 8:12, 8:12] = value
    return Pair(name, (Volume(image, grid),), Volume(labels, grid, "labels"))


def test_what_an_example_with_other_labels_lacks_was_not_drawn():
    assert not_drawn(labelled((5, 9)), (1, 2)) == {2} and not_drawn(labelled(), (1, 2)) == frozenset()
    assert not_drawn(labelled((5, 9), (20, 24)), (1, 2)) == frozenset()


def test_the_grid_reaches_what_any_example_shows():
    first, second = labelled((5, 9)), labelled((5, 9), (80, 84), name="two")
    frame = build_frame([first, second], (1, 2), None, "header", "cpu")
    shown = frame.examples[1].y[1]
    assert int(shown.sum()) == 4 * 4 * 4 and frame.examples[0].untold == {1}
    near = build_frame([first], (1,), None, "header", "cpu").grid
    assert near.shape[0] == 9 + MARGIN_MM / 2 and near.shape[0] < frame.grid.shape[0]


def test_whoever_says_absent_means_it():
    first, second = labelled((5, 9)), labelled((5, 9), (80, 84), name="two")
    frame = build_frame([first, second], (1, 2), None, "header", "cpu", absent=True)
    assert all(not e.untold for e in frame.examples)


def test_an_example_that_shows_only_other_labels_is_left_out_and_named(
    tmp_path, an_averaging_model, a_folder_of_examples, a_head
):
    path = a_folder_of_examples / "labels" / "p0.nii.gz"
    labels = read_volume(path, "labels")
    write_volume(Volume(labels.data * (labels.data != 3), labels.grid, "labels"), path)
    image, _ = a_head(np.zeros(3), 2.0)
    write_volume(image, tmp_path / "target.nii.gz")
    inputs = {"examples": str(a_folder_of_examples), "target": str(tmp_path / "target.nii.gz")}
    asked = {"labels": "3", "alignment": "centre", "model": an_averaging_model}
    told = run(Request("context", inputs, str(tmp_path / "out"), asked))
    assert "p0: left out, for it shows other labels only." in told.warnings
    assert list(told.report["examples"]) == ["p1", "p2"]
    both = run(Request("context", inputs, str(tmp_path / "both"), {**asked, "labels": ""}))
    assert any("Label 3 is in 2 of 3 examples only. The others" in text for text in both.warnings)
    assert both.report["volumes_ml"]["3"] == pytest.approx(told.report["volumes_ml"]["3"], rel=0.3)
