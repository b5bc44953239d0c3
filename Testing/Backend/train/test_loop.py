from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from SlicerSynthReg.train import loop
from SlicerSynthReg.train.loop import LoopConfig, train


class TinyTask:
    """A line through noisy points; each loss takes one second of the clock. scores: what validation will say."""

    def __init__(self, clock: list[float], scores: list[float] | None = None) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.0), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.clock, self.scores = clock, scores
        self.asked: list[int] = []
        self.seen: list[dict[str, torch.Tensor]] = []
        self.modes: list[bool] = []
        self.judged: list[dict[str, torch.Tensor]] = []

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        self.asked.append(step)
        self.modes.append(self.model.training)
        self.seen.append(copied(self.model))
        self.clock[0] += 1.0
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        loss = (self.model(x) - x.sum(1, keepdim=True)).square().mean()
        return {"loss": loss, "half": loss / 2}

    def validate(self, model: nn.Module) -> dict[str, float]:
        assert not model.training and not torch.is_grad_enabled()
        self.judged.append(copied(model))
        return {"score": self.scores.pop(0) if self.scores is not None else float(len(self.judged)), "other": 5.0}


def copied(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def identical(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.fixture
def twelve_steps(tmp_path) -> LoopConfig:
    return LoopConfig(str(tmp_path / "run"), steps=12, minutes=60, learning_rate=0.05, validate_every=4, warmup=3)


def quiet(text: str) -> None:
    pass


def last(config: LoopConfig) -> dict:
    return torch.load(Path(config.folder) / "last.pt", weights_only=True)


def table(config: LoopConfig, name: str) -> list[dict[str, str]]:
    with open(Path(config.folder) / name) as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("whole_minutes", "low", "high"), [(1.0, 0.05, 0.06), (0.0, 0.98, 1.0)])
def test_a_training_with_an_end_comes_to_rest_by_then_though_steps_are_slower_than_planned(
    a_clock, twelve_steps, whole_minutes, low, high
):
    """Sixty seconds, a step each, in two chunks; a thousand steps were planned."""
    config = replace(twelve_steps, steps=1000, minutes=0.5, validate_every=1000, whole_minutes=whole_minutes)
    for _ in range(2):
        train(TinyTask(a_clock), config, quiet)
    assert last(config)["step"] == 60
    assert low <= last(config)["optimizer"]["param_groups"][0]["lr"] / config.learning_rate <= high


def test_layers_learn_at_their_own_rates(a_clock, twelve_steps):
    """Adam's first step changes each weight by its rate, whatever the gradient."""
    config = replace(twelve_steps, steps=1, warmup=1, faster=(("3.", 5.0),))
    task = TinyTask(a_clock)
    before = copied(task.model)
    train(task, config, quiet)
    moved = {name: float((value - before[name]).abs().max()) for name, value in copied(task.model).items()}
    assert moved["0.weight"] == pytest.approx(0.05, rel=1e-3) and moved["3.weight"] == pytest.approx(0.25, rel=1e-3)


def test_a_run_in_chunks_ends_with_the_weights_of_an_unbroken_one_to_the_bit(a_clock, twelve_steps, tmp_path):
    train(TinyTask(a_clock), twelve_steps, quiet)
    chunked = replace(twelve_steps, folder=str(tmp_path / "chunked"), minutes=5 / 60)
    asked = []
    for _ in range(3):
        task = TinyTask(a_clock)
        train(task, chunked, quiet)
        asked.append(task.asked)
    assert asked == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]
    one, two = last(twelve_steps), last(chunked)
    assert identical(one["model"], two["model"]) and identical(one["averaged"], two["averaged"])
    for n, moments in one["optimizer"]["state"].items():
        assert identical(moments, two["optimizer"]["state"][n])  # fresh Adam moments would give other weights
    assert one["step"] == two["step"] == 12 and one["spent"] == two["spent"] == 12.0


def test_validation_leaves_the_training_as_it_was(a_clock, twelve_steps, tmp_path):
    often = replace(twelve_steps, validate_every=1)
    seldom = replace(twelve_steps, folder=str(tmp_path / "seldom"), validate_every=100)
    tasks = TinyTask(a_clock), TinyTask(a_clock)
    for task, config in zip(tasks, (often, seldom)):
        train(task, config, quiet)
    assert (len(tasks[0].judged), len(tasks[1].judged)) == (12, 1)
    assert identical(last(often)["model"], last(seldom)["model"])
    assert all(tasks[0].modes)  # back in training mode after each validation


def test_the_minutes_end_a_chunk_and_what_it_learned_is_kept(a_clock, twelve_steps):
    task = TinyTask(a_clock)
    train(task, replace(twelve_steps, minutes=7 / 60), quiet)
    assert len(task.asked) == 7  # one second each, and not one more
    assert last(twelve_steps)["step"] == 7 and identical(last(twelve_steps)["model"], copied(task.model))


def test_a_finished_run_is_left_alone(a_clock, twelve_steps):
    path = train(TinyTask(a_clock), twelve_steps, quiet)
    before, again = last(twelve_steps), TinyTask(a_clock)
    assert train(again, twelve_steps, quiet) == path
    assert again.asked == [] and identical(last(twelve_steps)["model"], before["model"])
    assert identical(copied(again.model), before["model"])


def test_the_best_checkpoint_is_the_one_of_the_highest_score(a_clock, twelve_steps):
    task = TinyTask(a_clock, [0.3, 0.9, 0.5])
    best = torch.load(train(task, twelve_steps, quiet), weights_only=True)
    assert best["step"] == 8 and best["scores"] == {"score": 0.9, "other": 5.0}
    assert identical(best["model"], task.judged[1])  # the averaged weights that were judged, not the raw ones
    assert not identical(best["model"], task.seen[8])
    assert last(twelve_steps)["best"] == 0.9


def test_a_resumed_chunk_does_not_overwrite_a_better_checkpoint(a_clock, twelve_steps):
    half = replace(twelve_steps, minutes=4 / 60)
    train(TinyTask(a_clock, [0.9]), half, quiet)
    path = train(TinyTask(a_clock, [0.4, 0.6]), replace(half, minutes=60), quiet)
    assert torch.load(path, weights_only=True)["step"] == 4


class Aging(TinyTask):
    """Best at the first validation, whichever chunk that falls in."""

    def validate(self, model: nn.Module) -> dict[str, float]:
        self.judged.append(copied(model))
        return {"score": -float(self.judged[-1]["2.num_batches_tracked"])}


def test_a_kill_between_the_two_checkpoints_does_not_lose_the_best(a_clock, twelve_steps, monkeypatch):
    """last.pt says how good the best was: written before best.pt, it stops any worse one from ever being written."""
    write, written = loop._write, []

    def dying(path: Path, state: dict) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(path)
        write(path, state)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "_write", dying)
        train(Aging(a_clock), twelve_steps, quiet)
    path = train(Aging(a_clock), twelve_steps, quiet)
    assert path.exists()
    assert torch.load(path, weights_only=True)["step"] == 4


def test_the_averaged_weights_follow_their_recursion(a_clock, twelve_steps):
    """decay = min(ema, n / (n + 20)): early on the average is nearly the weights themselves."""
    task = TinyTask(a_clock)
    train(task, replace(twelve_steps, ema=0.25), quiet)
    weights = [state["3.weight"] for state in task.seen] + [last(twelve_steps)["model"]["3.weight"]]
    average = weights[0]
    for n, value in enumerate(weights[1:], start=1):
        decay = min(0.25, n / (n + 20))
        average = decay * average + (1 - decay) * value
    assert torch.allclose(last(twelve_steps)["averaged"]["3.weight"], average, atol=1e-6)


def test_the_rate_warms_up_then_falls_by_half_a_cosine(a_clock, twelve_steps):
    for steps, expected in ((1, 1 / 3), (3, None), (12, None)):
        folder = f"{twelve_steps.folder}-{steps}"
        config = replace(twelve_steps, folder=folder, minutes=steps / 60)
        train(TinyTask(a_clock), config, quiet)
        rate = last(config)["optimizer"]["param_groups"][0]["lr"] / 0.05
        cosine = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (steps - 1) / 12))
        assert rate == pytest.approx(expected or cosine, rel=1e-5)


def test_curves_continue_over_chunks(a_clock, twelve_steps):
    for _ in range(2):
        train(TinyTask(a_clock), replace(twelve_steps, minutes=6 / 60), quiet)
    rows = table(twelve_steps, "training.csv")
    assert [int(row["step"]) for row in rows] == list(range(1, 13))
    assert [float(row["seconds"]) for row in rows] == list(range(1, 13))
    assert float(rows[3]["half"]) == pytest.approx(float(rows[3]["loss"]) / 2)
    assert [int(row["step"]) for row in table(twelve_steps, "validation.csv")] == [4, 6, 8, 12]


def test_rows_of_a_killed_chunk_are_not_written_twice(a_clock, twelve_steps):
    """Killed at step 7, with the checkpoint of step 4: steps 5 and 6 are done, and logged, again."""

    class Killed(TinyTask):
        def loss(self, step: int) -> dict[str, torch.Tensor]:
            if step == 6:
                raise KeyboardInterrupt
            return super().loss(step)

    with pytest.raises(KeyboardInterrupt):
        train(Killed(a_clock), twelve_steps, quiet)
    assert [int(row["step"]) for row in table(twelve_steps, "training.csv")] == [1, 2, 3, 4, 5, 6]
    with open(Path(twelve_steps.folder) / "training.csv", "a") as file:
        file.write("7,7.0")  # and the kill fell into a line
    train(TinyTask(a_clock), twelve_steps, quiet)
    rows = table(twelve_steps, "training.csv")
    assert [int(row["step"]) for row in rows] == list(range(1, 13))
    assert [float(row["seconds"]) for row in rows] == list(range(1, 13))
    assert [int(row["step"]) for row in table(twelve_steps, "validation.csv")] == [4, 8, 12]


def test_a_chunk_killed_before_its_first_checkpoint_leaves_no_rows(a_clock, twelve_steps):
    class Killed(TinyTask):
        def loss(self, step: int) -> dict[str, torch.Tensor]:
            if step == 2:
                raise KeyboardInterrupt
            return super().loss(step)

    with pytest.raises(KeyboardInterrupt):
        train(Killed(a_clock), twelve_steps, quiet)
    train(TinyTask(a_clock), replace(twelve_steps, minutes=1 / 60), quiet)
    assert [int(row["step"]) for row in table(twelve_steps, "training.csv")] == [1]


def test_it_learns(a_clock, twelve_steps):
    train(TinyTask(a_clock), replace(twelve_steps, steps=300, validate_every=300), quiet)
    losses = [float(row["loss"]) for row in table(twelve_steps, "training.csv")]
    assert sum(losses[-30:]) < 0.5 * sum(losses[:30])


def test_no_half_written_checkpoint_is_left_behind(a_clock, twelve_steps):
    train(TinyTask(a_clock), twelve_steps, quiet)
    assert sorted(path.name for path in Path(twelve_steps.folder).iterdir()) == [
        "best.pt", "last.pt", "training.csv", "validation.csv",
    ]  # fmt: skip
