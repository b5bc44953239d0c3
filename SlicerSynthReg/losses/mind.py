"""MIND-SSC: modality-independent neighbourhood descriptor with self-similarity context (Heinrich et al. 2013)."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from SlicerSynthReg.spatial.smoothing import box_mean

NEIGHBOURS = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))
PAIRS = tuple((a, b) for a in range(6) for b in range(a + 1, 6) if NEIGHBOURS[a] != tuple(-n for n in NEIGHBOURS[b]))


def mind_ssc(image: torch.Tensor, radius: int = 1, dilation: int = 2) -> torch.Tensor:
    """Return the descriptor (B, 12, I, J, K) in (0, 1] of an image (B, 1, I, J, K).

    For each of the 12 pairs of neighbours (`dilation` voxels away along the axes) that are sqrt(2) apart: patch
    distance D over a box of `radius`, and exp(-(D - min D) / V), with V the mean of D - min D, limited to a factor of
    1000 about its average over the image.
    """
    i, j, k = image.shape[2:]
    padded = F.pad(image, (dilation,) * 6, mode="replicate")
    shifted = [
        padded[
            :,
            :,
            dilation * (1 + a) : dilation * (1 + a) + i,
            dilation * (1 + b) : dilation * (1 + b) + j,
            dilation * (1 + c) : dilation * (1 + c) + k,
        ]
        for a, b, c in NEIGHBOURS
    ]
    distance = box_mean(torch.cat([(shifted[a] - shifted[b]).square() for a, b in PAIRS], 1), radius)
    distance = distance - distance.amin(1, keepdim=True)
    variance = distance.mean(1, keepdim=True)
    average = variance.mean(dim=(1, 2, 3, 4), keepdim=True)
    variance = torch.maximum(torch.minimum(variance, average * 1e3), average * 1e-3).clamp_min(1e-12)
    return torch.exp(-distance / variance)
