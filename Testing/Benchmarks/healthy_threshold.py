"""From how much evidence of an anomaly on a voxel is marked: its difference in SDs times the network's probability.

Asked of people whom the training left out, in health and with unseen lesions, in every modality alike: best is where
the Dice of the sick, less the share of the brain that is marked in the healthy, is greatest. The answer goes into the
model's card as `marked`.
"""

from __future__ import annotations

from statistics import mean, median

import torch

from SlicerSynthReg.methods.una.difference import difference
from SlicerSynthReg.methods.una.model import UNA
from SlicerSynthReg.synth.healthy import HealthySample

MARKED = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.5, 0.7, 1.0)
Found = tuple[torch.Tensor, torch.Tensor]
"""Evidence (N,) within a brain, and which of its voxels are sick (N,) bool."""


def evidence(model: UNA, sample: HealthySample) -> Found:
    found, brain = model(sample.image, sample.mirrored), sample.brain[0, 0] > 0.5
    away = difference(found.t1[0, 0].clamp_min(0), sample.image[0, 0], brain)
    return (away * torch.sigmoid(found.anomaly_logit[0, 0]))[brain], sample.anomaly[0, 0][brain] > 0.5


def thresholds(well: dict[str, list[Found]], sick: dict[str, list[Found]], voxel_ml: float) -> list[dict[str, object]]:
    """well, sick: modality -> people. What each of MARKED does, the best first."""

    def judged(marked: float) -> dict[str, object]:
        dice = {name: mean(_dice(seen >= marked, truth) for seen, truth in one) for name, one in sick.items()}
        false = {name: median(_false(seen >= marked, truth) for seen, truth in one) for name, one in well.items()}
        size = mean(len(seen) for one in well.values() for seen, _ in one)
        return {
            "marked": marked,
            "score": mean(dice.values()) - mean(false.values()) / size,
            "Dice": {name: round(value, 3) for name, value in dice.items()},
            "ml in the healthy": {name: round(count * voxel_ml, 1) for name, count in false.items()},
        }

    return sorted((judged(one) for one in MARKED), key=lambda row: -float(str(row["score"])))


def _dice(marked: torch.Tensor, truth: torch.Tensor) -> float:
    return 2 * float((marked & truth).sum()) / max(1.0, float(marked.sum() + truth.sum()))


def _false(marked: torch.Tensor, truth: torch.Tensor) -> float:
    """Voxels; what the labels themselves call sick is none."""
    return float((marked & ~truth).sum())
