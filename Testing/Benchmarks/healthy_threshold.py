"""Threshold of the evidence of an anomaly: the difference in SDs times the network's probability.

Fitted on validation subjects, healthy and with unseen lesions, with equal weight of every modality. The best threshold
maximises the Dice of lesions less the fraction of the brain that is marked in healthy subjects. It is the model card's
`anomaly_threshold`.
"""

from __future__ import annotations

from statistics import mean, median

import torch

from SlicerSynthReg.healthy.anomaly_map import normalised_difference
from SlicerSynthReg.healthy.una import UNA
from SlicerSynthReg.metrics.overlap import dice
from SlicerSynthReg.synthesis.lesion_head import UNASample

THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.5, 0.7, 1.0)
Evidence = tuple[torch.Tensor, torch.Tensor]
"""Evidence (N,) within a brain, and its lesion voxels (N,) bool."""


def evidence(model: UNA, sample: UNASample) -> Evidence:
    """Return the evidence of one sample."""
    output, brain = model(sample.image, sample.mirrored), sample.brain[0, 0] > 0.5
    difference = normalised_difference(output.t1[0, 0].clamp_min(0), sample.image[0, 0], brain)
    return (difference * torch.sigmoid(output.anomaly_logit[0, 0]))[brain], sample.anomaly[0, 0][brain] > 0.5


def thresholds(
    healthy: dict[str, list[Evidence]], lesions: dict[str, list[Evidence]], voxel_ml: float
) -> list[dict[str, object]]:
    """Return the scores of each threshold, best first. healthy, lesions: modality -> subjects."""

    def evaluate(threshold: float) -> dict[str, object]:
        dice = {
            name: mean(dice(seen >= threshold, truth, empty=0.0) for seen, truth in one)
            for name, one in lesions.items()
        }
        false = {
            name: median(_false_positives(seen >= threshold, truth) for seen, truth in one)
            for name, one in healthy.items()
        }
        size = mean(len(seen) for one in healthy.values() for seen, _ in one)
        return {
            "threshold": threshold,
            "score": mean(dice.values()) - mean(false.values()) / size,
            "Dice": {name: round(value, 3) for name, value in dice.items()},
            "ml in the healthy": {name: round(count * voxel_ml, 1) for name, count in false.items()},
        }

    return sorted((evaluate(one) for one in THRESHOLDS), key=lambda row: -float(str(row["score"])))


def _false_positives(marked: torch.Tensor, truth: torch.Tensor) -> float:
    """Return the number of falsely marked voxels."""
    return float((marked & ~truth).sum())
