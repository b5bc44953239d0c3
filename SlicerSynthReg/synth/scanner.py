"""What imaging adds to painted tissues, after anatomix's figure 12: texture, k-space spikes, blur, ringing, noise.

Spikes, ringing and blur act on the image's spectrum, as they arise; each comes about with its own chance, in the order
of `ScannerConfig`. Bias, clipping and gamma are `contrast.scanned`'s, thick slices and cut fields `artefacts`'.
The texture's amplitude spans what the published settings amount to. Departure: motion is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from SlicerSynthReg.space.smoothing import gaussian
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.contrast import unit_range
from SlicerSynthReg.synth.perlin import perlin


@dataclass(frozen=True)
class ScannerConfig:
    """Chances, and bounds of what is drawn. texture: amplitude of the Perlin noise that multiplies the tissues.

    spike: amplitude of a plane wave, a single bright point of k-space. ringing: share of k-space cut off. sharpen:
    gain of what a Gaussian of SD 1 takes away. noise: SD, in shares of the image's range.
    """

    texture: tuple[float, float] = (0.02, 0.15)
    spike_chance: float = 0.2
    spike: tuple[float, float] = (0.01, 0.08)
    ringing_chance: float = 0.5
    ringing: tuple[float, float] = (0.0, 0.5)
    sharpen_chance: float = 0.25
    sharpen: tuple[float, float] = (0.5, 3.0)
    noise_chance: float = 0.5
    noise: tuple[float, float] = (0.0, 0.05)


@dataclass(frozen=True)
class ScannerDraw:
    """texture: amplitude; cells: its lattice. spike: amplitude, wave vector in cycles a side, phase. Amplitudes of 0
    leave the image as it is."""

    texture: float
    cells: int
    texture_seed: int
    spike: tuple[float, float, float, float, float]
    ringing: float
    sharpen: float
    noise: float
    noise_seed: int


def draw_scanner(config: ScannerConfig, generator: torch.Generator) -> ScannerDraw:
    def by_chance(chance: float, bounds: tuple[float, float]) -> float:
        return draw.uniform(generator, *bounds) if draw.chance(generator, chance) else 0.0

    amplitude = by_chance(config.spike_chance, config.spike)
    x, y, z = (float(draw.integer(generator, -12, 12)) for _ in range(3))
    return ScannerDraw(
        draw.uniform(generator, *config.texture),
        draw.integer(generator, 4, 24),
        draw.seed(generator),
        (amplitude, x, y, z, draw.uniform(generator, 0, 2 * math.pi)),
        by_chance(config.ringing_chance, config.ringing),
        by_chance(config.sharpen_chance, config.sharpen),
        by_chance(config.noise_chance, config.noise),
        draw.seed(generator),
    )


def textured(image: torch.Tensor, draws: list[ScannerDraw]) -> torch.Tensor:
    """Tissues (B, 1, I, J, K) times 1 + amplitude x Perlin noise, which keeps their means."""
    rows = []
    for one, d in zip(image, draws):
        noise = perlin([d.texture_seed], tuple(one.shape[1:]), (d.cells,) * 3, image.device)
        rows.append(one * (1 + d.texture * noise))
    return torch.stack(rows)


def acquired(image: torch.Tensor, draws: list[ScannerDraw]) -> torch.Tensor:
    """Images (B, 1, I, J, K) in [0, 1] as the scanner gives them, in [0, 1] again."""
    return unit_range(torch.stack([_acquired(one, d) for one, d in zip(image, draws)]))


def _acquired(image: torch.Tensor, d: ScannerDraw) -> torch.Tensor:
    if d.ringing:
        image = ringing(image, d.ringing)
    if d.spike[0]:
        image = image + d.spike[0] * wave(tuple(image.shape[1:]), d.spike[1:], image.device)
    if d.sharpen:
        image = image + d.sharpen * (image - gaussian(image[None], 1.0)[0])
    if d.noise:
        image = image + d.noise * draw.noise([d.noise_seed], tuple(image.shape[1:]), image.device)
    return image


def ringing(image: torch.Tensor, cut: float) -> torch.Tensor:
    """(1, I, J, K) without the frequencies beyond the share 1 - `cut` of the largest along any axis (Gibbs)."""
    shape = image.shape[1:]
    spectrum = torch.fft.rfftn(image, dim=(1, 2, 3))
    i, j, k = (torch.fft.fftfreq(n, device=image.device).abs() * 2 for n in shape)
    k = k[: spectrum.shape[3]]
    kept = (i.view(-1, 1, 1).square() + j.view(-1, 1).square() + k.square()).sqrt() <= (1 - cut) * math.sqrt(3)
    return torch.fft.irfftn(spectrum * kept, s=shape, dim=(1, 2, 3))


def wave(shape: tuple[int, ...], spike: tuple[float, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """(1, I, J, K) cosine of a wave vector (x, y, z) in cycles a side, and a phase."""
    *cycles, phase = spike
    angle = torch.full((), phase, device=device)
    for axis, (n, c) in enumerate(zip(shape, cycles)):
        steps = torch.arange(n, device=device) * (2 * math.pi * c / n)
        angle = angle + steps.view([-1 if a == axis else 1 for a in range(3)])
    return angle.cos()[None]
