"""What goes wrong with images, slice by slice: motion, missing k-space, noise, bias, coarse voxels, holes, lesions.

Each is drawn as plain numbers and applied to planes (C, H, W) in [0, 1]; all planes of one person share the damage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from SlicerSynthReg.space.sampling import resize, sample
from SlicerSynthReg.synth import draw


@dataclass(frozen=True)
class DamageDraw:
    """severity: 0 to 1, how bad it is for this person. seed: of whatever is random in it."""

    severity: float
    seed: int


def draw_damage(severity: float, generator: torch.Generator) -> DamageDraw:
    """About as bad as `severity` says."""
    return DamageDraw(min(1.0, max(0.0, severity + draw.uniform(generator, -0.15, 0.15))), draw.seed(generator))


def smooth_noise(seed: int, shape: tuple[int, int], period: float) -> torch.Tensor:
    """(H, W) smooth noise whose blobs are about `period` pixels wide, SD about 1."""
    coarse = draw.coarse_shape(shape, period)
    field = resize(draw.noise([seed], (1, 1, *coarse)), (1, *shape))[0, 0, 0]
    return (field - field.mean()) / field.std().clamp_min(1e-6)


def coarsened(planes: torch.Tensor, damage: DamageDraw) -> torch.Tensor:
    """Averaged over blocks of 2 to 5 pixels and interpolated back: what super-resolution is to undo."""
    block = 2 + round(3 * damage.severity)
    coarse = F.avg_pool2d(planes[None], block, ceil_mode=True)
    size = [n * block for n in coarse.shape[-2:]]
    back = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    return back[0, :, : planes.shape[-2], : planes.shape[-1]]


def noisy_and_biased(planes: torch.Tensor, damage: DamageDraw) -> torch.Tensor:
    """Gaussian noise of SD up to 0.2 and a smooth factor up to exp(+-0.6)."""
    generator = torch.Generator().manual_seed(damage.seed)
    noise = torch.randn(planes.shape, generator=generator)
    bias = smooth_noise(draw.seed(generator), (planes.shape[-2], planes.shape[-1]), 0.6 * planes.shape[-1])
    strength = 0.3 * damage.severity
    return (planes * torch.exp(strength * bias.clamp(-2, 2)) + (0.02 + 0.18 * damage.severity) * noise).clamp(0, 1.5)


def moved_while_scanned(planes: torch.Tensor, damage: DamageDraw) -> torch.Tensor:
    """Stretches of k-space's rows were measured after the head had moved (up to 6 pixels and 8 degrees)."""
    generator = torch.Generator().manual_seed(damage.seed)
    rows = planes.shape[-2]
    spectrum = torch.fft.fftshift(torch.fft.fft2(planes), dim=-2)
    for _ in range(1 + round(3 * damage.severity)):
        reach = 0.3 + 0.7 * damage.severity
        angle = math.radians(8.0) * reach * draw.uniform(generator, -1, 1)
        shift = [6.0 * reach * draw.uniform(generator, -1, 1) for _ in range(2)]
        other = torch.fft.fftshift(torch.fft.fft2(_moved(planes, angle, shift)), dim=-2)
        length = draw.integer(generator, rows // 16, max(rows // 16, rows // 5))
        start = draw.integer(generator, 0, rows - length)
        low, high = rows // 2 - rows // 24, rows // 2 + rows // 24 + 1  # the middle rows say where the head lies
        picked = [n for n in range(start, start + length) if not low <= n < high]
        spectrum[:, picked] = other[:, picked]
    return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=-2)).abs()


def _moved(planes: torch.Tensor, angle: float, shift: list[float]) -> torch.Tensor:
    height, width = planes.shape[-2:]
    i, j = torch.meshgrid(torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij")
    turned = (
        math.cos(angle) * i - math.sin(angle) * j + (height - 1) / 2 + shift[0],
        math.sin(angle) * i + math.cos(angle) * j + (width - 1) / 2 + shift[1],
    )
    index = torch.stack([torch.zeros_like(i), *turned])[None, :, None]
    return sample(planes[None, :, None], index)[0, :, 0]


def undersampled(planes: torch.Tensor, damage: DamageDraw) -> torch.Tensor:
    """Random rows of k-space were never measured (half of them, to seven in eight), the middle ones were."""
    generator = torch.Generator().manual_seed(damage.seed)
    rows = planes.shape[-2]
    keep = torch.rand(rows, generator=generator) > 0.5 + 0.375 * damage.severity
    middle = max(2, rows // 20)
    keep[rows // 2 - middle : rows // 2 + middle] = True
    spectrum = torch.fft.fftshift(torch.fft.fft2(planes), dim=-2) * keep[:, None]
    return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=-2)).abs()


def holes(shape: tuple[int, int], damage: DamageDraw) -> torch.Tensor:
    """(H, W) bool: smooth blobs, 8 to 30 % of the pixels."""
    noise = smooth_noise(damage.seed, shape, 14.0)
    return noise > torch.quantile(noise.flatten(), 0.92 - 0.22 * damage.severity)


def lesion(inside: torch.Tensor, damage: DamageDraw) -> torch.Tensor:
    """(H, W) in 0..1, soft at its edge: one irregular blob, or a few, within `inside` (H, W) bool.

    A disc about a random place of `inside`, its outline pushed about by noise.
    """
    generator = torch.Generator().manual_seed(damage.seed)
    places = inside.nonzero()
    height, width = inside.shape
    blob = torch.full((height, width), -torch.inf)
    if len(places):
        i, j = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        rough = smooth_noise(draw.seed(generator), (height, width), 8.0)
        for _ in range(draw.integer(generator, 1, 3)):
            at = places[draw.integer(generator, 0, len(places) - 1)]
            radius = (2.0 + 10.0 * damage.severity) * draw.uniform(generator, 0.6, 1.2)
            away = ((i - at[0]) ** 2 + (j - at[1]) ** 2).float().sqrt()
            blob = torch.maximum(blob, radius * (1 + 0.3 * rough) - away)
    return blob.clamp(-0.5, 0.5).add(0.5) * inside
