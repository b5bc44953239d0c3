"""Similarity of two images of the same contrast, such as a synthetic image and the true one: MAE, PSNR, SSIM."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.image import Image, mask_voxels
from SlicerSynthReg.spatial.smoothing import gaussian

WINDOW_SD_VOX = 1.5
K1, K2 = 0.01, 0.03


@dataclass(frozen=True)
class IntensityDifference:
    """mae: mean absolute error in the images' unit. psnr_db: in dB, infinite for equal images. ssim: -1 to 1."""

    mae: float
    psnr_db: float
    ssim: float


def intensity_difference(
    reference: Image, image: Image, mask: Image | None = None, data_range: float | None = None
) -> IntensityDifference:
    """Return MAE, PSNR and SSIM of `image` against `reference` over `mask` (None for every voxel).

    reference, image: scalar images on one grid. data_range L: span of values that PSNR and SSIM refer to (default:
    maximum minus minimum of `reference` within the mask; state it to compare across subjects). SSIM as in Wang 2004,
    eq. 13, in 3-D: Gaussian window of SD 1.5 voxels and width 11 voxels, K1 = 0.01, K2 = 0.03; its map is computed from
    the whole images and then averaged over the mask, so that the mask's edge adds no structure.
    Raises GeometryError (grid-mismatch); ImageError (channel-mismatch, constant-image, mask-empty).
    """
    reference.grid.require_same(image.grid, "the image")
    if "labels" in (reference.kind, image.kind) or reference.data.shape != image.data.shape:
        raise ImageError(
            f"Found {reference.kind} of shape {tuple(reference.data.shape)} and {image.kind} of "
            f"{tuple(image.data.shape)}, expected two scalar images with the same channels. For labels use Dice.",
            code="channel-mismatch",
        )
    inside = mask_voxels(reference.grid, mask)
    x, y = reference.data.cpu().double(), image.data.cpu().double()
    values = x[:, inside]
    span = float(values.max() - values.min()) if data_range is None else float(data_range)
    if not span > 0:
        raise ImageError(
            f"Found a data range of {span}, expected a positive one. Give data_range, or a wider mask.",
            code="constant-image",
        )
    difference = values - y[:, inside]
    similarity = ssim_map(x[None], y[None], span)[0]
    return IntensityDifference(
        float(difference.abs().mean()),
        psnr(float((difference**2).mean()), span),
        float(similarity[:, inside].mean()),
    )


def psnr(mse: float, peak: float = 1.0, min_mse: float = 0.0) -> float:
    """Return the peak signal-to-noise ratio 10 log10(peak^2 / mse) in dB; infinite for mse = 0.

    min_mse: lower bound of the mean squared error, which keeps means over several images finite.
    """
    mse = max(mse, min_mse)
    return 10 * math.log10(peak**2 / mse) if mse else math.inf


def ssim_map(x: torch.Tensor, y: torch.Tensor, data_range: float) -> torch.Tensor:
    """Return SSIM at each voxel (Wang 2004, eq. 13; edges repeated): x, y (B, C, I, J, K) -> the same shape."""
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    mean_x, mean_y = gaussian(x, WINDOW_SD_VOX), gaussian(y, WINDOW_SD_VOX)
    var_x = gaussian(x * x, WINDOW_SD_VOX) - mean_x**2
    var_y = gaussian(y * y, WINDOW_SD_VOX) - mean_y**2
    cov = gaussian(x * y, WINDOW_SD_VOX) - mean_x * mean_y
    return (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
