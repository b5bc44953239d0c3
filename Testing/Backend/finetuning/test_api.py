"""fine_tune, segment and extract_features in memory: equal to the commands on files, and refused with a code."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import SlicerSynthReg as synthreg
from SlicerSynthReg.api import finetuning
from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.parameters.examples import FineTuneParameters
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import run
from SlicerSynthReg.training.finetuning import Plan
from SlicerSynthReg.weights.registry import available

from .conftest import blobs

OPTIONS = {"pretrained_model": "none", "crop_size": 16, "patience": 0}


@pytest.fixture
def three_steps(monkeypatch) -> None:
    monkeypatch.setattr(finetuning, "plan_training", lambda folder, key, task, minutes: Plan(3, 1, False, key))


def test_images_in_memory_train_the_model_of_the_files(tmp_path, a_folder_of_blobs, my_models, three_steps):
    pairs = [
        (
            read_image(a_folder_of_blobs / "images" / f"b{n}.nii.gz"),
            read_image(a_folder_of_blobs / "labels" / f"b{n}.nii.gz", "labels"),
        )
        for n in range(3)
    ]
    in_memory = synthreg.fine_tune(pairs, model_name="memory", **OPTIONS)
    from_files = synthreg.fine_tune(a_folder_of_blobs, model_name="files", **OPTIONS)
    assert in_memory.report == dataclasses.replace(from_files.report, model="memory")
    assert in_memory.card.sha256 == from_files.card.sha256 and {"memory", "files"} <= set(available())
    saved = in_memory.save(tmp_path / "saved")
    assert (tmp_path / "saved" / saved["curve"]).read_bytes().startswith(b"\x89PNG")

    image, labels = blobs(9)
    write_image(image, tmp_path / "image.nii.gz")
    inputs = {"image": str(tmp_path / "image.nii.gz")}
    files = run(Request("segment", inputs, str(tmp_path / "segmented"), {"model": "memory"}))
    result = synthreg.segment(read_image(inputs["image"]), model="memory", truth=labels)
    assert torch.equal(result.labels.data, read_image(files.outputs["labels"], "labels").data.int())
    uncertainty = read_image(files.outputs["uncertainty"]).data
    assert torch.allclose(result.uncertainty.data, uncertainty, atol=1e-6)
    assert result.report.accuracy is not None and result.report.volumes_ml == files.report["volumes_ml"]
    assert result.save(tmp_path / "again").keys() == files.outputs.keys()


def test_the_training_key_follows_contents_and_parameters_not_names(a_folder_of_blobs):
    def key(count: int, **changes: object) -> str:
        pairs = finetuning.as_examples(a_folder_of_blobs).read("labels")[:count]
        return finetuning._training_key(FineTuneParameters(**changes), pairs)

    assert key(3) == key(3, model_name="other", patience=3, threads=1)
    assert len({key(3), key(2), key(3, labels="5"), key(3, minutes=5.0)}) == 4


def test_bad_options_are_refused_with_a_code(a_folder_of_blobs, my_models):
    image, labels = blobs(0)
    for work, code in (
        (lambda: synthreg.fine_tune([(image, labels)], size=3), "unknown-parameter"),
        (lambda: synthreg.fine_tune([((image, image), labels)], **OPTIONS), "examples-inputs"),
        (lambda: synthreg.fine_tune([], **OPTIONS), "examples-none"),
        (lambda: synthreg.segment(image, crop=3), "unknown-parameter"),
        (lambda: synthreg.extract_features(image, crop=3), "unknown-parameter"),
    ):
        with pytest.raises(RequestError) as raised:
            work()
        assert raised.value.code == code
