from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.in_context import reference_frame
from SlicerSynthReg.io.example_pairs import (
    LABEL_NAMES_FILE,
    LabelName,
    find_examples,
    read_label_names,
    write_label_names,
)
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import result_hash, run
from SlicerSynthReg.weights.selection import CONTEXT_MODEL


def predict(tmp_path: Path, examples: Path, target: Path, **more):
    inputs = {"examples": str(examples), "target": str(target), **more.pop("inputs", {})}
    parameters = {"model": "voting", "alignment": "centre", "spacing_mm": 2.5, "plane": "axial", **more}
    return run(Request("in-context", inputs, str(tmp_path / "out"), parameters))


@pytest.fixture
def an_oblique_target(tmp_path, a_head) -> tuple[Path, Path]:
    image, labels = a_head(np.array([70.0, 5.0, -33.0]), 2.2, oblique=True)
    write_image(image, tmp_path / "target.nii.gz")
    write_image(labels, tmp_path / "truth.nii.gz")
    return tmp_path / "target.nii.gz", tmp_path / "truth.nii.gz"


def test_all_labels_are_predicted_on_the_targets_grid(
    tmp_path, an_averaging_model, a_folder_of_examples, an_oblique_target
):
    target, truth = an_oblique_target
    write_label_names({3: LabelName("the <ball>", (1.0, 0.0, 0.0))}, a_folder_of_examples / LABEL_NAMES_FILE)
    result = predict(tmp_path, a_folder_of_examples, target, inputs={"truth": str(truth)})
    assert result.report["label_names"] == {"3": "the <ball>"}
    found = read_image(result.outputs["labels"], "labels")
    assert found.grid.same_as(read_image(target).grid)
    assert set(found.data.unique().tolist()) == {0, 1, 3}
    assert min(result.report["accuracy"]["dice"].values()) > 0.85
    assert (
        nibabel.load(result.outputs["labels"]).header["descrip"].item().decode()
        == "synthetic/derived, not for diagnosis"
    )
    ball = 4 / 3 * np.pi * 15**3 / 1000
    assert abs(result.report["prediction"]["volumes_ml"]["3"] - ball) < 0.25 * ball
    page = Path(result.outputs["page"]).read_text()
    assert page.count("data:image/png") == 1 and "3 the &lt;ball&gt;" in page


def test_alignment_by_header_uses_world_coordinates(
    tmp_path, an_averaging_model, a_folder_of_examples, an_oblique_target
):
    target, truth = an_oblique_target
    result = predict(tmp_path, a_folder_of_examples, target, inputs={"truth": str(truth)}, alignment="header")
    assert max(result.report["accuracy"]["dice"].values()) < 0.5
    assert any("differs from the examples" in text for text in result.warnings)


def test_affine_registration_aligns_a_rotated_target(tmp_path, an_averaging_model, a_folder_of_examples, a_head):
    image, labels = a_head(np.array([20.0, -50.0, 5.0]), 2.5)
    turned = image.grid.affine.copy()
    cos, sin = np.cos(0.5), np.sin(0.5)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    turned[:3] = turn @ turned[:3]
    grid = type(image.grid)(image.grid.shape, turned)
    write_image(Image(image.data, grid), tmp_path / "turned.nii.gz")
    write_image(Image(labels.data, grid, "labels"), tmp_path / "truth.nii.gz")
    inputs = {"truth": str(tmp_path / "truth.nii.gz")}
    one = tmp_path / "one.csv"
    one.write_text("input,output\nexamples/images/p0.nii.gz,examples/labels/p0.nii.gz\n")
    by_centre = predict(tmp_path, one, tmp_path / "turned.nii.gz", inputs=inputs, predictor="network")
    registered = predict(
        tmp_path, one, tmp_path / "turned.nii.gz", inputs=inputs, predictor="network", alignment="affine"
    )
    assert registered.report["accuracy"]["dice"]["3"] > by_centre.report["accuracy"]["dice"]["3"] + 0.1
    assert registered.report["accuracy"]["dice"]["3"] > 0.8
    assert any("One example only" in text for text in registered.warnings)


def test_image_outputs_have_the_intensities_of_the_examples(
    tmp_path, an_averaging_model, a_folder_of_examples, an_oblique_target
):
    table = tmp_path / "table.csv"
    lines = ["input;output;include"]
    for n, keep in enumerate(("yes", "yes", "no")):
        image = read_image(a_folder_of_examples / "images" / f"p{n}.nii.gz")
        write_image(Image(1000 - 2 * image.data, image.grid), a_folder_of_examples / f"out{n}.nii.gz")
        lines.append(f"examples/images/p{n}.nii.gz;examples/out{n}.nii.gz;{keep}")
    table.write_text("\n".join(lines))
    result = predict(tmp_path, table, an_oblique_target[0])
    image = read_image(result.outputs["image"]).data
    truth = 1000 - 2 * read_image(an_oblique_target[0]).data
    head = read_image(an_oblique_target[1], "labels").data != 0
    assert float((image - truth)[head].abs().mean()) < 60 and "uncertainty" not in result.outputs
    assert len(result.report["examples"]) == 2


def test_a_contradicting_example_is_named(tmp_path, an_averaging_model, a_folder_of_examples, an_oblique_target):
    for kind in ("images", "labels"):
        shutil.copy(a_folder_of_examples / kind / "p0.nii.gz", a_folder_of_examples / kind / "p3.nii.gz")
    labels = read_image(a_folder_of_examples / "labels" / "p1.nii.gz", "labels")
    wrong = torch.zeros_like(labels.data)
    wrong[:, 25:32, 8:14, 17:23] = 3
    write_image(Image(wrong, labels.grid, "labels"), a_folder_of_examples / "labels" / "p1.nii.gz")
    result = predict(tmp_path, a_folder_of_examples, an_oblique_target[0], labels="3")
    warnings = [text for text in result.warnings if "contradicts the others" in text]
    assert len(warnings) == 1 and "p1" in warnings[0]


def test_a_missing_model_is_an_error(tmp_path, a_folder_of_examples, an_oblique_target, monkeypatch):
    monkeypatch.setattr("SlicerSynthReg.weights.registry.FOLDER", tmp_path / "nothing")
    with pytest.raises(RequestError):
        predict(tmp_path, a_folder_of_examples, an_oblique_target[0], model=None)
    assert not (tmp_path / "out").exists() and CONTEXT_MODEL == "neuralizer-brains"


@pytest.mark.parametrize(
    "spoil, code",
    [
        ("no pairs", "examples-none"),
        ("empty masks", "examples-empty"),
        ("mixed", "examples-mixed"),
        ("fractions", "labels-fractional"),
        ("another label", "label-unknown"),
        ("two images", "target-images"),
    ],
)
def test_bad_examples_are_refused(tmp_path, an_averaging_model, a_folder_of_examples, an_oblique_target, spoil, code):
    more: dict = {}
    grid = read_image(a_folder_of_examples / "images" / "p0.nii.gz").grid
    first = a_folder_of_examples / "labels" / "p0.nii.gz"
    if spoil == "no pairs":
        for path in (a_folder_of_examples / "labels").iterdir():
            path.unlink()
    elif spoil == "empty masks":
        for path in (a_folder_of_examples / "labels").iterdir():
            labels = read_image(path, "labels")
            write_image(Image(torch.zeros_like(labels.data), labels.grid, "labels"), path)
    elif spoil == "mixed":
        write_image(read_image(a_folder_of_examples / "images" / "p0.nii.gz"), first)
    elif spoil == "fractions":
        write_image(Image(torch.full((1, *grid.shape), 2.5) * (torch.rand(1, *grid.shape) > 0.5), grid), first)
        more["output_kind"] = "labels"
    elif spoil == "another label":
        more["labels"] = "9"
    else:
        more["inputs"] = {"target2": str(an_oblique_target[0])}
    with pytest.raises(RequestError) as raised:
        predict(tmp_path, a_folder_of_examples, an_oblique_target[0], **more)
    assert raised.value.code == code
    assert not (tmp_path / "out").exists()


def test_the_record_holds_uncertainty_and_no_folder(
    tmp_path, an_averaging_model, a_folder_of_examples, an_oblique_target
):
    result = predict(tmp_path, a_folder_of_examples, an_oblique_target[0], check_examples=False, bootstrap=2)
    uncertainty = result.report["uncertainty"]
    assert 0 < uncertainty["epistemic"] < uncertainty["total"] and 0 < uncertainty["diversity"] < 1
    assert "did not beat random selection" in Path(result.outputs["page"]).read_text()
    text = Path(result.outputs["record"]).read_text()
    assert str(tmp_path) not in text and json.loads(text)["examples"] == ["p0", "p1", "p2"]


def test_the_result_hash_changes_with_a_file_of_the_table(
    tmp_path, an_averaging_model, a_folder_of_examples, an_oblique_target
):
    table = tmp_path / "table.csv"
    table.write_text("input,output\nexamples/images/p0.nii.gz,examples/labels/p0.nii.gz\n")
    inputs = {"examples": str(table), "target": str(an_oblique_target[0])}
    request = Request("in-context", inputs, str(tmp_path / "out"), {"model": "voting"})
    before = result_hash(request)
    assert result_hash(request) == before
    shutil.copy(a_folder_of_examples / "labels" / "p1.nii.gz", a_folder_of_examples / "labels" / "p0.nii.gz")
    assert result_hash(request) != before


def test_labels_beyond_the_free_memory_are_refused(
    tmp_path, an_averaging_model, a_folder_of_examples, an_oblique_target, monkeypatch
):
    little = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=2_000_000))
    monkeypatch.setattr(reference_frame, "psutil", little)
    with pytest.raises(RequestError) as raised:
        predict(tmp_path, a_folder_of_examples, an_oblique_target[0], spacing_mm=2.4)
    assert raised.value.code == "memory"


def test_slicer_segmentations_are_paired_by_name(tmp_path, a_head):
    image, labels = a_head(np.zeros(3), 5.0)
    write_image(image, tmp_path / "anna.nrrd")
    write_image(labels, tmp_path / "anna_label.seg.nrrd")
    for name, volume in (("images/bob.nrrd", image), ("labels/bob.seg.nrrd", labels)):
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(volume, tmp_path / "folder" / name)
    [beside], [below] = find_examples(tmp_path), find_examples(tmp_path / "folder")
    assert (beside.name, beside.output.name) == ("anna", "anna_label.seg.nrrd")
    assert (below.name, below.output.name) == ("bob", "bob.seg.nrrd")


def test_label_names_are_read_beside_the_examples(tmp_path):
    legend = {3: LabelName("hippocampus", (1.0, 0.5, 0.0), "a~b~c"), 1: LabelName("head", (0.0, 0.0, 1.0))}
    write_label_names(legend, tmp_path / LABEL_NAMES_FILE)
    assert read_label_names(tmp_path) == legend == read_label_names(tmp_path / "table.csv")
    (tmp_path / LABEL_NAMES_FILE).write_text('{"3": "hippocampus"}')
    assert read_label_names(tmp_path) == {}
