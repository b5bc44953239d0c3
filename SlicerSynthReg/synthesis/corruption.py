"""Image corruptions of single slices: motion, k-space undersampling, noise, bias field, low resolution, holes, lesions.

Each is drawn as numbers and applied to planes (C, H, W) in [0, 1]; all planes of one subject share the corruption.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from SlicerSynthReg.spatial.sampling import resize, sample
from SlicerSynthReg.synthesis import draw


@dataclass(frozen=True)
class CorruptionDraw:
    """severity: 0 to 1, of this subject. seed: of the random parts."""

    severity: float
    seed: int


def draw_corruption(severity: float, generator: torch.Generator) -> CorruptionDraw:
    """Draw a corruption whose severity is within 0.15 of `severity`."""
    return CorruptionDraw(min(1.0, max(0.0, severity + draw.uniform(generator, -0.15, 0.15))), draw.seed(generator))


def smooth_noise(seed: int, shape: tuple[int, int], period: float) -> torch.Tensor:
    """Return smooth noise (H, W) with a period of about `period` pixels and an SD of about 1."""
    coarse = draw.coarse_shape(shape, period)
    field = resize(draw.noise([seed], (1, 1, *coarse)), (1, *shape))[0, 0, 0]
    return (field - field.mean()) / field.std().clamp_min(1e-6)


def downsample(planes: torch.Tensor, record: CorruptionDraw) -> torch.Tensor:
    """Average blocks of 2 to 5 pixels and interpolate back: input of super-resolution."""
    block = 2 + round(3 * record.severity)
    coarse = F.avg_pool2d(planes[None], block, ceil_mode=True)
    size = [n * block for n in coarse.shape[-2:]]
    back = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    return back[0, :, : planes.shape[-2], : planes.shape[-1]]


def add_noise_and_bias(planes: torch.Tensor, record: CorruptionDraw) -> torch.Tensor:
    """Add Gaussian noise with an SD of up to 0.2 and a bias field of up to exp(+-0.6)."""
    generator = torch.Generator().manual_seed(record.seed)
    noise = torch.randn(planes.shape, generator=generator)
    bias = smooth_noise(draw.seed(generator), (planes.shape[-2], planes.shape[-1]), 0.6 * planes.shape[-1])
    strength = 0.3 * record.severity
    return (planes * torch.exp(strength * bias.clamp(-2, 2)) + (0.02 + 0.18 * record.severity) * noise).clamp(0, 1.5)


def add_motion(planes: torch.Tensor, record: CorruptionDraw) -> torch.Tensor:
    """Replace blocks of k-space rows by those of a moved head (up to 6 pixels and 8 degrees): motion artefacts."""
    generator = torch.Generator().manual_seed(record.seed)
    rows = planes.shape[-2]
    spectrum = torch.fft.fftshift(torch.fft.fft2(planes), dim=-2)
    for _ in range(1 + round(3 * record.severity)):
        reach = 0.3 + 0.7 * record.severity
        angle = math.radians(8.0) * reach * draw.uniform(generator, -1, 1)
        shift = [6.0 * reach * draw.uniform(generator, -1, 1) for _ in range(2)]
        other = torch.fft.fftshift(torch.fft.fft2(_move(planes, angle, shift)), dim=-2)
        length = draw.integer(generator, rows // 16, max(rows // 16, rows // 5))
        start = draw.integer(generator, 0, rows - length)
        low, high = rows // 2 - rows // 24, rows // 2 + rows // 24 + 1  # the central rows determine the position
        picked = [n for n in range(start, start + length) if not low <= n < high]
        spectrum[:, picked] = other[:, picked]
    return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=-2)).abs()


def _move(planes: torch.Tensor, angle: float, shift: list[float]) -> torch.Tensor:
    height, width = planes.shape[-2:]
    i, j = torch.meshgrid(torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij")
    turned = (
        math.cos(angle) * i - math.sin(angle) * j + (height - 1) / 2 + shift[0],
        math.sin(angle) * i + math.cos(angle) * j + (width - 1) / 2 + shift[1],
    )
    index = torch.stack([torch.zeros_like(i), *turned])[None, :, None]
    return sample(planes[None, :, None], index)[0, :, 0]


def undersample_kspace(planes: torch.Tensor, record: CorruptionDraw) -> torch.Tensor:
    """Set random rows of k-space to 0 (half of them, to seven in eight), except the central ones."""
    generator = torch.Generator().manual_seed(record.seed)
    rows = planes.shape[-2]
    keep = torch.rand(rows, generator=generator) > 0.5 + 0.375 * record.severity
    middle = max(2, rows // 20)
    keep[rows // 2 - middle : rows // 2 + middle] = True
    spectrum = torch.fft.fftshift(torch.fft.fft2(planes), dim=-2) * keep[:, None]
    return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=-2)).abs()


def hole_mask(shape: tuple[int, int], record: CorruptionDraw) -> torch.Tensor:
    """Return a mask (H, W) bool of smooth blobs that cover 8 to 30 % of the pixels."""
    noise = smooth_noise(record.seed, shape, 14.0)
    return noise > torch.quantile(noise.flatten(), 0.92 - 0.22 * record.severity)


def lesion_map(inside: torch.Tensor, record: CorruptionDraw) -> torch.Tensor:
    """Return a lesion map (H, W) in [0, 1] with soft edges: one to three irregular blobs within `inside` (H, W) bool.

    Each is a disc about a random pixel of `inside` whose outline is perturbed by noise.
    """
    generator = torch.Generator().manual_seed(record.seed)
    places = inside.nonzero()
    height, width = inside.shape
    blob = torch.full((height, width), -torch.inf)
    if len(places):
        i, j = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        rough = smooth_noise(draw.seed(generator), (height, width), 8.0)
        for _ in range(draw.integer(generator, 1, 3)):
            at = places[draw.integer(generator, 0, len(places) - 1)]
            radius = (2.0 + 10.0 * record.severity) * draw.uniform(generator, 0.6, 1.2)
            away = ((i - at[0]) ** 2 + (j - at[1]) ** 2).float().sqrt()
            blob = torch.maximum(blob, radius * (1 + 0.3 * rough) - away)
    return blob.clamp(-0.5, 0.5).add(0.5) * inside
