"""Measures and simple baselines of the healthy-reconstruction benchmark."""

from __future__ import annotations

import math

import torch

from SlicerSynthReg.healthy.anomaly_map import map_contrast
from SlicerSynthReg.metrics.intensity import psnr, ssim_map
from SlicerSynthReg.metrics.roc import auc

Regions = dict[str, torch.Tensor]


def regions(brain: torch.Tensor, lesion: torch.Tensor) -> Regions:
    """Return the paper's regions (I, J, K) bool: F full brain, H its normal part, D its diseased part."""
    return {"F": brain, "H": brain & ~lesion, "D": brain & lesion}


def image_scores(prediction: torch.Tensor, truth: torch.Tensor, where: Regions, span: float = 1.0) -> dict[str, float]:
    """Return L1, PSNR and SSIM in each region; images (I, J, K) with the data range `span`."""
    ssim = ssim_map(truth[None, None].double(), prediction[None, None].double(), span)[0, 0]
    scores = {}
    for name, inside in where.items():
        if not bool(inside.any()):
            continue
        error = (prediction - truth)[inside].double()
        scores[f"L1 {name}"] = float(error.abs().mean()) / span
        scores[f"PSNR {name}"] = psnr(float(error.square().mean()), span, min_mse=1e-9)
        scores[f"SSIM {name}"] = float(ssim[inside].mean())
    return scores


def detection(score: torch.Tensor, lesion: torch.Tensor, mask: torch.Tensor) -> dict[str, float]:
    """Return the area under the ROC curve, average precision, and Dice at the best threshold of this case.

    Voxels of equal score are ranked together. {} where all voxels or none are lesion.
    """
    values, truth = score[mask].double(), lesion[mask]
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


def map_to_t1(image: torch.Tensor, truth: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
    """Return `image` mapped to T1 contrast by the median T1 at each intensity in normal tissue of the truth.

    For baselines that cannot change contrast.
    """
    return map_contrast(image, truth, normal)
