"""How near a translated CT is to the true one: the measures of MFM (equations 6 to 8), slice by slice.

All on HU clipped to [-1000, 1000]; SSIM on values shifted and scaled to [0, 1], PSNR with a maximum of 2000. Printed
as it is, the paper's SSIM of two equal images is not 1: ours has the factor 2 and the squares of its reference
(Wang 2004) and the paper's k1 = k2 = 0.01, over Gaussian windows of 1.5 pixels SD.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

LIMIT_HU, MAXIMUM = 1000.0, 2000.0
K1 = K2 = 0.01
WINDOW_SD, RADIUS = 1.5, 5


@dataclass(frozen=True)
class SliceScores:
    """Means over the slices. through_hu: mean absolute error of the difference between neighbouring slices, which is
    what sagittal and coronal views show as stripes; 0 for a single slice."""

    mae_hu: float
    ssim: float
    psnr_db: float
    through_hu: float


def slice_scores(truth: torch.Tensor, image: torch.Tensor) -> SliceScores:
    """truth, image: (K, H, W) HU."""
    x, y = (stack.clamp(-LIMIT_HU, LIMIT_HU).double() for stack in (truth, image))
    error = y - x
    mse = error.square().mean((1, 2)).clamp_min(1e-12)
    return SliceScores(
        mae_hu=float(error.abs().mean()),
        ssim=float(ssim((x + LIMIT_HU) / MAXIMUM, (y + LIMIT_HU) / MAXIMUM).mean()),
        psnr_db=float((20 * torch.log10(MAXIMUM / mse.sqrt())).mean()),
        through_hu=float(error.diff(dim=0).abs().mean()) if len(error) > 1 else 0.0,
    )


def ssim(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(K, H, W) in [0, 1] -> (K,), means of the map over each slice (equation 7 with L = 1)."""
    c_1, c_2 = K1**2, K2**2
    mu_x, mu_y = _windowed(x), _windowed(y)
    var_x, var_y = _windowed(x * x) - mu_x**2, _windowed(y * y) - mu_y**2
    sigma_xy = _windowed(x * y) - mu_x * mu_y
    luminance = (2 * mu_x * mu_y + c_1) / (mu_x**2 + mu_y**2 + c_1)
    return (luminance * (2 * sigma_xy + c_2) / (var_x + var_y + c_2)).mean((1, 2))


def _windowed(stack: torch.Tensor) -> torch.Tensor:
    """Gaussian mean around each pixel, edges repeated."""
    offsets = torch.arange(-RADIUS, RADIUS + 1, dtype=stack.dtype, device=stack.device)
    kernel = torch.exp(-0.5 * (offsets / WINDOW_SD) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(stack[:, None], (RADIUS,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))[:, 0]
