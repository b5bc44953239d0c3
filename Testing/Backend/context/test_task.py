from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch

from SlicerSynthReg.request import Request, RequestError
from SlicerSynthReg.run import result_hash, run
from SlicerSynthReg.tasks import context_frame
from SlicerSynthReg.tasks.context_pairs import LEGEND, LabelName, find_pairs, read_legend, write_legend
from SlicerSynthReg.tasks.model import CONTEXT_MODEL
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.volume.write import write_volume


def asked(tmp_path: Path, examples: Path, target: Path, **more):
    inputs = {"examples": str(examples), "target": str(target), **more.pop("inputs", {})}
    parameters = {"model": "voting", "alignment": "centre", "spacing_mm": 2.5, "plane": "axial", **more}
    return run(Request("context", inputs, str(tmp_path / "out"), parameters))


@pytest.fixture
def an_oblique_target(tmp_path, a_head) -> tuple[Path, Path]:
    image, labels = a_head(np.array([70.0, 5.0, -33.0]), 2.2, oblique=True)
    write_volume(image, tmp_path / "target.nii.gz")
    write_volume(labels, tmp_path / "truth.nii.gz")
    return tmp_path / "target.nii.gz", tmp_path / "truth.nii.gz"


def test_all_labels_are_found_at_once_on_the_targets_own_grid(
    tmp_path, an_averaging_model, a_folder_of_examples, an_oblique_target
):
    target, truth = an_oblique_target
    write_legend({3: LabelName("the <ball>", (1.0, 0.0, 0.0))}, a_folder_of_examples / LEGEND)
    result = asked(tmp_path, a_folder_of_examples, target, inputs={"truth": str(truth)})
    assert result.report["called"] == {"3": "the <ball>"}
    found = read_volume(result.outputs["labels"], "labels")
    assert found.grid.same_as(read_volume(target).grid)
    assert set(found.data.unique().tolist()) == {0, 1, 3}
    assert min(result.report["dice"].values()) > 0.85
    assert (
        nibabel.load(result.outputs["labels"]).header["descrip"].item().decode()
        == "synthetic/derived, not for diagnosis"
    )
    ball = 4 / 3 * np.pi * 15**3 / 1000
    assert abs(result.report["volumes_ml"]["3"] - ball) < 0.25 * ball
    page = Path(result.outputs["page"]).read_text()
    assert page.count("data:image/png") == 1 and "3 the &lt;ball&gt;" in page


def test_without_alignment_the_examples_are_taken_where_they_lie(
    tmp_path, an_averaging_model, a_folder_of_examples, an_oblique_target
):
    target, truth = an_oblique_target
    result = asked(tmp_path, a_folder_of_examples, target, inputs={"truth": str(truth)}, alignment="header")
    assert max(result.report["dice"].values()) < 0.5
    assert any("looks unlike the examples" in text for text in result.warnings)


def test_registration_turns_the_target_upright(tmp_path, an_averaging_model, a_folder_of_examples, a_head):
    image, labels = a_head(np.array([20.0, -50.0, 5.0]), 2.5)
    turned = image.grid.affine.copy()
    cos, sin = np.cos(0.5), np.sin(0.5)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    turned[:3] = turn @ turned[:3]
    grid = type(image.grid)(image.grid.shape, turned)
    write_volume(Volume(image.data, grid), tmp_path / "turned.nii.gz")
    write_volume(Volume(labels.data, grid, "labels"), tmp_path / "truth.nii.gz")
    inputs = {"truth": str(tmp_path / "truth.nii.gz")}
    one = tmp_path / "one.csv"
    one.write_text("input,output\nexamples/images/p0.nii.gz,examples/labels/p0.nii.gz\n")
    by_centre = asked(tmp_path, one, tmp_path / "turned.nii.gz", inputs=inputs, way="network")
    registered = asked(tmp_path, one, tmp_path / "turned.nii.gz", inputs=inputs, way="network", alignment="affine")
    assert registered.report["dice"]["3"] > by_centre.report["dice"]["3"] + 0.1
    assert registered.report["dice"]["3"] > 0.8
    assert any("One example only" in text for text in registered.warnings)


def test_images_come_back_as_images_in_the_examples_intensities(
    tmp_path, an_averaging_model, a_folder_of_examples, an_oblique_target
):
    table = tmp_path / "table.csv"
    lines = ["input;output;include"]
    for n, keep in enumerate(("yes", "yes", "no")):
        image = read_volume(a_folder_of_examples / "images" / f"p{n}.nii.gz")
        write_volume(Volume(1000 - 2 * image.data, image.grid), a_folder_of_examples / f"out{n}.nii.gz")
        lines.append(f"examples/images/p{n}.nii.gz;examples/out{n}.nii.gz;{keep}")
    table.write_text("\n".join(lines))
    result = asked(tmp_path, table, an_oblique_target[0])
    image = read_volume(result.outputs["image"]).data
    truth = 1000 - 2 * read_volume(an_oblique_target[0]).data
    head = read_volume(an_oblique_target[1], "labels").data != 0
    assert float((image - truth)[head].abs().mean()) < 60 and "doubt" not in result.outputs
    assert len(result.report["examples"]) == 2


def test_an_example_that_contradicts_the_others_is_named(
    tmp_path, an_averaging_model, a_folder_of_examples, an_oblique_target
):
    for kind in ("images", "labels"):
        shutil.copy(a_folder_of_examples / kind / "p0.nii.gz", a_folder_of_examples / kind / "p3.nii.gz")
    labels = read_volume(a_folder_of_examples / "labels" / "p1.nii.gz", "labels")
    wrong = torch.zeros_like(labels.data)
    wrong[:, 25:32, 8:14, 17:23] = 3
    write_volume(Volume(wrong, labels.grid, "labels"), a_folder_of_examples / "labels" / "p1.nii.gz")
    result = asked(tmp_path, a_folder_of_examples, an_oblique_target[0], labels="3")
    told = [text for text in result.warnings if "contradicts the others" in text]
    assert len(told) == 1 and "p1" in told[0]


def test_without_a_model_it_is_said_plainly(tmp_path, a_folder_of_examples, an_oblique_target, monkeypatch):
    monkeypatch.setattr("SlicerSynthReg.weights.registry.FOLDER", tmp_path / "nothing")
    with pytest.raises(RequestError, match="Found no model for tasks given by examples"):
        asked(tmp_path, a_folder_of_examples, an_oblique_target[0], model=None)
    assert not (tmp_path / "out").exists() and CONTEXT_MODEL == "neuralizer-brains"


@pytest.mark.parametrize(
    "spoil, message",
    [
        ("no pairs", "Found no pairs among the examples"),
        ("empty masks", "Found empty masks in all examples"),
        ("mixed", "Found label maps and images among the examples' outputs"),
        ("fractions", "Found fractions from 0 to 2.5 in the labels of p0"),
        ("another label", r"Found the label \[9\], expected some of \[1, 3\]"),
        ("two images", "Found 2 images of the target and 1 in each example"),
    ],
)
def test_bad_examples_are_refused_in_plain_words(
    tmp_path, an_averaging_model, a_folder_of_examples, an_oblique_target, spoil, message
):
    more: dict = {}
    grid = read_volume(a_folder_of_examples / "images" / "p0.nii.gz").grid
    first = a_folder_of_examples / "labels" / "p0.nii.gz"
    if spoil == "no pairs":
        for path in (a_folder_of_examples / "labels").iterdir():
            path.unlink()
    elif spoil == "empty masks":
        for path in (a_folder_of_examples / "labels").iterdir():
            labels = read_volume(path, "labels")
            write_volume(Volume(torch.zeros_like(labels.data), labels.grid, "labels"), path)
    elif spoil == "mixed":
        write_volume(read_volume(a_folder_of_examples / "images" / "p0.nii.gz"), first)
    elif spoil == "fractions":
        write_volume(Volume(torch.full((1, *grid.shape), 2.5) * (torch.rand(1, *grid.shape) > 0.5), grid), first)
        more["answer"] = "labels"
    elif spoil == "another label":
        more["labels"] = "9"
    else:
        more["inputs"] = {"target2": str(an_oblique_target[0])}
    with pytest.raises(RequestError, match=message):
        asked(tmp_path, a_folder_of_examples, an_oblique_target[0], **more)
    assert not (tmp_path / "out").exists()


def test_the_record_tells_doubts_and_no_folder(tmp_path, an_averaging_model, a_folder_of_examples, an_oblique_target):
    result = asked(tmp_path, a_folder_of_examples, an_oblique_target[0], check_examples=False, samples=2)
    doubts = result.report["doubts"]
    assert 0 < doubts["epistemic"] < doubts["total"] and 0 < doubts["diversity"] < 1
    assert "did not beat picking at random" in Path(result.outputs["page"]).read_text()
    text = Path(result.outputs["record"]).read_text()
    assert str(tmp_path) not in text and json.loads(text)["examples"] == ["p0", "p1", "p2"]


def test_an_example_that_a_table_names_outdates_the_result_when_it_changes(
    tmp_path, an_averaging_model, a_folder_of_examples, an_oblique_target
):
    table = tmp_path / "table.csv"
    table.write_text("input,output\nexamples/images/p0.nii.gz,examples/labels/p0.nii.gz\n")
    inputs = {"examples": str(table), "target": str(an_oblique_target[0])}
    request = Request("context", inputs, str(tmp_path / "out"), {"model": "voting"})
    before = result_hash(request)
    assert result_hash(request) == before
    shutil.copy(a_folder_of_examples / "labels" / "p1.nii.gz", a_folder_of_examples / "labels" / "p0.nii.gz")
    assert result_hash(request) != before


def test_more_labels_than_memory_holds_are_refused_before_the_work(
    tmp_path, an_averaging_model, a_folder_of_examples, an_oblique_target, monkeypatch
):
    little = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=2_000_000))
    monkeypatch.setattr(context_frame, "psutil", little)
    with pytest.raises(RequestError, match="Found 2 labels in 3 examples, which need .* Name fewer labels"):
        asked(tmp_path, a_folder_of_examples, an_oblique_target[0], spacing_mm=2.4)


def test_a_segmentation_as_slicer_saves_it_belongs_to_the_image_of_its_name(tmp_path, a_head):
    image, labels = a_head(np.zeros(3), 5.0)
    write_volume(image, tmp_path / "anna.nrrd")
    write_volume(labels, tmp_path / "anna_label.seg.nrrd")
    for name, volume in (("images/bob.nrrd", image), ("labels/bob.seg.nrrd", labels)):
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        write_volume(volume, tmp_path / "folder" / name)
    [beside], [below] = find_pairs(tmp_path), find_pairs(tmp_path / "folder")
    assert (beside.name, beside.output.name) == ("anna", "anna_label.seg.nrrd")
    assert (below.name, below.output.name) == ("bob", "bob.seg.nrrd")


def test_what_the_labels_are_called_is_read_beside_the_examples(tmp_path):
    legend = {3: LabelName("hippocampus", (1.0, 0.5, 0.0), "a~b~c"), 1: LabelName("head", (0.0, 0.0, 1.0))}
    write_legend(legend, tmp_path / LEGEND)
    assert read_legend(tmp_path) == legend == read_legend(tmp_path / "table.csv")
    (tmp_path / LEGEND).write_text('{"3": "hippocampus"}')
    assert read_legend(tmp_path) == {}
