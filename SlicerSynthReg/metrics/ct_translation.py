"""Error of a translated CT against the true one (MFM, equations 6 to 8), and the HU of organs.

Slice by slice, on HU clipped to [-1000, 1000]; SSIM on values scaled to [0, 1], PSNR with a peak of 2000. The SSIM
printed in the paper is not 1 for equal images: here it has the factor 2 and the squares of its reference (Wang 2004),
with the paper's k1 = k2 = 0.01 and Gaussian windows of SD 1.5 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.metrics.intensity import psnr
from SlicerSynthReg.synthesis.ct.organs import organ_name, organ_of

LIMIT_HU, PEAK_HU = 1000.0, 2000.0
K1 = K2 = 0.01
WINDOW_SD, RADIUS = 1.5, 5
MIN_ORGAN_VOXELS = 30
MAX_CUSTOM_LABEL = 9
"""Label maps without a higher number are taken as numbered by the user, not by TotalSegmentator."""


@dataclass(frozen=True)
class SliceScores:
    """Means over slices. through_plane_hu: mean absolute error of the difference of adjacent slices, which shows as
    stripes in sagittal and coronal views; 0 for a single slice."""

    mae_hu: float
    ssim: float
    psnr_db: float
    through_plane_hu: float


@dataclass(frozen=True)
class OrganMedian:
    """Median HU, and the number of voxels it is of."""

    hu: float
    voxels: int


def slice_scores(reference: torch.Tensor, image: torch.Tensor) -> SliceScores:
    """Return the scores of `image` against `reference`, both (K, H, W) HU."""
    x, y = (stack.clamp(-LIMIT_HU, LIMIT_HU).double() for stack in (reference, image))
    error = y - x
    mse = error.square().mean((1, 2)).tolist()
    return SliceScores(
        mae_hu=float(error.abs().mean()),
        ssim=float(ssim((x + LIMIT_HU) / PEAK_HU, (y + LIMIT_HU) / PEAK_HU).mean()),
        psnr_db=sum(psnr(class_mse, PEAK_HU, min_mse=1e-12) for class_mse in mse) / len(mse),
        through_plane_hu=float(error.diff(dim=0).abs().mean()) if len(error) > 1 else 0.0,
    )


def ssim(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the mean SSIM of each slice (equation 7 with L = 1): x, y (K, H, W) in [0, 1] -> (K,)."""
    c_1, c_2 = K1**2, K2**2
    mu_x, mu_y = _window_mean(x), _window_mean(y)
    var_x, var_y = _window_mean(x * x) - mu_x**2, _window_mean(y * y) - mu_y**2
    sigma_xy = _window_mean(x * y) - mu_x * mu_y
    luminance = (2 * mu_x * mu_y + c_1) / (mu_x**2 + mu_y**2 + c_1)
    return (luminance * (2 * sigma_xy + c_2) / (var_x + var_y + c_2)).mean((1, 2))


def organ_medians(image: Image, labels: Image) -> dict[str, OrganMedian]:
    """Return the median HU by organ name, for organs of at least MIN_ORGAN_VOXELS voxels; label 0 is background.

    labels: on the grid of `image`, numbered as by TotalSegmentator; the parts of an organ are merged. Other numbers,
    and all numbers of a map without one above MAX_CUSTOM_LABEL, are called "label N". Raises GeometryError.
    """
    image.grid.require_same(labels.grid, "the label map")
    hu, numbers = image.data[0], labels.data[0]
    inside = numbers != 0
    hu, numbers = hu[inside], numbers[inside]
    parts: dict[str, list[torch.Tensor]] = {}
    known = len(numbers) > 0 and int(numbers.max()) > MAX_CUSTOM_LABEL
    for value in numbers.unique().tolist():
        name = organ_name(organ_of(value) or value) if known else f"label {value}"
        parts.setdefault(name, []).append(hu[numbers == value])
    values = {name: torch.cat(part) for name, part in parts.items()}
    return {
        name: OrganMedian(float(part.median()), len(part))
        for name, part in values.items()
        if len(part) >= MIN_ORGAN_VOXELS
    }


def _window_mean(stack: torch.Tensor) -> torch.Tensor:
    """Return the Gaussian-weighted mean around each pixel, edges replicated."""
    offsets = torch.arange(-RADIUS, RADIUS + 1, dtype=stack.dtype, device=stack.device)
    kernel = torch.exp(-0.5 * (offsets / WINDOW_SD) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(stack[:, None], (RADIUS,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))[:, 0]
