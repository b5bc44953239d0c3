from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from SlicerSynthReg.api import finetuning as api
from SlicerSynthReg.errors import Cancelled, FinishNow, RequestError
from SlicerSynthReg.finetuning.preparation import AnnotatedVolume, fit_crop_size
from SlicerSynthReg.io.example_pairs import LABEL_NAMES_FILE, LabelName, write_label_names
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.networks.unet import UNet, UNetConfig
from SlicerSynthReg.progress import message_values
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.run import run
from SlicerSynthReg.training.finetuning import Plan
from SlicerSynthReg.weights.registry import Card, available, read_card, save_model

from .conftest import blobs


def fine_tune(tmp_path: Path, examples: Path, progress=lambda share, text: None, **more):
    parameters = {
        "model_name": "blobs",
        "pretrained_model": "none",
        "minutes": 5.0,
        "crop_size": 16,
        "batch_size": 1,
        "patience": 0,
        **more,
    }
    return run(Request("finetune", {"examples": str(examples)}, str(tmp_path / "out"), parameters), progress)


def _collect(messages: list[str], fraction: float, text: str) -> None:
    messages.append(text)


def step_values(messages: list[str]) -> list[dict[str, float]]:
    """Return the values of the messages that report a step."""
    return [figures for figures in map(message_values, messages) if "loss" in figures]


def validation_values(messages: list[str]) -> list[dict[str, float]]:
    return [figures for figures in map(message_values, messages) if "score" in figures]


@pytest.fixture
def few_steps(monkeypatch) -> None:
    """The plan is twelve steps, however fast the machine is, of a network of a few channels."""
    from SlicerSynthReg.finetuning.segmenter import FineTunedSegmenter, SegmenterConfig

    real = api.plan_training

    def plan(folder, key, task, minutes):
        made = real(folder, key, task, minutes)
        return Plan(12, made.validations, made.bfloat16, made.key)

    def small(pretrained_model, labels, mapping):
        return FineTunedSegmenter(SegmenterConfig(UNetConfig(1, 8, (8, 8)), labels, mapping.knots))

    monkeypatch.setattr(api, "plan_training", plan)
    monkeypatch.setattr(api, "initial_segmenter", small)


def test_a_model_is_trained_listed_and_applied(tmp_path, a_folder_of_blobs, my_models, few_steps):
    messages: list[str] = []
    write_label_names(
        {5: LabelName("bright ball", (1.0, 0.0, 0.0)), 9: LabelName("none", (0, 0, 0))},
        a_folder_of_blobs / LABEL_NAMES_FILE,
    )
    result = fine_tune(tmp_path, a_folder_of_blobs, lambda share, text: messages.append(text), learning_rate=0.02)
    assert len(step_values(messages)) == 12 and len(validation_values(messages)) >= 2
    assert "blobs" in available() and not (my_models / "blobs.training").exists()
    card = read_card("blobs")
    assert card.architecture["labels"] == [2, 5] and not card.synthetic_training_only
    assert card.legend == {"5": {"name": "bright ball", "color": [1.0, 0.0, 0.0], "terminology": ""}}
    assert result.report["training_cases"] == 2 and result.report["validation_cases"] == 1
    assert set(result.outputs) == {"card", "curve", "training_log", "validation_log"}
    image, labels = blobs(9, spacing=0.8)
    write_image(image, tmp_path / "new.nii.gz")
    write_image(labels, tmp_path / "truth.nii.gz")
    inputs = {"image": str(tmp_path / "new.nii.gz"), "truth": str(tmp_path / "truth.nii.gz")}
    applied = run(Request("segment", inputs, str(tmp_path / "segmented"), {"model": "blobs"}))
    found = read_image(applied.outputs["labels"], "labels")
    assert found.grid.same_as(image.grid) and set(found.data.unique().tolist()) <= {0, 2, 5}
    assert set(applied.report["accuracy"]["dice"]) == {"2", "5"}
    assert list(applied.report["labels"]) == [2, 5]
    assert applied.report["volumes_ml"]["5"] == pytest.approx(int((found.data == 5).sum()) * 0.8**3 / 1000, abs=1e-3)
    uncertainty = read_image(applied.outputs["uncertainty"]).data
    assert float(uncertainty.min()) >= 0 and float(uncertainty.max()) < 1.6


def test_an_interrupted_training_resumes_at_its_last_validation(tmp_path, a_folder_of_blobs, my_models, few_steps):
    def stop(share: float, text: str) -> None:
        if text.startswith("step 6 "):
            raise Cancelled

    with pytest.raises(Cancelled):
        fine_tune(tmp_path, a_folder_of_blobs, stop)
    assert not (tmp_path / "out").exists() and (my_models / "blobs.training" / "last.pt").exists()
    assert "blobs" not in available()
    messages: list[str] = []
    fine_tune(tmp_path, a_folder_of_blobs, lambda share, text: messages.append(text))
    steps = [one["step"] for one in step_values(messages)]
    assert steps == list(range(6, 13))


def test_a_copy_of_the_examples_resumes_too(tmp_path, a_folder_of_blobs, my_models, few_steps):
    def stop(share: float, text: str) -> None:
        if text.startswith("step 6 "):
            raise Cancelled

    with pytest.raises(Cancelled):
        fine_tune(tmp_path, a_folder_of_blobs, stop)
    shutil.copytree(a_folder_of_blobs, tmp_path / "copy")
    messages: list[str] = []
    fine_tune(tmp_path, tmp_path / "copy", lambda share, text: messages.append(text))
    assert step_values(messages)[0]["step"] == 6


def test_finishing_early_keeps_the_best_state(tmp_path, a_folder_of_blobs, my_models, few_steps):
    messages: list[str] = []

    def finish(share: float, text: str) -> None:
        messages.append(text)
        if len(step_values(messages)) >= 5:
            raise FinishNow

    result = fine_tune(tmp_path, a_folder_of_blobs, finish, learning_rate=0.02)
    steps, checks = step_values(messages), validation_values(messages)
    assert len(steps) == 5 and checks[-1]["step"] == 5, "the last step is validated"
    assert result.report["finished_early"] and result.report["scores"]["score"] == pytest.approx(
        max(one["score"] for one in checks)
    )
    assert "blobs" in available() and not (my_models / "blobs.training").exists()


def test_finishing_before_the_first_step_trains_one_step(tmp_path, a_folder_of_blobs, my_models, few_steps):
    def finish(share: float, text: str) -> None:
        raise FinishNow

    assert fine_tune(tmp_path, a_folder_of_blobs, finish).report["steps"] == 1


def test_other_labels_restart_the_training(tmp_path, a_folder_of_blobs, my_models, few_steps):
    def stop(share: float, text: str) -> None:
        if text.startswith("step 6 "):
            raise Cancelled

    with pytest.raises(Cancelled):
        fine_tune(tmp_path, a_folder_of_blobs, stop)
    messages: list[str] = []
    fine_tune(tmp_path, a_folder_of_blobs, lambda share, text: messages.append(text), labels="5")
    assert next(text for text in messages if text.startswith("step")).startswith("step 1 ")
    assert read_card("blobs").architecture["labels"] == [5]


def test_patience_stops_a_training_without_improvement(tmp_path, a_folder_of_blobs, my_models, few_steps):
    result = fine_tune(tmp_path, a_folder_of_blobs, learning_rate=1e-6, patience=2)
    checks = Path(result.outputs["validation_log"]).read_text().splitlines()
    assert len(checks) - 1 < 12


def test_a_single_example_is_scored_on_itself_with_a_warning(tmp_path, a_folder_of_blobs, my_models, few_steps):
    for n in (1, 2):
        (a_folder_of_blobs / "images" / f"b{n}.nii.gz").unlink()
    result = fine_tune(tmp_path, a_folder_of_blobs)
    assert result.report["validation_cases"] == 0 and "scores are of the training cases" in result.warnings[0]
    assert "training cases" in next(iter(json.loads(Path(result.outputs["card"]).read_text())["scores"]))


def test_grown_pretrained_weights_learn_as_fast_as_random_ones(tmp_path, a_folder_of_blobs, my_models, monkeypatch):
    """Long training lets weights before a normalisation grow: that changes no feature, but what a step changes."""
    config = UNetConfig(1, 8, (8, 8))
    torch.manual_seed(0)
    weights = UNet(config).state_dict()
    normalised = [name for name, value in weights.items() if value.dim() == 5 and name[:-6] + "bias" not in weights]
    grown = {f"net.{name}": (6 if name in normalised else 1) * value for name, value in weights.items()}
    common = ("Apache-2.0", "nothing", "Tests.", "Knows nothing.", 1.0, "any", "by hand")
    save_model(Card("grown", "Features", {"features": dataclasses.asdict(config)}, "", *common), grown, my_models)
    monkeypatch.setattr(api, "plan_training", lambda folder, key, task, minutes: Plan(18, 3, False, key))
    losses = {}
    for start in ("none", "grown"):
        messages: list[str] = []
        fine_tune(
            tmp_path,
            a_folder_of_blobs,
            lambda share, text, messages=messages: messages.append(text),
            pretrained_model=start,
        )
        losses[start] = sum(one["loss"] for one in step_values(messages)[-8:]) / 8
    assert losses["grown"] < 1.15 * losses["none"] < 1.3, losses


def test_crops_fit_small_volumes():
    def sized(*shape: int) -> AnnotatedVolume:
        return AnnotatedVolume(torch.zeros(shape), torch.zeros(shape, dtype=torch.uint8))

    small, large = sized(35, 51, 36), sized(160, 192, 160)
    sides = [fit_crop_size(most, which) for most, which in ((64, [small]), (32, [small]), (64, [small, large]))]
    assert sides == [48, 32, 64]


def test_bad_requests_are_refused(tmp_path, a_folder_of_blobs, my_models, monkeypatch):
    for more, code in (
        ({"model_name": "my model?"}, "model-name"),
        ({"model_name": "synthmorph-brains"}, "model-name"),
        ({"pretrained_model": "nobody"}, "model-missing"),
        ({"labels": "7"}, "label-unknown"),
    ):
        with pytest.raises(RequestError) as raised:
            fine_tune(tmp_path, a_folder_of_blobs, **more)
        assert raised.value.code == code
    monkeypatch.delenv("SYNTHREG_WEIGHTS")
    with pytest.raises(RequestError) as raised:
        fine_tune(tmp_path, a_folder_of_blobs)
    assert raised.value.code == "no-model-folder"
