"""Likeness of two images of the same contrast, such as a synthesised image and the true one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from SlicerSynthReg.evaluate.mask import mask_on
from SlicerSynthReg.space.smoothing import gaussian
from SlicerSynthReg.volume.volume import Volume, VolumeError

WINDOW_SD_VOX = 1.5
K1, K2 = 0.01, 0.03


@dataclass(frozen=True)
class IntensityDifference:
    """mae: mean absolute difference in the images' unit. psnr_db: decibel, infinite for equal images. ssim: -1 to 1."""

    mae: float
    psnr_db: float
    ssim: float


def intensity_difference(
    reference: Volume, image: Volume, mask: Volume | None = None, data_range: float | None = None
) -> IntensityDifference:
    """MAE, PSNR and SSIM of `image` against `reference` over `mask` (None for every voxel).

    Both are scalar volumes on one grid. data_range L: span of values that PSNR and SSIM refer to (default: greatest
    minus least of `reference` inside the mask; state it when comparing across people). SSIM as in Wang 2004, eq. 13, in
    3-D: Gaussian window of 1.5 voxels SD and 11 voxels width, K1 = 0.01, K2 = 0.03; its map is made from the whole
    images and then averaged over the mask, so that the mask's edge adds no false structure.
    Errors: GeometryError for two grids; VolumeError for labels, unequal channels or a constant reference.
    """
    reference.grid.require_same(image.grid, "the image")
    if "labels" in (reference.kind, image.kind) or reference.data.shape != image.data.shape:
        raise VolumeError(
            f"Found {reference.kind} of shape {tuple(reference.data.shape)} and {image.kind} of "
            f"{tuple(image.data.shape)}, expected two scalar volumes with the same channels. For labels use Dice."
        )
    inside = mask_on(reference.grid, mask)
    x, y = reference.data.cpu().double(), image.data.cpu().double()
    values = x[:, inside]
    span = float(values.max() - values.min()) if data_range is None else float(data_range)
    if not span > 0:
        raise VolumeError(f"Found a data range of {span}, expected a positive one. Give data_range, or a wider mask.")
    difference = values - y[:, inside]
    mse = float((difference**2).mean())
    psnr = 10 * math.log10(span**2 / mse) if mse else math.inf
    similarity = ssim_map(x[None], y[None], span)[0]
    return IntensityDifference(float(difference.abs().mean()), psnr, float(similarity[:, inside].mean()))


def ssim_map(x: torch.Tensor, y: torch.Tensor, data_range: float) -> torch.Tensor:
    """SSIM at each voxel: x, y (B, C, I, J, K) -> the same shape (Wang 2004, eq. 13; edges repeated)."""
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    mean_x, mean_y = gaussian(x, WINDOW_SD_VOX), gaussian(y, WINDOW_SD_VOX)
    var_x = gaussian(x * x, WINDOW_SD_VOX) - mean_x**2
    var_y = gaussian(y * y, WINDOW_SD_VOX) - mean_y**2
    cov = gaussian(x * y, WINDOW_SD_VOX) - mean_x * mean_y
    return (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
