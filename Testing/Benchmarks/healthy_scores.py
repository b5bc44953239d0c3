"""What the healthy brain's benchmark measures, and its simple baselines."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from SlicerSynthReg.evaluate.intensity import ssim_map
from SlicerSynthReg.methods.una.difference import expressed
from SlicerSynthReg.space.smoothing import box_mean

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
    """Area under the ROC curve, average precision, and Dice at the threshold that is best for this case."""
    values, truth = score[where].double(), sick[where]
    order = values.argsort(descending=True)
    hits = truth[order].double().cumsum(0)
    count, positives = torch.arange(1, len(hits) + 1).double(), float(truth.sum())
    if positives in (0.0, float(len(hits))):
        return {}
    ranks = torch.from_numpy(np.argsort(np.argsort(values.numpy(), kind="stable"))).double() + 1
    auc = (float(ranks[truth].sum()) - positives * (positives + 1) / 2) / (positives * (len(hits) - positives))
    precision = float((hits / count * truth[order]).sum() / positives)
    return {"AUC": auc, "AP": precision, "best Dice": float((2 * hits / (count + positives)).max())}


def filled(image: torch.Tensor, hole: torch.Tensor, sweeps: int = 400) -> torch.Tensor:
    """Linear in-painting: inside `hole` the harmonic function of its rim (a straight ramp between two walls)."""
    nearest = distance_transform_edt(hole.numpy(), return_distances=False, return_indices=True)
    field = torch.where(hole, image[tuple(nearest)], image)
    rim = hole.nonzero()
    if not len(rim):
        return field
    low, high = (rim.min(0).values - 2).clamp_min(0), rim.max(0).values + 3
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high))
    part, inside = field[box], hole[box]
    for _ in range(sweeps):
        part = torch.where(inside, (27 * box_mean(part[None, None], 1)[0, 0] - part) / 26, part)
    field[box] = part
    return field


def in_t1(image: torch.Tensor, truth: torch.Tensor, healthy: torch.Tensor) -> torch.Tensor:
    """A baseline that cannot change contrast is given the best change there is: the median T1 of each of its
    intensities, read from the truth where it is healthy."""
    return expressed(image, truth, healthy)
