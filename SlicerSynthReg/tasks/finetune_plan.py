"""How many steps and checks fit into the minutes of a fine-tuning, found by trial; and what was spent before a stop."""

from __future__ import annotations

import csv
import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from SlicerSynthReg.train.finetune import FineTuneTask

CHECKS, CHECKS_SHARE = 20, 0.15
"""Validations over the whole training, at most, and the share of its time that they may take."""


@dataclass(frozen=True)
class Plan:
    """Kept beside the checkpoints. steps: of the whole training, by which the learning rate falls; so many checks;
    half: whether steps compute in bfloat16, which processors with the units for it do in half the time."""

    steps: int
    checks: int
    half: bool
    key: str


def plan_training(folder: Path, key: str, task: FineTuneTask, minutes: float) -> Plan:
    """The plan of a training that was stopped, or a new one: as many steps and checks as fit into the time, by a few
    of either on trial."""
    path = folder / "plan.json"
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["key"] == key:
            return Plan(**kept)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    takes = {}
    for half in (False, True) if _has_half(task.device) else (False,):
        task.half = half
        takes[half] = _seconds(lambda step: task.loss(step)["loss"].backward(), 3)
    half = takes.get(True, math.inf) < takes[False]
    task.model.zero_grad(set_to_none=True)
    with torch.no_grad():
        check_takes = _seconds(lambda _: task.validate(task.model), 1)
    seconds = 0.9 * 60 * minutes
    checks = min(CHECKS, max(1, int(CHECKS_SHARE * seconds / check_takes)))
    plan = Plan(max(2, int((seconds - checks * check_takes) / takes[half])), checks, half, key)
    path.write_text(json.dumps(asdict(plan)), encoding="utf-8")
    return plan


def _has_half(device: str) -> bool:
    return torch.cuda.is_bf16_supported() if device == "cuda" else torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _seconds(work: Callable[[int], object], times: int) -> float:
    """Of the fastest of several runs."""
    taken = []
    for n in range(times):
        started = time.monotonic()
        work(n)
        taken.append(time.monotonic() - started)
    return min(taken)


def minutes_spent(folder: Path) -> float:
    """Minutes that earlier chunks of this training took."""
    log = folder / "training.csv"
    if not log.exists():
        return 0.0
    with open(log, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return float(rows[-1]["seconds"]) / 60 if rows else 0.0
