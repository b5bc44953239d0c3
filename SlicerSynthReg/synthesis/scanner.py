"""Scanner model of Dey et al. 2025 (anatomix, figure 12): texture, Gibbs ringing, k-space spikes, sharpening, noise.

Spikes and ringing act on the image's spectrum; each effect has its own probability. Bias field, clipping and gamma
belong to synthesis/mr_contrast.py, thick slices and truncated fields of view to synthesis/artefacts.py. The texture's
amplitude covers the range of the published settings. Departure: no motion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.mr_contrast import rescale_to_unit_range
from SlicerSynthReg.synthesis.perlin import perlin


@dataclass(frozen=True)
class ScannerConfig:
    """Probabilities, and bounds of uniform draws.

    texture: amplitude of the gradient noise that multiplies the intensities. spike: amplitude of a plane wave, a single
    bright point of k-space. ringing: fraction of k-space that is cut off. sharpen: gain of the detail that a Gaussian
    of SD 1 removes. noise: SD, as a fraction of the image's range.
    """

    texture: tuple[float, float] = (0.02, 0.15)
    spike_probability: float = 0.2
    spike: tuple[float, float] = (0.01, 0.08)
    ringing_probability: float = 0.5
    ringing: tuple[float, float] = (0.0, 0.5)
    sharpen_probability: float = 0.25
    sharpen: tuple[float, float] = (0.5, 3.0)
    noise_probability: float = 0.5
    noise: tuple[float, float] = (0.0, 0.05)


@dataclass(frozen=True)
class ScannerDraw:
    """texture: amplitude; cells: of its lattice. spike: amplitude, wave vector in cycles a side, phase. An amplitude of
    0 switches an effect off."""

    texture: float
    cells: int
    texture_seed: int
    spike: tuple[float, float, float, float, float]
    ringing: float
    sharpen: float
    noise: float
    noise_seed: int


def draw_scanner(config: ScannerConfig, generator: torch.Generator) -> ScannerDraw:
    """Draw the scanner effects of one image."""

    def with_probability(probability: float, bounds: tuple[float, float]) -> float:
        return draw.uniform(generator, *bounds) if draw.chance(generator, probability) else 0.0

    amplitude = with_probability(config.spike_probability, config.spike)
    x, y, z = (float(draw.integer(generator, -12, 12)) for _ in range(3))
    return ScannerDraw(
        draw.uniform(generator, *config.texture),
        draw.integer(generator, 4, 24),
        draw.seed(generator),
        (amplitude, x, y, z, draw.uniform(generator, 0, 2 * math.pi)),
        with_probability(config.ringing_probability, config.ringing),
        with_probability(config.sharpen_probability, config.sharpen),
        with_probability(config.noise_probability, config.noise),
        draw.seed(generator),
    )


def add_texture(image: torch.Tensor, draws: list[ScannerDraw]) -> torch.Tensor:
    """Multiply intensities (B, 1, I, J, K) by 1 + amplitude x gradient noise, which has zero mean."""
    rows = []
    for element, d in zip(image, draws):
        noise = perlin([d.texture_seed], tuple(element.shape[1:]), (d.cells,) * 3, image.device)
        rows.append(element * (1 + d.texture * noise))
    return torch.stack(rows)


def simulate_scanner(image: torch.Tensor, draws: list[ScannerDraw]) -> torch.Tensor:
    """Apply ringing, spikes, sharpening and noise to images (B, 1, I, J, K) in [0, 1]; scale to [0, 1]."""
    return rescale_to_unit_range(torch.stack([_apply_effects(element, d) for element, d in zip(image, draws)]))


def _apply_effects(image: torch.Tensor, d: ScannerDraw) -> torch.Tensor:
    if d.ringing:
        image = gibbs_ringing(image, d.ringing)
    if d.spike[0]:
        image = image + d.spike[0] * plane_wave(tuple(image.shape[1:]), d.spike[1:], image.device)
    if d.sharpen:
        image = image + d.sharpen * (image - gaussian(image[None], 1.0)[0])
    if d.noise:
        image = image + d.noise * draw.noise([d.noise_seed], tuple(image.shape[1:]), image.device)
    return image


def gibbs_ringing(image: torch.Tensor, cut: float) -> torch.Tensor:
    """Remove from (1, I, J, K) the frequencies beyond the fraction 1 - `cut` of the largest (Gibbs ringing)."""
    shape = image.shape[1:]
    spectrum = torch.fft.rfftn(image, dim=(1, 2, 3))
    i, j, k = (torch.fft.fftfreq(n, device=image.device).abs() * 2 for n in shape)
    k = k[: spectrum.shape[3]]
    kept = (i.view(-1, 1, 1).square() + j.view(-1, 1).square() + k.square()).sqrt() <= (1 - cut) * math.sqrt(3)
    return torch.fft.irfftn(spectrum * kept, s=shape, dim=(1, 2, 3))


def plane_wave(shape: tuple[int, ...], spike: tuple[float, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """Return the cosine (1, I, J, K) of a wave vector (x, y, z) in cycles a side, and a phase."""
    *cycles, phase = spike
    angle = torch.full((), phase, device=device)
    for axis, (n, c) in enumerate(zip(shape, cycles)):
        steps = torch.arange(n, device=device) * (2 * math.pi * c / n)
        angle = angle + steps.view([-1 if a == axis else 1 for a in range(3)])
    return angle.cos()[None]
