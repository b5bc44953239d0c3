"""CT acquisition: blur or edge enhancement of the reconstruction kernel, and correlated noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from SlicerSynthReg.synthesis import draw

MIN_HU, MAX_HU = -1024.0, 3071.0


@dataclass(frozen=True)
class AcquisitionConfig:
    """Bounds of uniform draws. noise: SD in HU at the centre of the body (log scale). sharpness: of the kernel, 0 soft
    to 1 sharp. thickness: of a slice over the slice distance."""

    noise: tuple[float, float] = (4.0, 20.0)
    sharpness: tuple[float, float] = (0.0, 1.0)
    thickness: tuple[float, float] = (1.0, 1.4)


@dataclass(frozen=True)
class AcquisitionDraw:
    """One scan; fields as in AcquisitionConfig. seed: of the noise."""

    noise: float
    sharpness: float
    thickness: float
    seed: int


def draw_acquisition(config: AcquisitionConfig, generator: torch.Generator) -> AcquisitionDraw:
    """Draw one scan."""
    low, high = config.noise
    return AcquisitionDraw(
        noise=draw.log_uniform(generator, low, high) if low > 0 else 0.0,
        sharpness=draw.uniform(generator, *config.sharpness),
        thickness=draw.uniform(generator, *config.thickness),
        seed=draw.seed(generator),
    )


def spatial_frequencies(
    shape: tuple[int, int], spacing: tuple[float, float], device: torch.device | str
) -> torch.Tensor:
    """Return the spatial frequency of each term of torch.fft.rfft2 in cycles/mm: (I, J // 2 + 1)."""
    f_i = torch.fft.fftfreq(shape[0], spacing[0], device=device)
    f_j = torch.fft.rfftfreq(shape[1], spacing[1], device=device)
    return (f_i[:, None].square() + f_j[None].square()).sqrt_()


def modulation_transfer(f: torch.Tensor, sharpness: float) -> torch.Tensor:
    """Return the modulation transfer function of a kernel at f cycles/mm: of a Gaussian of 0.9 mm (soft) to 0.35 mm SD
    (sharp), raised near 0.4 cycles/mm for sharp kernels, so that edges overshoot."""
    sd = 0.9 - 0.55 * sharpness
    edge = 1 + 0.6 * max(0.0, sharpness - 0.5) * torch.exp(-(((f - 0.4) / 0.2) ** 2))
    return torch.exp(-2 * (math.pi * sd * f) ** 2) * edge


def noise_amplitude(f: torch.Tensor, sharpness: float) -> torch.Tensor:
    """Return the noise amplitude of filtered back-projection at f cycles/mm: square root of the ramp times the MTF."""
    return (f + 0.02).sqrt() * modulation_transfer(f, sharpness)


def simulate_scan(
    hu: torch.Tensor, spacing: tuple[float, float], depth: torch.Tensor, item: AcquisitionDraw, noise: torch.Tensor
) -> torch.Tensor:
    """Return hu (I, J, K) with the kernel's blur and noise.

    spacing: of rows and columns, mm. depth: (I, J, K) mm below the skin, with which noise grows. noise: white, of SD 1,
    (K, I, J).
    """
    f = spatial_frequencies((hu.shape[0], hu.shape[1]), spacing, hu.device)
    slices = torch.fft.rfft2(hu.permute(2, 0, 1)) * modulation_transfer(f, item.sharpness)
    image = torch.fft.irfft2(slices, s=hu.shape[:2]).permute(1, 2, 0)
    if item.noise > 0:
        amplitude = noise_amplitude(f, item.sharpness)
        amplitude = amplitude / _filtered_sd(amplitude, hu.shape[1])
        correlated = torch.fft.irfft2(torch.fft.rfft2(noise) * amplitude, s=hu.shape[:2]).permute(1, 2, 0)
        local = 0.45 + 0.55 * (depth / 70.0).clamp(0.0, 1.0)
        image = image + correlated * local * item.noise
    return image.clamp(MIN_HU, MAX_HU)


def _filtered_sd(amplitude: torch.Tensor, columns: int) -> torch.Tensor:
    """Return the SD of white noise of SD 1 after the filter."""
    square = amplitude.square()
    twice = square[:, 1:-1] if columns % 2 == 0 else square[:, 1:]
    return ((square.sum() + twice.sum()) / (amplitude.shape[0] * columns)).sqrt()
