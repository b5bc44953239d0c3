"""From which difference on a voxel is marked: half of all healthy people have less than 25 ml marked.

Asked of people whom the training left out, in every modality alike; the answer is written into the model's card as
`marked_from`, where the anomaly map is 0.5.
"""

from __future__ import annotations

from statistics import median

import torch

from SlicerSynthReg.methods.una.difference import difference
from SlicerSynthReg.methods.una.model import UNA
from SlicerSynthReg.synth.healthy import HealthySample

MARKED_ML, STEP_SDS, MOST_SDS = 25.0, 0.05, 6.0


def differences(model: UNA, sample: HealthySample) -> torch.Tensor:
    """(N,) differences in SDs within the brain, but for what the labels themselves call sick."""
    t1 = model(sample.image, sample.mirrored).t1[0, 0].clamp_min(0)
    brain = sample.brain[0, 0] > 0.5
    return difference(t1, sample.image[0, 0], brain)[brain & (sample.anomaly[0, 0] < 0.5)]


def marked_from(well: dict[str, list[torch.Tensor]], voxel_ml: float) -> dict[str, float]:
    """well: modality -> differences in each healthy person. Returns the threshold, in SDs, and the median ml that it
    marks in each modality."""
    everyone = [values for one in well.values() for values in one]

    def ml(values: torch.Tensor, threshold: float) -> float:
        return float((values >= threshold).sum()) * voxel_ml

    threshold = STEP_SDS
    while threshold < MOST_SDS and median(ml(values, threshold) for values in everyone) >= MARKED_ML:
        threshold += STEP_SDS
    marked = {name: round(median(ml(values, threshold) for values in one), 1) for name, one in well.items()}
    return {"marked_from, SDs": round(threshold, 2), **{f"ml, {name}": volume for name, volume in marked.items()}}
