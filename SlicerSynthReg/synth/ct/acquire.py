"""What a scanner makes of true HU: the kernel's blur or edge, and noise of the kernel's grain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from SlicerSynthReg.synth import draw

LOWEST_HU = -1024.0
HIGHEST_HU = 3071.0


@dataclass(frozen=True)
class AcquisitionConfig:
    """Bounds of uniform draws. noise: SD in HU in the middle of the body (drawn on a log scale); sharpness: 0 for the
    softest kernel, 1 for the sharpest; thickness: of a slice, in steps between slices."""

    noise: tuple[float, float] = (4.0, 20.0)
    sharpness: tuple[float, float] = (0.0, 1.0)
    thickness: tuple[float, float] = (1.0, 1.4)


@dataclass(frozen=True)
class AcquisitionDraw:
    noise: float
    sharpness: float
    thickness: float
    seed: int


def draw_acquisition(config: AcquisitionConfig, generator: torch.Generator) -> AcquisitionDraw:
    low, high = config.noise
    return AcquisitionDraw(
        noise=draw.log_uniform(generator, low, high) if low > 0 else 0.0,
        sharpness=draw.uniform(generator, *config.sharpness),
        thickness=draw.uniform(generator, *config.thickness),
        seed=draw.seed(generator),
    )


def frequencies(shape: tuple[int, int], spacing: tuple[float, float], device: torch.device | str) -> torch.Tensor:
    """(I, J // 2 + 1) cycles/mm of each term of torch.fft.rfft2."""
    f_i = torch.fft.fftfreq(shape[0], spacing[0], device=device)
    f_j = torch.fft.rfftfreq(shape[1], spacing[1], device=device)
    return (f_i[:, None].square() + f_j[None].square()).sqrt_()


def transfer(f: torch.Tensor, sharpness: float) -> torch.Tensor:
    """Modulation of a kernel at f cycles/mm: a Gaussian of 0.9 mm (soft) to 0.35 mm SD (sharp), which for sharp ones is
    raised about 0.4 cycles/mm so that edges overshoot."""
    sd = 0.9 - 0.55 * sharpness
    edge = 1 + 0.6 * max(0.0, sharpness - 0.5) * torch.exp(-(((f - 0.4) / 0.2) ** 2))
    return torch.exp(-2 * (math.pi * sd * f) ** 2) * edge


def grain(f: torch.Tensor, sharpness: float) -> torch.Tensor:
    """Amplitude of filtered back-projection's noise at f cycles/mm: the ramp's square root times the kernel."""
    return (f + 0.02).sqrt() * transfer(f, sharpness)


def scanned(
    hu: torch.Tensor, spacing: tuple[float, float], depth: torch.Tensor, one: AcquisitionDraw, noise: torch.Tensor
) -> torch.Tensor:
    """hu (I, J, K) as this scanner shows it. depth: mm below the skin, (I, J, K), which noise grows with; noise: white,
    (K, I, J), of SD 1."""
    f = frequencies((hu.shape[0], hu.shape[1]), spacing, hu.device)
    slices = torch.fft.rfft2(hu.permute(2, 0, 1)) * transfer(f, one.sharpness)
    image = torch.fft.irfft2(slices, s=hu.shape[:2]).permute(1, 2, 0)
    if one.noise > 0:
        amplitude = grain(f, one.sharpness)
        amplitude = amplitude / _power(amplitude, hu.shape[1])
        grains = torch.fft.irfft2(torch.fft.rfft2(noise) * amplitude, s=hu.shape[:2]).permute(1, 2, 0)
        local = 0.45 + 0.55 * (depth / 70.0).clamp(0.0, 1.0)
        image = image + grains * local * one.noise
    return image.clamp(LOWEST_HU, HIGHEST_HU)


def _power(amplitude: torch.Tensor, columns: int) -> torch.Tensor:
    """SD that white noise of SD 1 has after the filter."""
    square = amplitude.square()
    twice = square[:, 1:-1] if columns % 2 == 0 else square[:, 1:]
    return ((square.sum() + twice.sum()) / (amplitude.shape[0] * columns)).sqrt()
