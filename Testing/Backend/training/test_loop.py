from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from SlicerSynthReg.training import loop
from SlicerSynthReg.training.loop import LoopConfig, train


class TinyTask:
    """Linear regression; each loss takes one second of the clock. scores: the scores that validation will return."""

    def __init__(self, clock: list[float], scores: list[float] | None = None) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.0), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.clock, self.scores = clock, scores
        self.steps: list[int] = []
        self.weights: list[dict[str, torch.Tensor]] = []
        self.modes: list[bool] = []
        self.validated: list[dict[str, torch.Tensor]] = []

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        self.steps.append(step)
        self.modes.append(self.model.training)
        self.weights.append(copy_state(self.model))
        self.clock[0] += 1.0
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        loss = (self.model(x) - x.sum(1, keepdim=True)).square().mean()
        return {"loss": loss, "half": loss / 2}

    def validate(self, model: nn.Module) -> dict[str, float]:
        assert not model.training and not torch.is_grad_enabled()
        self.validated.append(copy_state(model))
        return {"score": self.scores.pop(0) if self.scores is not None else float(len(self.validated)), "other": 5.0}


def copy_state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def identical(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture
def twelve_steps(tmp_path) -> LoopConfig:
    return LoopConfig(str(tmp_path / "run"), steps=12, minutes=60, learning_rate=0.05, validate_every=4, warmup_steps=3)


def silent(text: str) -> None:
    pass


def last(config: LoopConfig) -> dict:
    return torch.load(Path(config.folder) / "last.pt", weights_only=True)


def table(config: LoopConfig, name: str) -> list[dict[str, str]]:
    with open(Path(config.folder) / name) as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("schedule_minutes", "low", "high"), [(1.0, 0.05, 0.06), (0.0, 0.98, 1.0)])
def test_learning_rate_decays_by_the_scheduled_minutes_even_if_steps_are_slow(
    stopped_clock, twelve_steps, schedule_minutes, low, high
):
    """Sixty seconds, one step each, in two runs; a thousand steps were planned."""
    config = replace(twelve_steps, steps=1000, minutes=0.5, validate_every=1000, schedule_minutes=schedule_minutes)
    for _ in range(2):
        train(TinyTask(stopped_clock), config, silent)
    assert last(config)["step"] == 60
    assert low <= last(config)["optimizer"]["param_groups"][0]["lr"] / config.learning_rate <= high


def test_layers_have_their_own_learning_rates(stopped_clock, twelve_steps):
    """Adam's first step changes each weight by the learning rate."""
    config = replace(twelve_steps, steps=1, warmup_steps=1, rate_factors=(("3.", 5.0),))
    task = TinyTask(stopped_clock)
    before = copy_state(task.model)
    train(task, config, silent)
    moved = {name: float((value - before[name]).abs().max()) for name, value in copy_state(task.model).items()}
    assert moved["0.weight"] == pytest.approx(0.05, rel=1e-3) and moved["3.weight"] == pytest.approx(0.25, rel=1e-3)


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one_to_the_bit(stopped_clock, twelve_steps, tmp_path):
    train(TinyTask(stopped_clock), twelve_steps, silent)
    resumed = replace(twelve_steps, folder=str(tmp_path / "resumed"), minutes=5 / 60)
    steps = []
    for _ in range(3):
        task = TinyTask(stopped_clock)
        train(task, resumed, silent)
        steps.append(task.steps)
    assert steps == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]
    one, two = last(twelve_steps), last(resumed)
    assert identical(one["model"], two["model"]) and identical(one["averaged"], two["averaged"])
    for n, moments in one["optimizer"]["state"].items():
        assert identical(moments, two["optimizer"]["state"][n])  # new Adam moments would give other weights
    assert one["step"] == two["step"] == 12 and one["seconds"] == two["seconds"] == 12.0


def test_validation_does_not_change_the_training(stopped_clock, twelve_steps, tmp_path):
    often = replace(twelve_steps, validate_every=1)
    seldom = replace(twelve_steps, folder=str(tmp_path / "seldom"), validate_every=100)
    tasks = TinyTask(stopped_clock), TinyTask(stopped_clock)
    for task, config in zip(tasks, (often, seldom)):
        train(task, config, silent)
    assert (len(tasks[0].validated), len(tasks[1].validated)) == (12, 1)
    assert identical(last(often)["model"], last(seldom)["model"])
    assert all(tasks[0].modes)


def test_the_minutes_end_a_run_and_its_weights_are_saved(stopped_clock, twelve_steps):
    task = TinyTask(stopped_clock)
    train(task, replace(twelve_steps, minutes=7 / 60), silent)
    assert len(task.steps) == 7  # one second each
    assert last(twelve_steps)["step"] == 7 and identical(last(twelve_steps)["model"], copy_state(task.model))


def test_a_finished_training_is_not_continued(stopped_clock, twelve_steps):
    path = train(TinyTask(stopped_clock), twelve_steps, silent)
    before, again = last(twelve_steps), TinyTask(stopped_clock)
    assert train(again, twelve_steps, silent) == path
    assert again.steps == [] and identical(last(twelve_steps)["model"], before["model"])
    assert identical(copy_state(again.model), before["model"])


def test_the_best_checkpoint_is_the_one_of_the_highest_score(stopped_clock, twelve_steps):
    task = TinyTask(stopped_clock, [0.3, 0.9, 0.5])
    best = torch.load(train(task, twelve_steps, silent), weights_only=True)
    assert best["step"] == 8 and best["scores"] == {"score": 0.9, "other": 5.0}
    assert identical(best["model"], task.validated[1])  # the averaged weights, not the raw ones
    assert not identical(best["model"], task.weights[8])
    assert last(twelve_steps)["best_score"] == 0.9


def test_a_resumed_run_does_not_overwrite_a_better_checkpoint(stopped_clock, twelve_steps):
    half = replace(twelve_steps, minutes=4 / 60)
    train(TinyTask(stopped_clock, [0.9]), half, silent)
    path = train(TinyTask(stopped_clock, [0.4, 0.6]), replace(half, minutes=60), silent)
    assert torch.load(path, weights_only=True)["step"] == 4


class Overfitting(TinyTask):
    """Its first validation is its best."""

    def validate(self, model: nn.Module) -> dict[str, float]:
        self.validated.append(copy_state(model))
        return {"score": -float(self.validated[-1]["2.num_batches_tracked"])}


def test_a_stop_between_the_two_checkpoints_does_not_lose_the_best(stopped_clock, twelve_steps, monkeypatch):
    """last.pt holds the best score: if it were written first, best.pt would never be written by a worse model."""
    write, written = loop._write, []

    def dying(path: Path, state: dict) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(path)
        write(path, state)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "_write", dying)
        train(Overfitting(stopped_clock), twelve_steps, silent)
    path = train(Overfitting(stopped_clock), twelve_steps, silent)
    assert path.exists()
    assert torch.load(path, weights_only=True)["step"] == 4


def test_averaged_weights_follow_the_ema_recursion(stopped_clock, twelve_steps):
    """decay = min(ema_decay, n / (n + 20))."""
    task = TinyTask(stopped_clock)
    train(task, replace(twelve_steps, ema_decay=0.25), silent)
    weights = [state["3.weight"] for state in task.weights] + [last(twelve_steps)["model"]["3.weight"]]
    average = weights[0]
    for n, value in enumerate(weights[1:], start=1):
        decay = min(0.25, n / (n + 20))
        average = decay * average + (1 - decay) * value
    assert torch.allclose(last(twelve_steps)["averaged"]["module.3.weight"], average, atol=1e-6)


def test_learning_rate_warms_up_then_decays_by_half_a_cosine(stopped_clock, twelve_steps):
    for steps, expected in ((1, 1 / 3), (3, None), (12, None)):
        folder = f"{twelve_steps.folder}-{steps}"
        config = replace(twelve_steps, folder=folder, minutes=steps / 60)
        train(TinyTask(stopped_clock), config, silent)
        rate = last(config)["optimizer"]["param_groups"][0]["lr"] / 0.05
        cosine = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (steps - 1) / 12))
        assert rate == pytest.approx(expected or cosine, rel=1e-5)


def test_tables_continue_over_runs(stopped_clock, twelve_steps):
    for _ in range(2):
        train(TinyTask(stopped_clock), replace(twelve_steps, minutes=6 / 60), silent)
    rows = table(twelve_steps, "training.csv")
    assert [int(row["step"]) for row in rows] == list(range(1, 13))
    assert [float(row["seconds"]) for row in rows] == list(range(1, 13))
    assert float(rows[3]["half"]) == pytest.approx(float(rows[3]["loss"]) / 2)
    assert [int(row["step"]) for row in table(twelve_steps, "validation.csv")] == [4, 6, 8, 12]


def test_rows_of_an_interrupted_run_are_not_written_twice(stopped_clock, twelve_steps):
    """Interrupted at step 7 with the checkpoint of step 4: steps 5 and 6 are computed and logged again."""

    class Interrupted(TinyTask):
        def loss(self, step: int) -> dict[str, torch.Tensor]:
            if step == 6:
                raise KeyboardInterrupt
            return super().loss(step)

    with pytest.raises(KeyboardInterrupt):
        train(Interrupted(stopped_clock), twelve_steps, silent)
    assert [int(row["step"]) for row in table(twelve_steps, "training.csv")] == [1, 2, 3, 4, 5, 6]
    with open(Path(twelve_steps.folder) / "training.csv", "a") as file:
        file.write("7,7.0")  # interrupted while writing a row
    train(TinyTask(stopped_clock), twelve_steps, silent)
    rows = table(twelve_steps, "training.csv")
    assert [int(row["step"]) for row in rows] == list(range(1, 13))
    assert [float(row["seconds"]) for row in rows] == list(range(1, 13))
    assert [int(row["step"]) for row in table(twelve_steps, "validation.csv")] == [4, 8, 12]


def test_a_run_interrupted_before_its_first_checkpoint_leaves_no_rows(stopped_clock, twelve_steps):
    class Interrupted(TinyTask):
        def loss(self, step: int) -> dict[str, torch.Tensor]:
            if step == 2:
                raise KeyboardInterrupt
            return super().loss(step)

    with pytest.raises(KeyboardInterrupt):
        train(Interrupted(stopped_clock), twelve_steps, silent)
    train(TinyTask(stopped_clock), replace(twelve_steps, minutes=1 / 60), silent)
    assert [int(row["step"]) for row in table(twelve_steps, "training.csv")] == [1]


def test_training_lowers_the_loss(stopped_clock, twelve_steps):
    train(TinyTask(stopped_clock), replace(twelve_steps, steps=300, validate_every=300), silent)
    losses = [float(row["loss"]) for row in table(twelve_steps, "training.csv")]
    assert sum(losses[-30:]) < 0.5 * sum(losses[:30])


def test_no_partial_checkpoint_remains(stopped_clock, twelve_steps):
    train(TinyTask(stopped_clock), twelve_steps, silent)
    assert sorted(path.name for path in Path(twelve_steps.folder).iterdir()) == [
        "best.pt", "last.pt", "training.csv", "validation.csv",
    ]  # fmt: skip
