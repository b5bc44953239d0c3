"""Fine-tuning: training task on augmented crops of a few volumes, and its plan within a time budget."""

from __future__ import annotations

import csv
import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn

from SlicerSynthReg.finetuning.augmentation import AugmentationConfig, apply_augmentation, draw_augmentation
from SlicerSynthReg.finetuning.preparation import AnnotatedVolume
from SlicerSynthReg.finetuning.segmenter import FineTunedSegmenter
from SlicerSynthReg.losses.dice import dice_cross_entropy_loss
from SlicerSynthReg.metrics.overlap import dice_of_counts, overlap_counts

EXCLUDED = -50.0
"""Logit of an excluded class."""
MAX_VALIDATIONS, VALIDATION_SHARE = 20, 0.15
"""Validations of a training at most, and their share of its time at most."""


@dataclass(frozen=True)
class FineTuneConfig:
    """batch_size: crops per step."""

    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    batch_size: int = 1


class FineTuneTask:
    """Dice and cross-entropy on augmented crops. training: volumes to learn from; validation: volumes that select the
    checkpoint. on_step: called with step and loss; its exceptions end the training. bfloat16: precision of a step."""

    def __init__(
        self,
        model: FineTunedSegmenter,
        training: Sequence[AnnotatedVolume],
        validation: Sequence[AnnotatedVolume],
        config: FineTuneConfig,
        device: str = "cpu",
        on_step: Callable[[int, float], None] = lambda step, loss: None,
    ) -> None:
        self.model = model.to(device).to(memory_format=torch.channels_last_3d)
        self.training, self.validation, self.config, self.device = training, validation, config, device
        self.on_step, self.bfloat16 = on_step, False

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        count, augmentation = self.config.batch_size, self.config.augmentation
        volumes = [self.training[(step * count + n) % len(self.training)] for n in range(count)]
        crops = [
            apply_augmentation(volume.image, volume.labels, draw_augmentation(augmentation, volume.labels, generator))
            for volume in volumes
        ]
        images, labels = (torch.cat(parts).to(self.device) for parts in zip(*crops))
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bfloat16):
            logits = self.model(images)
        marginal = [marginal_logits(logit.float(), volume.unannotated) for logit, volume in zip(logits, volumes)]
        loss = dice_cross_entropy_loss(torch.stack(marginal), labels.long())
        self.on_step(step, float(loss.detach()))
        return {"loss": loss}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Return the Dice on the validation volumes of each label, and "score", their mean."""
        assert isinstance(model, FineTunedSegmenter)
        classes = 1 + len(model.config.labels)
        counts = torch.zeros(2, classes)
        for item in self.validation:
            prediction = marginal_logits(model.probabilities(item.image).log(), item.unannotated).argmax(0)
            counts += overlap_counts(prediction, item.labels, classes)
        dice = dice_of_counts(counts)[1:]
        present = counts[1, 1:] > 0
        each = {f"label_{value}": float(d) for value, d in zip(model.config.labels, dice)}
        return {"score": float(dice[present].mean()) if bool(present.any()) else 0.0, **each}


def marginal_logits(logits: torch.Tensor, unannotated: frozenset[int]) -> torch.Tensor:
    """Return logits (classes, I, J, K) with the `unannotated` classes merged into the background and excluded.

    An example without their annotation then neither confirms nor denies them (Shi et al., Marginal loss and exclusion
    loss for partially supervised multi-organ segmentation, Medical Image Analysis, 2021).
    """
    if not unannotated:
        return logits
    background = logits[sorted({0, *unannotated})].logsumexp(0)
    others = [torch.full_like(logits[c], EXCLUDED) if c in unannotated else logits[c] for c in range(1, len(logits))]
    return torch.stack([background, *others])


@dataclass(frozen=True)
class Plan:
    """steps, validations: of the whole training. bfloat16: whether that is faster here. key: of the training's inputs;
    another one makes the plan and its checkpoints useless."""

    steps: int
    validations: int
    bfloat16: bool
    key: str


def plan_training(folder: Path, key: str, task: FineTuneTask, minutes: float) -> Plan:
    """Return the plan of an interrupted training in `folder`, or a new one: as many steps and validations as fit into
    `minutes`, by timing a few of each. Deletes checkpoints of another key."""
    path = folder / "plan.json"
    if path.exists():
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["key"] == key:
            return Plan(**stored)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    step_seconds = {}
    for bfloat16 in (False, True) if _supports_bfloat16(task.device) else (False,):
        task.bfloat16 = bfloat16
        step_seconds[bfloat16] = _seconds(lambda step: task.loss(step)["loss"].backward(), 3)
    bfloat16 = step_seconds.get(True, math.inf) < step_seconds[False]
    task.model.zero_grad(set_to_none=True)
    with torch.no_grad():
        validation_seconds = _seconds(lambda _: task.validate(task.model), 1)
    seconds = 0.9 * 60 * minutes
    validations = min(MAX_VALIDATIONS, max(1, int(VALIDATION_SHARE * seconds / validation_seconds)))
    steps = max(2, int((seconds - validations * validation_seconds) / step_seconds[bfloat16]))
    plan = Plan(steps, validations, bfloat16, key)
    path.write_text(json.dumps(asdict(plan)), encoding="utf-8")
    return plan


def _supports_bfloat16(device: str) -> bool:
    return torch.cuda.is_bf16_supported() if device == "cuda" else torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _seconds(work: Callable[[int], object], times: int) -> float:
    """Return the seconds of the fastest of several runs."""
    measured = []
    for n in range(times):
        started = time.monotonic()
        work(n)
        measured.append(time.monotonic() - started)
    return min(measured)


def minutes_spent(folder: Path) -> float:
    """Return the minutes of the earlier runs of this training."""
    log = folder / "training.csv"
    if not log.exists():
        return 0.0
    with open(log, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return float(rows[-1]["seconds"]) / 60 if rows else 0.0
