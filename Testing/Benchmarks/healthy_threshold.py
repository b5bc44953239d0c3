"""From which difference on a voxel is marked, in medians of the scan's own differences.

Asked of people whom the training left out, in health and with unseen lesions, in every modality alike: best is where
the Dice of the sick, less the share of the brain that is marked in the healthy, is greatest. The answer goes into the
model's card as `marked_medians`; the best difference that is the same for all scans stands beside it.
"""

from __future__ import annotations

from statistics import mean, median

import torch

from SlicerSynthReg.methods.una.difference import difference, marked_from
from SlicerSynthReg.methods.una.model import UNA
from SlicerSynthReg.synth.healthy import HealthySample

MEDIANS = (2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)
SDS = (0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5)
Found = tuple[torch.Tensor, torch.Tensor]
"""Differences (N,) in SDs within a brain, and which of them are sick (N,) bool."""


def differences(model: UNA, sample: HealthySample) -> Found:
    t1 = model(sample.image, sample.mirrored).t1[0, 0].clamp_min(0)
    brain = sample.brain[0, 0] > 0.5
    return difference(t1, sample.image[0, 0], brain)[brain], sample.anomaly[0, 0][brain] > 0.5


def thresholds(well: dict[str, list[Found]], sick: dict[str, list[Found]], voxel_ml: float) -> dict[str, object]:
    """well, sick: modality -> people. The best of MEDIANS and of SDS, with what each does."""

    def judged(by_scan: bool, factor: float) -> dict[str, object]:
        def marked(away: torch.Tensor) -> torch.Tensor:
            everywhere = torch.ones_like(away, dtype=torch.bool)
            return away >= (marked_from(away, everywhere, factor) if by_scan else factor)

        dice = {name: mean(_dice(marked(away), truth) for away, truth in one) for name, one in sick.items()}
        false = {name: median(_false(marked(away), truth) for away, truth in one) for name, one in well.items()}
        size = mean(len(away) for one in well.values() for away, _ in one)
        return {
            "from": factor,
            "score": mean(dice.values()) - mean(false.values()) / size,
            "Dice": {name: round(value, 3) for name, value in dice.items()},
            "ml in the healthy": {name: round(count * voxel_ml, 1) for name, count in false.items()},
        }

    return {
        "medians of each scan": max((judged(True, one) for one in MEDIANS), key=lambda row: float(str(row["score"]))),
        "SDs, the same for all": max((judged(False, one) for one in SDS), key=lambda row: float(str(row["score"]))),
    }


def _dice(marked: torch.Tensor, truth: torch.Tensor) -> float:
    return 2 * float((marked & truth).sum()) / max(1.0, float(marked.sum() + truth.sum()))


def _false(marked: torch.Tensor, truth: torch.Tensor) -> float:
    """Voxels; what the labels themselves call sick is none."""
    return float((marked & ~truth).sum())
