"""The training loop: resumable in wall-clock chunks, EMA weights, best checkpoint by validation, curves, torchrun."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from SlicerSynthReg.request import Figured


class Task(Protocol):
    """One thing to learn."""

    model: nn.Module

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        """Terms of training step `step`; "loss" is minimised, the others are logged. Depends on nothing but `step`."""

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Scores of `model` on people left out; "score" (higher is better) chooses the best checkpoint."""


@dataclass(frozen=True)
class LoopConfig:
    """steps: the whole run, over all chunks. minutes: this chunk. ema: decay of the averaged weights. patience: end
    after so many validations of this chunk without a better score; 0: never. faster: layers, by the beginning of their
    parameters' names, that learn at so many times the learning rate. whole_minutes: all chunks, by whose end the
    learning rate has fallen even if steps take longer than was planned; 0: it falls by steps alone."""

    folder: str
    steps: int = 10_000
    minutes: float = 9.0
    learning_rate: float = 1e-3
    ema: float = 0.995
    validate_every: int = 250
    warmup: int = 50
    clip: float = 1.0
    patience: int = 0
    faster: tuple[tuple[str, float], ...] = ()
    whole_minutes: float = 0.0


def train(
    task: Task,
    config: LoopConfig,
    say: Callable[[str], None] = print,
    finished: Callable[[], bool] = lambda: False,
) -> Path:
    """Train until `steps`, `minutes` or `finished`, resuming from folder/last.pt. Returns the best checkpoint's path.

    say: hears of every validation, in Figured words: step, loss and scores. finished: asked after every step; the last
    one is validated, as where the steps or minutes end.
    """
    folder = Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    rank, world = _join_group()
    model = task.model
    groups = _by_rate(model, config)
    optimizer = torch.optim.Adam([{"params": group} for group in groups.values()], lr=config.learning_rate)
    averaged = {name: value.detach().clone() for name, value in model.state_dict().items()}
    step, best, spent = 0, -float("inf"), 0.0
    last = folder / "last.pt"
    if last.exists():
        state = torch.load(last, weights_only=True, map_location=next(model.parameters()).device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        averaged, step, best, spent = state["averaged"], state["step"], state["best"], state["spent"]
        say(f"Resumed at step {step}.")
    if rank == 0:
        _cut(folder / "training.csv", step)
        _cut(folder / "validation.csv", step)
    started, disappointed = time.monotonic(), 0

    def save(scores: dict[str, float]) -> None:
        nonlocal best, disappointed
        disappointed += 1
        if scores["score"] > best:
            best, disappointed = scores["score"], 0
            _write(folder / "best.pt", {"model": averaged, "step": step, "scores": scores})
        _write(
            last,
            {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "averaged": averaged,
                "step": step,
                "best": best,
                "spent": spent + time.monotonic() - started,
            },
        )

    ending = step >= config.steps or config.minutes <= 0
    while not ending:
        model.train()
        rate = _rate(config, step, spent + time.monotonic() - started)
        for group, times in zip(optimizer.param_groups, groups):
            group["lr"] = times * rate
        terms = task.loss(step * world + rank)
        optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        _share_gradients(model.parameters(), world)
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        step += 1
        _update_average(averaged, model, min(config.ema, step / (step + 20)))
        values = {name: float(value.detach()) for name, value in terms.items()}
        if rank == 0:
            _append(folder / "training.csv", {"step": step, "seconds": spent + time.monotonic() - started, **values})
        ending = step >= config.steps or time.monotonic() - started >= 60 * config.minutes or finished()
        if rank == 0 and (step % config.validate_every == 0 or ending):
            scores = _validated(task, averaged)
            _append(folder / "validation.csv", {"step": step, **scores})
            save(scores)
            told = {"loss": values["loss"], **scores}
            words = "  ".join(f"{name} {value:.4f}" for name, value in told.items())
            say(Figured(f"step {step}  {words}", {"step": step, **told}))
            if config.patience and disappointed >= config.patience:
                break
    return folder / "best.pt"


def _validated(task: Task, averaged: dict[str, torch.Tensor]) -> dict[str, float]:
    """Scores of the averaged weights, which are put into the model only meanwhile."""
    current = {name: value.detach().clone() for name, value in task.model.state_dict().items()}
    task.model.load_state_dict(averaged)
    task.model.eval()
    with torch.no_grad():
        scores = task.validate(task.model)
    task.model.load_state_dict(current)
    return scores


def _by_rate(model: nn.Module, config: LoopConfig) -> dict[float, list[nn.Parameter]]:
    """What is learned, by times the learning rate."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            times = next((times for start, times in config.faster if name.startswith(start)), 1.0)
            groups.setdefault(times, []).append(parameter)
    return groups


def _rate(config: LoopConfig, step: int, seconds: float) -> float:
    """Linear warm-up, then half a cosine down to a twentieth."""
    by_time = seconds / (60 * config.whole_minutes) if config.whole_minutes else 0.0
    progress = min(1.0, max(by_time, step / max(1, config.steps)))
    cosine = 0.05 + 0.95 * 0.5 * (1 + float(torch.cos(torch.tensor(progress * torch.pi))))
    return config.learning_rate * min(1.0, (step + 1) / config.warmup) * cosine


def _update_average(averaged: dict[str, torch.Tensor], model: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                averaged[name].lerp_(value, 1 - decay)
            else:
                averaged[name].copy_(value)


def _join_group() -> tuple[int, int]:
    """(rank, world size); under torchrun the process group is joined once."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return (torch.distributed.get_rank(), world) if world > 1 else (0, 1)


def _share_gradients(parameters: Iterable[nn.Parameter], world: int) -> None:
    if world == 1:
        return
    for parameter in parameters:
        if parameter.grad is not None:
            torch.distributed.all_reduce(parameter.grad)
            parameter.grad /= world


def _write(path: Path, state: dict) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def _append(path: Path, row: dict[str, float]) -> None:
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def _cut(path: Path, step: int) -> None:
    """Leave out the rows of later steps, which a killed chunk wrote and this one writes again."""
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
