"""Image similarities as losses: mean squared error, local NCC, normalised mutual information."""

from __future__ import annotations

import torch

from SlicerSynthReg.spatial.smoothing import box_mean


def mean_squared_error(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the mean squared difference of a, b (B, C, I, J, K)."""
    return ((a - b) ** 2).mean()


def local_ncc_loss(a: torch.Tensor, b: torch.Tensor, radius: int = 4) -> torch.Tensor:
    """Return 1 - mean squared local correlation in (2 radius + 1)^3 windows (VoxelMorph's NCC); a, b (B, 1, I, J,
    K)."""
    return 1 - local_ncc(a, b, radius).mean()


def local_ncc(a: torch.Tensor, b: torch.Tensor, radius: int = 4) -> torch.Tensor:
    """Return the squared correlation (B, 1, I, J, K) in the window about each voxel; a, b (B, 1, I, J, K)."""
    means = box_mean(torch.cat([a, b, a * a, b * b, a * b], 1), radius)
    ma, mb, maa, mbb, mab = means.split(1, 1)
    cross = mab - ma * mb
    floor = 1e-5 / (2 * radius + 1) ** 6  # VoxelMorph adds 1e-5 to a product of window sums; these are means
    return cross * cross / ((maa - ma * ma).clamp_min(0) * (mbb - mb * mb).clamp_min(0) + floor)


def nmi_loss(a: torch.Tensor, b: torch.Tensor, bins: int = 32) -> torch.Tensor:
    """Return 1 - (H(a) + H(b) - H(a, b)) / mean(H(a), H(b)), Parzen windows on [0, 1]; a, b (B, 1, I, J, K).

    1 for independence; for a one-to-one relation lowest but not 0, since the windows overlap: about 0.45 for an image
    and itself (32 bins, smooth intensities).
    """
    centers = torch.linspace(0, 1, bins, device=a.device)
    sd = 0.5 / (bins - 1)
    joint = torch.zeros((a.shape[0], bins, bins), device=a.device)
    for row, (x, y) in enumerate(zip(a.flatten(1), b.flatten(1))):
        weights = [torch.exp(-0.5 * ((values[:, None] - centers) / sd) ** 2) for values in (x, y)]
        p, q = (w / w.sum(1, keepdim=True).clamp_min(1e-12) for w in weights)
        joint[row] = p.T @ q / len(x)
    h_joint = _entropy(joint.flatten(1))
    h_a, h_b = _entropy(joint.sum(2)), _entropy(joint.sum(1))
    return (1 - 2 * (h_a + h_b - h_joint) / (h_a + h_b).clamp_min(1e-6)).mean()


def _entropy(p: torch.Tensor) -> torch.Tensor:
    return -(p * p.clamp_min(1e-12).log()).sum(1)
