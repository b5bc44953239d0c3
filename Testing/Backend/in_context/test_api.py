"""segment_by_examples in memory: equal to the command on files, and refused with a code."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch

import SlicerSynthReg as synthreg
from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import run

PARAMETERS = {"model": "voting", "alignment": "centre", "spacing_mm": 4.0, "ridge_head": False}


@pytest.fixture
def a_target(a_head) -> tuple[Image, Image]:
    return a_head(np.array([70.0, 5.0, -33.0]), 4.0, oblique=True)


@pytest.fixture
def pairs(a_folder_of_examples) -> list[tuple[Image, Image]]:
    return [
        (
            read_image(a_folder_of_examples / "images" / f"p{n}.nii.gz"),
            read_image(a_folder_of_examples / "labels" / f"p{n}.nii.gz", "labels"),
        )
        for n in range(3)
    ]


def test_images_in_memory_give_the_result_of_the_files(
    tmp_path, an_averaging_model, a_folder_of_examples, pairs, a_target
):
    image, truth = a_target
    write_image(image, tmp_path / "target.nii.gz")
    write_image(truth, tmp_path / "truth.nii.gz")
    inputs = {name: str(tmp_path / f"{name}.nii.gz") for name in ("target", "truth")}
    files = run(
        Request("in-context", {**inputs, "examples": str(a_folder_of_examples)}, str(tmp_path / "out"), PARAMETERS)
    )
    result = synthreg.segment_by_examples(read_image(inputs["target"]), pairs, truth=truth, **PARAMETERS)
    assert torch.equal(result.output.data, read_image(files.outputs["labels"], "labels").data.int())
    uncertainty = read_image(files.outputs["uncertainty"]).data
    assert result.uncertainty is not None and torch.allclose(result.uncertainty.data, uncertainty, atol=1e-6)
    assert result.report.accuracy is not None
    assert result.report.accuracy.dice == pytest.approx(files.report["accuracy"]["dice"], abs=1e-6)
    saved = result.save(tmp_path / "saved")
    assert saved.keys() == files.outputs.keys()
    again = read_image(tmp_path / "saved" / saved["labels"], "labels")
    assert torch.equal(again.data.int(), result.output.data) and again.grid.same_as(image.grid)


def test_nibabel_images_are_accepted(an_averaging_model, pairs, a_target):
    image, _ = a_target
    as_nibabel = [tuple(nibabel.Nifti1Image(one.data[0].numpy(), one.grid.affine) for one in pair) for pair in pairs]
    target = nibabel.Nifti1Image(image.data[0].numpy(), image.grid.affine)
    expected = synthreg.segment_by_examples(image, pairs, **PARAMETERS)
    result = synthreg.segment_by_examples(target, as_nibabel, **PARAMETERS)
    assert torch.equal(result.output.data, expected.output.data)
    assert result.report.examples == ("example 1", "example 2", "example 3")


def test_image_outputs_give_an_image(an_averaging_model, pairs, a_target):
    image, _ = a_target
    inverted = [(one, Image(1000 - 2 * one.data, one.grid)) for one, _ in pairs]
    result = synthreg.segment_by_examples(image, inverted, **PARAMETERS)
    assert result.output.kind == "scalar" and result.uncertainty is None
    assert result.output.grid.same_as(image.grid)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"size": 3}, "unknown-parameter"),
        ({"support_size": 0}, "parameter-value"),
        ({"labels": "9"}, "label-unknown"),
        ({"labels": "one"}, "labels-unreadable"),
    ],
)
def test_bad_options_are_refused_with_a_code(an_averaging_model, pairs, a_target, change, code):
    with pytest.raises(RequestError) as raised:
        synthreg.segment_by_examples(a_target[0], pairs, **{**PARAMETERS, **change})
    assert raised.value.code == code


def test_unequal_numbers_of_images_are_refused(an_averaging_model, pairs, a_target):
    image, _ = a_target
    for target, examples, code in (
        ([image, image], pairs, "target-images"),
        (image, [], "examples-none"),
        (image, [pairs[0], ((pairs[1][0], pairs[1][0]), pairs[1][1])], "examples-inputs"),
    ):
        with pytest.raises(RequestError) as raised:
            synthreg.segment_by_examples(target, examples, **PARAMETERS)
        assert raised.value.code == code
