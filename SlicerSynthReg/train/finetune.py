"""Fine-tuning as a task of the training loop: Dice and cross-entropy on augmented crops of a few volumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from SlicerSynthReg.methods.finetune.augment import AugmentConfig, augmented, draw_augment
from SlicerSynthReg.methods.finetune.model import FineTuned
from SlicerSynthReg.train.anatomy import label_loss

IMPOSSIBLE = -50.0
"""As a logit."""


@dataclass(frozen=True, eq=False)
class Annotated:
    """One volume: image (I, J, K) in [0, 1], labels (I, J, K) class indices, 0 the background. untold: classes that
    nobody drew in it: they lie somewhere in what seems background."""

    image: torch.Tensor
    labels: torch.Tensor
    untold: frozenset[int] = frozenset()


@dataclass(frozen=True)
class FineTuneConfig:
    """crops: in a batch."""

    augment: AugmentConfig = field(default_factory=AugmentConfig)
    crops: int = 1


class FineTuneTask:
    """known: volumes to learn from; left_out: those that choose the checkpoint. watch: called with the step and its
    loss; what it raises ends the training. half: whether a step computes in bfloat16."""

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
        self.half = False

    def loss(self, step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(step)
        crops = self.config.crops
        seen = [self.known[(step * crops + n) % len(self.known)] for n in range(crops)]
        drawn = [augmented(e.image, e.labels, draw_augment(self.config.augment, e.labels, generator)) for e in seen]
        images, labels = (torch.cat(parts).to(self.device) for parts in zip(*drawn))
        with torch.autocast(self.device, torch.bfloat16, enabled=self.half):
            logits = self.model(images)
        loss = label_loss(torch.stack([merged(one.float(), e.untold) for one, e in zip(logits, seen)]), labels.long())
        self.watch(step, float(loss.detach()))
        return {"loss": loss}

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Hard Dice on the volumes left out: of each label, by its place, and "score", their mean."""
        assert isinstance(model, FineTuned)
        classes = 1 + len(model.config.labels)
        both, sizes = torch.zeros(classes), torch.zeros(classes)
        for one in self.left_out:
            found = merged(model.probabilities(one.image).log(), one.untold).argmax(0).flatten()
            truth = one.labels.flatten().long()
            both += torch.bincount(found[found == truth], minlength=classes)
            sizes += torch.bincount(found, minlength=classes) + torch.bincount(truth, minlength=classes)
        dice = (2 * both / sizes.clamp_min(1))[1:]
        present = sizes[1:] > 0
        each = {f"label_{value}": float(d) for value, d in zip(model.config.labels, dice)}
        return {"score": float(dice[present].mean()) if bool(present.any()) else 0.0, **each}


def merged(logits: torch.Tensor, untold: frozenset[int]) -> torch.Tensor:
    """Logits (classes, I, J, K) whose background is also that of the `untold` classes, which become impossible: an
    example in which they were not drawn then neither confirms nor denies them (Shi et al., Marginal loss and exclusion
    loss for partially supervised multi-organ segmentation, Medical Image Analysis, 2021)."""
    if not untold:
        return logits
    classes = sorted({0, *untold})
    told = [logits[classes].logsumexp(0)] + [
        torch.full_like(logits[c], IMPOSSIBLE) if c in untold else logits[c] for c in range(1, len(logits))
    ]
    return torch.stack(told)
