"""Scans of a named sequence, or of none, from one label map, and the T1 that the anatomy would have in health.

Label maps twice as fine as the images give each voxel the mixture of what lies in it (partial volume), the same for
all images of a sample. A texture common to them, in each image of a strength and sign of its own, stands for what
labels do not tell: the anatomy within a structure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from SlicerSynthReg.space.sampling import resize
from SlicerSynthReg.space.smoothing import gaussian
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.contrast import ContrastConfig, ContrastDraw, Looks, draw_contrast, scanned
from SlicerSynthReg.synth.tissues import (
    AIR,
    BONE,
    DEEP,
    FLUID,
    GREY,
    LESION,
    MARROW,
    MUSCLE,
    PALE,
    RIGHT_TO_LEFT,
    SEQUENCES,
    SKIN,
    STEM,
    TISSUES,
    WHITE,
)

MODALITIES = ("T1", "T2", "FLAIR", "CT", "random")

BRAIN_WINDOW_HU = (0.0, 80.0)
_CT_HU = {AIR: -1000, WHITE: 28, GREY: 37, DEEP: 36, PALE: 34, FLUID: 8, STEM: 30, LESION: 22, SKIN: -60, MUSCLE: 55,
          BONE: 900, MARROW: 300}  # fmt: skip
"""Textbook Hounsfield units; a head's CT is looked at between 0 and 80."""

_STRUCTURES_T1 = {8: 0.64, 10: 0.84, 11: 0.72, 12: 0.77, 13: 0.93, 16: 0.93, 17: 0.68, 18: 0.68, 26: 0.74, 28: 0.88}
_TISSUES_T1 = {WHITE: 1.0, GREY: 0.68, DEEP: 0.8, PALE: 1.0, FLUID: 0.2, STEM: 0.93, LESION: 1.0}
WHITE_T1 = 0.8
"""White matter in the healthy T1, whose scale is 0 (air) to 1."""


@dataclass(frozen=True)
class ModalityConfig:
    """ct_noise_hu: SD of a CT's voxel noise, up to. ct_jitter: SD of each mean in 0..255. texture: largest SD of the
    common texture, in 0..255."""

    contrast: ContrastConfig = ContrastConfig(jitter=12.0, blur_sd=0.7)
    ct_jitter: float = 6.0
    ct_noise_hu: float = 8.0
    texture: float = 8.0


@dataclass(frozen=True)
class ModalityDraw:
    """One image's contrast; texture: strength of the common texture in it, with its sign."""

    name: str
    contrast: ContrastDraw
    texture: float


def looks_of(values: tuple[int, ...], groups: tuple[int, ...]) -> dict[str, Looks]:
    """For each modality the brightness of the label values (0..255), which share intensities as `groups` say."""
    low, high = BRAIN_WINDOW_HU
    ct = {tissue: 255 * min(1.0, max(0.0, (hu - low) / (high - low))) for tissue, hu in _CT_HU.items()}
    tables: dict[str, Mapping[str, float]] = {"CT": ct, **{name: SEQUENCES[name] for name in ("T1", "T2", "FLAIR")}}
    tissues = [TISSUES.get(RIGHT_TO_LEFT.get(value, value)) for value in values]
    looks = {
        name: Looks(groups, (tuple(float(table[t]) if t and t in table else math.nan for t in tissues),))
        for name, table in tables.items()
    }
    return {**looks, "random": Looks(groups)}


def healthy_means(values: tuple[int, ...]) -> tuple[float, ...]:
    """T1 brightness of each label in health: 0 outside the brain, lesions as white matter."""
    means = []
    for value in values:
        left = RIGHT_TO_LEFT.get(value, value)
        inside = 0 < value < 500
        means.append(WHITE_T1 * _STRUCTURES_T1.get(left, _TISSUES_T1.get(TISSUES.get(left, ""), 0.0)) * inside)
    return tuple(means)


def draw_modality(
    name: str, looks: dict[str, Looks], config: ModalityConfig, generator: torch.Generator
) -> ModalityDraw:
    """name: one of MODALITIES."""
    sequence = replace(config.contrast, scan_like=0.0 if name == "random" else 1.0)
    if name == "CT":
        sequence = replace(sequence, jitter=config.ct_jitter)
    contrast = draw_contrast(sequence, looks[name], generator)
    if name == "CT":
        sd = draw.uniform(generator, 2.0, config.ct_noise_hu) * 255 / (BRAIN_WINDOW_HU[1] - BRAIN_WINDOW_HU[0])
        contrast = replace(contrast, sds=(sd,) * len(contrast.sds), gamma=1.0, bias_sd=0.0, zero_background=True)
    strength = draw.uniform(generator, -1, 1) if name == "random" else draw.uniform(generator, 0.2, 1)
    return ModalityDraw(name, contrast, strength * config.texture * (-1 if name == "T2" else 1))


def mixed(labels: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    """Partial volume: label indices (B, 2 I, 2 J, 2 K) and each one's value (B, L) -> block means (B, 1, I, J, K)."""
    values = torch.stack([one.flatten()[index.flatten().int()] for one, index in zip(means, labels)])
    return F.avg_pool3d(values.view(len(labels), 1, *labels.shape[1:]), 2)


def common_texture(seeds: list[int], shape: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """(B, 1, I, J, K) of SD about 1, correlated over one to four voxels."""
    fine = gaussian(draw.noise(seeds, shape, device)[:, None], 1.0) * 4.7
    coarse = draw.noise([seed + 1 for seed in seeds], tuple(max(2, n // 4) for n in shape), device)[:, None]
    return (fine + resize(coarse, shape) * 1.5) * 0.6


def unscanned(labels: torch.Tensor, texture: torch.Tensor, draws: list[ModalityDraw]) -> torch.Tensor:
    """I_0 (B, 1, I, J, K) on 0..255, before the scanner's blur, bias and gamma: labels (B, 2 I, 2 J, 2 K) uint8."""
    device = labels.device
    means = torch.tensor([d.contrast.means for d in draws], device=device)
    sds = torch.tensor([d.contrast.sds for d in draws], device=device)
    for row, d in enumerate(draws):
        if d.contrast.zero_background:
            means[row, 0] = sds[row, 0] = 0.0
    strength = torch.tensor([d.texture for d in draws], device=device).view(-1, 1, 1, 1, 1)
    every_second = labels[:, ::2, ::2, ::2]
    sd = sds.gather(1, every_second.flatten(1).long()).view(every_second.shape)
    noise = draw.noise([d.contrast.noise_seed for d in draws], tuple(every_second.shape[1:]), device)
    inside = (every_second > 0)[:, None]
    return mixed(labels, means) + (noise * sd)[:, None] + texture * strength * inside


def as_scanned(image: torch.Tensor, draws: list[ModalityDraw]) -> torch.Tensor:
    """The scanner's part for images (B, 1, I, J, K) of 0..255 -> 0..1, the brightest half percent of what is lit at 1,
    as scans are brought to one scale before the network sees them. A CT is clipped to its window here."""
    image = scanned(image, [d.contrast for d in draws])
    rows = []
    for one in image:
        lit = one[one > 0.02]
        lit = lit[:: max(1, len(lit) // 100_000)]
        rows.append(one / torch.quantile(lit, 0.995).clamp_min(1e-3) if len(lit) else one)
    return torch.stack(rows).clamp_(0.0, 1.0)


def healthy_t1(labels: torch.Tensor, texture: torch.Tensor, means: tuple[float, ...]) -> torch.Tensor:
    """The target (B, 1, I, J, K): `means` of `healthy_means` mixed by partial volume, and the common texture at 2 % of
    the scale where there is brain; no noise, no bias."""
    target = mixed(labels, torch.tensor([means] * len(labels), device=labels.device))
    return (target + texture * 0.02 * (target / WHITE_T1)).clamp_min(0.0)
