"""What the healthy brain's benchmark measures, and its simple baselines."""

from __future__ import annotations

import math

import torch

from SlicerSynthReg.evaluate.auc import auc
from SlicerSynthReg.evaluate.intensity import ssim_map
from SlicerSynthReg.methods.una.difference import expressed

Regions = dict[str, torch.Tensor]


def regions(brain: torch.Tensor, sick: torch.Tensor) -> Regions:
    """The paper's: F full brain, H its healthy part, D its diseased part; (I, J, K) bool."""
    return {"F": brain, "H": brain & ~sick, "D": brain & sick}


def likeness(found: torch.Tensor, truth: torch.Tensor, where: Regions, span: float = 1.0) -> dict[str, float]:
    """L1, PSNR and SSIM in each region; images (I, J, K) on a scale of `span`."""
    ssim = ssim_map(truth[None, None].double(), found[None, None].double(), span)[0, 0]
    scores = {}
    for name, inside in where.items():
        if not bool(inside.any()):
            continue
        error = (found - truth)[inside].double()
        scores[f"L1 {name}"] = float(error.abs().mean()) / span
        scores[f"PSNR {name}"] = 10 * math.log10(span**2 / max(float(error.square().mean()), 1e-9))
        scores[f"SSIM {name}"] = float(ssim[inside].mean())
    return scores


def detection(score: torch.Tensor, sick: torch.Tensor, where: torch.Tensor) -> dict[str, float]:
    """Area under the ROC curve, average precision, and Dice at the threshold that is best for this case. Voxels of one
    score are ranked together; {} where all voxels are sick, or none."""
    values, truth = score[where].double(), sick[where]
    area = auc(values.numpy(), truth.numpy())
    if math.isnan(area):
        return {}
    values, order = values.sort(descending=True)
    last = torch.cat([values[1:] != values[:-1], torch.ones(1, dtype=torch.bool)])  # of each run of equal scores
    hits = truth[order].double().cumsum(0)[last]
    count, positives = torch.arange(1, len(values) + 1).double()[last], float(truth.sum())
    gained = torch.diff(hits, prepend=hits.new_zeros(1))
    precision = float((hits / count * gained).sum() / positives)
    return {"AUC": area, "AP": precision, "best Dice": float((2 * hits / (count + positives)).max())}


def in_t1(image: torch.Tensor, truth: torch.Tensor, healthy: torch.Tensor) -> torch.Tensor:
    """A baseline that cannot change contrast is given the best change there is: the median T1 of each of its
    intensities, read from the truth where it is healthy."""
    return expressed(image, truth, healthy)
