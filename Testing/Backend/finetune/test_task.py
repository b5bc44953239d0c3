from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from SlicerSynthReg.nets.unet import UNet, UNetConfig
from SlicerSynthReg.request import Cancelled, FinishNow, Request, RequestError, figures_of
from SlicerSynthReg.run import run
from SlicerSynthReg.tasks import finetune
from SlicerSynthReg.tasks.context_pairs import LEGEND, LabelName, write_legend
from SlicerSynthReg.tasks.finetune_plan import Plan
from SlicerSynthReg.train.finetune import Annotated
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.write import write_volume
from SlicerSynthReg.weights.registry import Card, available, read_card, save_model

from .conftest import blobs


def asked(tmp_path: Path, examples: Path, progress=lambda share, text: None, **more):
    parameters = {"model_name": "blobs", "start": "none", "minutes": 5.0, "crop": 16, "crops": 1, "patience": 0, **more}
    return run(Request("finetune", {"examples": str(examples)}, str(tmp_path / "out"), parameters), progress)


def of_steps(told: list[str]) -> list[dict[str, float]]:
    """Figures of the words that told of a step."""
    return [figures for figures in map(figures_of, told) if "loss" in figures]


def of_checks(told: list[str]) -> list[dict[str, float]]:
    return [figures for figures in map(figures_of, told) if "score" in figures]


@pytest.fixture
def few_steps(monkeypatch) -> None:
    """The plan is twelve steps, however fast the machine is, of a network of a few channels."""
    from SlicerSynthReg.methods.finetune.model import FineTuned, FineTunedConfig

    real = finetune.plan_training

    def plan(folder, key, task, minutes):
        made = real(folder, key, task, minutes)
        return Plan(12, made.checks, made.half, made.key)

    def small(start, labels, brightness):
        return FineTuned(FineTunedConfig(UNetConfig(1, 8, (8, 8)), labels, brightness.knots))

    monkeypatch.setattr(finetune, "plan_training", plan)
    monkeypatch.setattr(finetune, "start_model", small)


def test_a_model_is_learned_listed_and_applied(tmp_path, a_folder_of_blobs, my_models, few_steps):
    told: list[str] = []
    write_legend(
        {5: LabelName("bright ball", (1.0, 0.0, 0.0)), 9: LabelName("none", (0, 0, 0))}, a_folder_of_blobs / LEGEND
    )
    result = asked(tmp_path, a_folder_of_blobs, lambda share, text: told.append(text), learning_rate=0.02)
    assert len(of_steps(told)) == 12 and len(of_checks(told)) >= 2
    assert "blobs" in available() and not (my_models / "blobs.training").exists()
    card = read_card("blobs")
    assert card.architecture["labels"] == [2, 5] and not card.synthetic_training_only
    assert card.legend == {"5": {"name": "bright ball", "color": [1.0, 0.0, 0.0], "terminology": ""}}
    assert result.report["trained_on"] == 2 and result.report["left_out"] == 1
    assert set(result.outputs) == {"card", "curve", "log", "checks"}
    image, labels = blobs(9, spacing=0.8)
    write_volume(image, tmp_path / "new.nii.gz")
    write_volume(labels, tmp_path / "truth.nii.gz")
    inputs = {"image": str(tmp_path / "new.nii.gz"), "truth": str(tmp_path / "truth.nii.gz")}
    applied = run(Request("segment", inputs, str(tmp_path / "segmented"), {"model": "blobs"}))
    found = read_volume(applied.outputs["labels"], "labels")
    assert found.grid.same_as(image.grid) and set(found.data.unique().tolist()) <= {0, 2, 5}
    assert set(applied.report["dice"]) == {"2", "5"}
    assert applied.report["labels"] == [2, 5]
    assert applied.report["volumes_ml"]["5"] == pytest.approx(int((found.data == 5).sum()) * 0.8**3 / 1000, abs=1e-3)
    doubt = read_volume(applied.outputs["doubt"]).data
    assert float(doubt.min()) >= 0 and float(doubt.max()) < 1.6


def test_a_stopped_training_goes_on_where_it_was_checked_last(tmp_path, a_folder_of_blobs, my_models, few_steps):
    def stop(share: float, text: str) -> None:
        if text.startswith("step 6 "):
            raise Cancelled

    with pytest.raises(Cancelled):
        asked(tmp_path, a_folder_of_blobs, stop)
    assert not (tmp_path / "out").exists() and (my_models / "blobs.training" / "last.pt").exists()
    assert "blobs" not in available()
    told: list[str] = []
    asked(tmp_path, a_folder_of_blobs, lambda share, text: told.append(text))
    steps = [one["step"] for one in of_steps(told)]
    assert steps == list(range(6, 13))


def test_a_copy_of_the_examples_elsewhere_goes_on_too(tmp_path, a_folder_of_blobs, my_models, few_steps):
    def stop(share: float, text: str) -> None:
        if text.startswith("step 6 "):
            raise Cancelled

    with pytest.raises(Cancelled):
        asked(tmp_path, a_folder_of_blobs, stop)
    shutil.copytree(a_folder_of_blobs, tmp_path / "copy")
    told: list[str] = []
    asked(tmp_path, tmp_path / "copy", lambda share, text: told.append(text))
    assert of_steps(told)[0]["step"] == 6


def test_a_training_that_is_finished_early_keeps_its_best_state(tmp_path, a_folder_of_blobs, my_models, few_steps):
    told: list[str] = []

    def finish(share: float, text: str) -> None:
        told.append(text)
        if len(of_steps(told)) >= 5:
            raise FinishNow

    result = asked(tmp_path, a_folder_of_blobs, finish, learning_rate=0.02)
    steps, checks = of_steps(told), of_checks(told)
    assert len(steps) == 5 and checks[-1]["step"] == 5, "its last step is checked like any other"
    assert result.report["finished_early"] and result.report["scores"]["score"] == pytest.approx(
        max(one["score"] for one in checks)
    )
    assert "blobs" in available() and not (my_models / "blobs.training").exists()


def test_a_training_finished_before_its_first_step_has_one(tmp_path, a_folder_of_blobs, my_models, few_steps):
    def finish(share: float, text: str) -> None:
        raise FinishNow

    assert asked(tmp_path, a_folder_of_blobs, finish).report["steps"] == 1


def test_other_examples_begin_anew(tmp_path, a_folder_of_blobs, my_models, few_steps):
    def stop(share: float, text: str) -> None:
        if text.startswith("step 6 "):
            raise Cancelled

    with pytest.raises(Cancelled):
        asked(tmp_path, a_folder_of_blobs, stop)
    told: list[str] = []
    asked(tmp_path, a_folder_of_blobs, lambda share, text: told.append(text), labels="5")
    assert next(text for text in told if text.startswith("step")).startswith("step 1 ")
    assert read_card("blobs").architecture["labels"] == [5]


def test_it_ends_early_when_nothing_gets_better(tmp_path, a_folder_of_blobs, my_models, few_steps):
    result = asked(tmp_path, a_folder_of_blobs, learning_rate=1e-6, patience=2)
    checks = Path(result.outputs["checks"]).read_text().splitlines()
    assert len(checks) - 1 < 12


def test_one_example_scores_itself_and_says_so(tmp_path, a_folder_of_blobs, my_models, few_steps):
    for n in (1, 2):
        (a_folder_of_blobs / "images" / f"b{n}.nii.gz").unlink()
    result = asked(tmp_path, a_folder_of_blobs)
    assert result.report["left_out"] == 0 and "the scores are of what was learned from" in result.warnings[0]
    assert "trained on" in next(iter(json.loads(Path(result.outputs["card"]).read_text())["scores"]))


def test_from_features_whose_weights_have_grown_it_learns_as_fast_as_from_nothing(
    tmp_path, a_folder_of_blobs, my_models, monkeypatch
):
    """Long training lets weights before a normalisation grow: that changes no feature, but what a step changes."""
    config = UNetConfig(1, 8, (8, 8))
    torch.manual_seed(0)
    weights = UNet(config).state_dict()
    normalised = [name for name, value in weights.items() if value.dim() == 5 and name[:-6] + "bias" not in weights]
    grown = {f"net.{name}": (6 if name in normalised else 1) * value for name, value in weights.items()}
    common = ("Apache-2.0", "nothing", "Tests.", "Knows nothing.", 1.0, "any", "by hand")
    save_model(Card("grown", "Features", {"features": dataclasses.asdict(config)}, "", *common), grown, my_models)
    monkeypatch.setattr(finetune, "plan_training", lambda folder, key, task, minutes: Plan(18, 3, False, key))
    losses = {}
    for start in ("none", "grown"):
        told: list[str] = []
        asked(tmp_path, a_folder_of_blobs, lambda share, text, told=told: told.append(text), start=start)
        losses[start] = sum(one["loss"] for one in of_steps(told)[-8:]) / 8
    assert losses["grown"] < 1.15 * losses["none"] < 1.3, losses


def test_crops_are_no_larger_than_small_volumes():
    def sized(*shape: int) -> Annotated:
        return Annotated(torch.zeros(shape), torch.zeros(shape, dtype=torch.uint8))

    small, large = sized(35, 51, 36), sized(160, 192, 160)
    sides = [finetune.crop_side(most, which) for most, which in ((64, [small]), (32, [small]), (64, [small, large]))]
    assert sides == [48, 32, 64]


def test_what_cannot_be_trained_is_refused(tmp_path, a_folder_of_blobs, my_models, monkeypatch):
    for more, message in (
        ({"model_name": "my model?"}, "Found the name 'my model\\?', expected letters"),
        ({"model_name": "synthmorph-brains"}, "is a model that ships"),
        ({"start": "nobody"}, "Found no model named 'nobody'.*Or pass start none"),
        ({"labels": "7"}, r"Found the label \[7\], expected some of \[2, 5\]"),
    ):
        with pytest.raises(RequestError, match=message):
            asked(tmp_path, a_folder_of_blobs, **more)
    monkeypatch.delenv("SYNTHREG_WEIGHTS")
    with pytest.raises(RequestError, match="Found no folder for models of your own"):
        asked(tmp_path, a_folder_of_blobs)
