"""Fine-tuning as a task of the training loop: Dice and cross-entropy on augmented crops of a few volumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from SlicerSynthReg.methods.finetune.augment import AugmentConfig, augmented, draw_augment
from SlicerSynthReg.methods.finetune.model import FineTuned
from SlicerSynthReg.train.anatomy import label_loss


@dataclass(frozen=True, eq=False)
class Annotated:
    """One volume: image (I, J, K) in [0, 1], labels (I, J, K) class indices, 0 the background."""

    image: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class FineTuneConfig:
    """crops: in a batch."""

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    crops: int = 2


class FineTuneTask:
    """known: volumes to learn from; left_out: those that choose the checkpoint. watch: called with the step and its
    loss; what it raises ends the training."""

    def __init__(
        self,
        model: FineTuned,
        known: Sequence[Annotated],
        left_out: Sequence[Annotated],
        config: FineTuneConfig,
        device: str = "cpu",
        watch: Callable[[int, float], None] = lambda step, loss: None,
    ) -> None:
        self.model = model.to(device).to(memory_format=torch.channels_last_3d)
        self.known, self.left_out, self.config, self.device, self.watch = known, left_out, config, device, watch

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        crops = []
        for n in range(self.config.crops):
            one = self.known[(step * self.config.crops + n) % len(self.known)]
            crops.append(augmented(one.image, one.labels, draw_augment(self.config.augment, one.labels, generator)))
        images, labels = (torch.cat(parts).to(self.device) for parts in zip(*crops))
        loss = label_loss(self.model(images), labels.long())
        self.watch(step, float(loss.detach()))
        return {"loss": loss}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Hard Dice on the volumes left out: of each label, by its place, and "score", their mean."""
        assert isinstance(model, FineTuned)
        classes = 1 + len(model.config.labels)
        both, sizes = torch.zeros(classes), torch.zeros(classes)
        for one in self.left_out:
            found = model.probabilities(one.image).argmax(0).flatten()
            truth = one.labels.flatten().long()
            both += torch.bincount(found[found == truth], minlength=classes)
            sizes += torch.bincount(found, minlength=classes) + torch.bincount(truth, minlength=classes)
        dice = (2 * both / sizes.clamp_min(1))[1:]
        present = sizes[1:] > 0
        each = {f"label_{value}": float(d) for value, d in zip(model.config.labels, dice)}
        return {"score": float(dice[present].mean()) if bool(present.any()) else 0.0, **each}
