"""Training loop: resumable, averaged weights (EMA), best checkpoint by validation, data-parallel under torchrun.

One optimiser step is `TrainingTask.loss(step)`, minimised by Adam with linear warm-up, cosine decay and gradient
clipping. Under `torchrun` the ranks compute different steps and `DistributedDataParallel` averages their gradients, so
that N ranks equal one rank with an N-fold batch. Evaluation weights are an exponential moving average
(`torch.optim.swa_utils.AveragedModel`) whose decay grows from 1/21 to `ema_decay`.
"""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from SlicerSynthReg.progress import ProgressMessage


class TrainingTask(Protocol):
    """A model with its loss and its validation."""

    model: nn.Module

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        """Return the terms of step `step`: "loss" is minimised, the others are logged. Depends on `step` alone."""

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return scores of `model` on held-out data; "score" (higher is better) selects the best checkpoint."""


@dataclass(frozen=True)
class LoopConfig:
    """Schedule of one training.

    folder: checkpoints and tables. steps: optimiser steps of the whole training. minutes: wall-clock limit of this run,
    after which the training can be resumed. ema_decay: final decay of the averaged weights. warmup_steps: linear
    warm-up. gradient_clip: largest gradient norm. patience: stop after this many validations of this run without
    improvement; 0: never. rate_factors: (parameter name prefix, factor on the learning rate). schedule_minutes:
    wall-clock minutes of all runs by which the learning rate has decayed even if fewer steps were done; 0: decay by
    steps alone.
    """

    folder: str
    steps: int = 10_000
    minutes: float = 9.0
    learning_rate: float = 1e-3
    ema_decay: float = 0.995
    validate_every: int = 250
    warmup_steps: int = 50
    gradient_clip: float = 1.0
    patience: int = 0
    rate_factors: tuple[tuple[str, float], ...] = ()
    schedule_minutes: float = 0.0


def train(
    task: TrainingTask,
    config: LoopConfig,
    log: Callable[[str], None] = print,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Train until `steps`, `minutes` or `should_stop`, resuming from folder/last.pt; return the path of best.pt.

    log: receives a ProgressMessage with step, loss and scores after each validation. should_stop: called after each
    step; the last step is validated.
    """
    rank, world_size = join_process_group()
    run = _Run(task, config)
    run.resume(log)
    table, validations = Path(config.folder) / "training.csv", Path(config.folder) / "validation.csv"
    if rank == 0:
        _truncate(table, run.step)
        _truncate(validations, run.step)
    step_terms: nn.Module = _StepTerms(task)
    if world_size > 1:
        step_terms = DistributedDataParallel(step_terms, find_unused_parameters=True)
    finished, stale = run.step >= config.steps or config.minutes <= 0, 0
    seconds, stop = _of_first_rank(run.seconds(), finished, world_size)
    while not stop:
        terms = step_terms(run.step * world_size + rank)
        run.update(terms["loss"], seconds)
        values = {name: float(value.detach()) for name, value in terms.items()}
        stop = run.step >= config.steps or run.chunk_seconds() >= 60 * config.minutes or should_stop()
        if rank == 0:
            _append(table, {"step": run.step, "seconds": run.seconds(), **values})
            if run.step % config.validate_every == 0 or stop:
                scores = run.validate()
                _append(validations, {"step": run.step, **scores})
                stale = 0 if run.save(scores) else stale + 1
                logged = {"loss": values["loss"], **scores}
                text = "  ".join(f"{name} {value:.4f}" for name, value in logged.items())
                log(ProgressMessage(f"step {run.step}  {text}", {"step": run.step, **logged}))
                stop = stop or 0 < config.patience <= stale
        seconds, stop = _of_first_rank(run.seconds(), stop, world_size)
    return Path(config.folder) / "best.pt"


def join_process_group() -> tuple[int, int]:
    """Return (rank, world size), joining the process group once under torchrun; (0, 1) without it."""
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        return 0, 1
    if not distributed.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return distributed.get_rank(), world_size


class _StepTerms(nn.Module):
    """`TrainingTask.loss` as a forward pass, which DistributedDataParallel needs; only "loss" keeps its graph."""

    def __init__(self, task: TrainingTask) -> None:
        super().__init__()
        self.task, self.model = task, task.model

    def forward(self, step: int) -> dict[str, torch.Tensor]:
        self.model.train()
        return {name: value if name == "loss" else value.detach() for name, value in self.task.loss(step).items()}


class _Run:
    """State of a training: model, averaged model, optimiser, and what the checkpoint keeps of earlier runs."""

    def __init__(self, task: TrainingTask, config: LoopConfig) -> None:
        self.task, self.config = task, config
        self.folder = Path(config.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        groups = _parameter_groups(task.model, config)
        self.factors = list(groups)
        self.optimizer = torch.optim.Adam([{"params": group} for group in groups.values()], lr=config.learning_rate)
        self.averaged = AveragedModel(task.model, multi_avg_fn=_growing_ema(config.ema_decay))
        self.averaged.update_parameters(task.model)  # the first update copies
        self.step, self.best_score, self.earlier_seconds = 0, -float("inf"), 0.0
        self.started = time.monotonic()

    def chunk_seconds(self) -> float:
        """Return the seconds of this run."""
        return time.monotonic() - self.started

    def seconds(self) -> float:
        """Return the seconds of this and all earlier runs."""
        return self.earlier_seconds + self.chunk_seconds()

    def resume(self, log: Callable[[str], None]) -> None:
        """Load folder/last.pt if it exists."""
        path = self.folder / "last.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True, map_location=next(self.task.model.parameters()).device)
        self.task.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best_score, self.earlier_seconds = state["step"], state["best_score"], state["seconds"]
        log(f"Resumed at step {self.step}.")

    def update(self, loss: torch.Tensor, seconds: float) -> None:
        """Do one optimiser step and update the averaged weights. seconds: of the schedule, at the step's start."""
        rate = _learning_rate(self.config, self.step, seconds)
        for group, factor in zip(self.optimizer.param_groups, self.factors):
            group["lr"] = factor * rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.task.model.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        self.step += 1
        self.averaged.update_parameters(self.task.model)

    def validate(self) -> dict[str, float]:
        """Return the scores of the averaged weights."""
        self.averaged.eval()
        with torch.no_grad():
            return self.task.validate(self.averaged.module)

    def save(self, scores: dict[str, float]) -> bool:
        """Write last.pt, and best.pt if the score is the best so far; return whether it is.

        best.pt is written first: a stop between the two must not leave a best score without its weights.
        """
        improved = scores["score"] > self.best_score
        if improved:
            self.best_score = scores["score"]
            best = {"model": self.averaged.module.state_dict(), "step": self.step, "scores": scores}
            _write(self.folder / "best.pt", best)
        state = {
            "model": self.task.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "best_score": self.best_score,
            "seconds": self.seconds(),
        }
        _write(self.folder / "last.pt", state)
        return improved


def _parameter_groups(model: nn.Module, config: LoopConfig) -> dict[float, list[nn.Parameter]]:
    """Return the trainable parameters by their learning-rate factor."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            factor = next((factor for prefix, factor in config.rate_factors if name.startswith(prefix)), 1.0)
            groups.setdefault(factor, []).append(parameter)
    return groups


def _learning_rate(config: LoopConfig, step: int, seconds: float) -> float:
    """Return the rate of step `step`: linear warm-up, then half a cosine down to a twentieth."""
    by_time = seconds / (60 * config.schedule_minutes) if config.schedule_minutes else 0.0
    fraction = min(1.0, max(by_time, step / max(1, config.steps)))
    cosine = 0.05 + 0.95 * 0.5 * (1 + math.cos(fraction * math.pi))
    return config.learning_rate * min(1.0, (step + 1) / config.warmup_steps) * cosine


AverageFunction = Callable[[list[torch.Tensor], list[torch.Tensor], int], None]


def _growing_ema(decay: float) -> AverageFunction:
    """Return AveragedModel's update with decay min(`decay`, n / (n + 20)) at its n-th call."""

    def update(averaged: list[torch.Tensor], current: list[torch.Tensor], count: int) -> None:
        now = min(decay, float(count) / (float(count) + 20))
        cast(AverageFunction, get_ema_multi_avg_fn(now))(averaged, current, count)

    return update


def _of_first_rank(seconds: float, stop: bool, world_size: int) -> tuple[float, bool]:
    """Return rank 0's clock and decision on every rank, so that all ranks stop after the same step."""
    if world_size == 1:
        return seconds, stop
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    values = torch.tensor([seconds, float(stop)], dtype=torch.float64, device=device)
    distributed.broadcast(values, 0)
    return float(values[0]), bool(values[1])


def _write(path: Path, state: dict) -> None:
    """Save a checkpoint that appears whole or not at all."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def _append(path: Path, row: dict[str, float]) -> None:
    """Append a row to a CSV table, with a header if the table is new."""
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def _truncate(path: Path, step: int) -> None:
    """Remove the rows after `step`, which an interrupted run wrote and this run will write again."""
    if not path.exists():
        return
    with open(path, newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    kept = [row for row in rows if len(row) == len(header) and int(row[0]) <= step]
    if not kept:
        path.unlink()
    elif len(kept) < len(rows):
        partial = path.with_suffix(".partial")
        with open(partial, "w", newline="") as file:
            csv.writer(file).writerows([header, *kept])
        os.replace(partial, path)
