"""Scans of a named modality from one label map, and the healthy T1 of the same anatomy.

Label maps at twice the image resolution give partial volume. A random texture shared by all images of a sample, with a
strength and sign of its own in each, stands for the anatomy within a structure that labels do not describe.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from SlicerSynthReg.spatial.intensity import robust_maximum, subsample
from SlicerSynthReg.spatial.sampling import resize
from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.mr_contrast import (
    IntensityTables,
    MRContrastConfig,
    MRContrastDraw,
    draw_mr_contrast,
    simulate_acquisition,
)
from SlicerSynthReg.synthesis.tissues import (
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
"""Textbook Hounsfield units; the usual brain window is 0 to 80 HU."""

_STRUCTURES_T1 = {8: 0.64, 10: 0.84, 11: 0.72, 12: 0.77, 13: 0.93, 16: 0.93, 17: 0.68, 18: 0.68, 26: 0.74, 28: 0.88}
_TISSUES_T1 = {WHITE: 1.0, GREY: 0.68, DEEP: 0.8, PALE: 1.0, FLUID: 0.2, STEM: 0.93, LESION: 1.0}
WHITE_T1 = 0.8
"""Intensity of white matter in the healthy T1, whose scale is 0 (air) to 1."""


@dataclass(frozen=True)
class ModalityConfig:
    """ct_noise_hu: largest SD of the voxel noise of CT. ct_jitter: SD of each CT mean, in 0..255. texture: largest SD
    of the shared texture, in 0..255."""

    contrast: MRContrastConfig = MRContrastConfig(jitter=12.0, blur_sd=0.7)
    ct_jitter: float = 6.0
    ct_noise_hu: float = 8.0
    texture: float = 8.0


@dataclass(frozen=True)
class ModalityDraw:
    """Contrast of one image. texture: signed strength of the shared texture in it."""

    name: str
    contrast: MRContrastDraw
    texture: float


def modality_tables(values: tuple[int, ...], groups: tuple[int, ...]) -> dict[str, IntensityTables]:
    """Return for each modality the intensities (0..255) of the label values. groups: tissue number of each label."""
    low, high = BRAIN_WINDOW_HU
    ct = {tissue: 255 * min(1.0, max(0.0, (hu - low) / (high - low))) for tissue, hu in _CT_HU.items()}
    means: dict[str, Mapping[str, float]] = {"CT": ct, **{name: SEQUENCES[name] for name in ("T1", "T2", "FLAIR")}}
    tissues = [TISSUES.get(RIGHT_TO_LEFT.get(value, value)) for value in values]
    tables = {
        name: IntensityTables(groups, (tuple(float(of[t]) if t and t in of else math.nan for t in tissues),))
        for name, of in means.items()
    }
    return {**tables, "random": IntensityTables(groups)}


def healthy_means(values: tuple[int, ...]) -> tuple[float, ...]:
    """Return the healthy T1 intensity of each label: 0 outside the brain; lesions as white matter."""
    means = []
    for value in values:
        left = RIGHT_TO_LEFT.get(value, value)
        inside = 0 < value < 500
        means.append(WHITE_T1 * _STRUCTURES_T1.get(left, _TISSUES_T1.get(TISSUES.get(left, ""), 0.0)) * inside)
    return tuple(means)


def draw_modality(
    name: str, tables: dict[str, IntensityTables], config: ModalityConfig, generator: torch.Generator
) -> ModalityDraw:
    """Draw the contrast of one image. name: one of MODALITIES. tables: as of `modality_tables`."""
    sequence = replace(config.contrast, table_probability=0.0 if name == "random" else 1.0)
    if name == "CT":
        sequence = replace(sequence, jitter=config.ct_jitter)
    contrast = draw_mr_contrast(sequence, tables[name], generator)
    if name == "CT":
        sd = draw.uniform(generator, 2.0, config.ct_noise_hu) * 255 / (BRAIN_WINDOW_HU[1] - BRAIN_WINDOW_HU[0])
        contrast = replace(contrast, sds=(sd,) * len(contrast.sds), gamma=1.0, bias_sd=0.0, zero_background=True)
    strength = draw.uniform(generator, -1, 1) if name == "random" else draw.uniform(generator, 0.2, 1)
    return ModalityDraw(name, contrast, strength * config.texture * (-1 if name == "T2" else 1))


def partial_volume_mean(labels: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    """Return means (B, 1, I, J, K) over blocks of 2^3 voxels of label indices (B, 2 I, 2 J, 2 K) with values (B, L)."""
    values = torch.stack([mean.flatten()[index.flatten().int()] for mean, index in zip(means, labels)])
    return F.avg_pool3d(values.view(len(labels), 1, *labels.shape[1:]), 2)


def shared_texture(seeds: list[int], shape: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """Return noise (B, 1, I, J, K) of SD about 1, correlated over one to four voxels."""
    fine = gaussian(draw.noise(seeds, shape, device)[:, None], 1.0) * 4.7
    coarse = draw.noise([seed + 1 for seed in seeds], tuple(max(2, n // 4) for n in shape), device)[:, None]
    return (fine + resize(coarse, shape) * 1.5) * 0.6


def ideal_image(labels: torch.Tensor, texture: torch.Tensor, draws: list[ModalityDraw]) -> torch.Tensor:
    """Return I_0 (B, 1, I, J, K) on 0..255, before blur, bias field and gamma, of labels (B, 2 I, 2 J, 2 K) uint8."""
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
    return partial_volume_mean(labels, means) + (noise * sd)[:, None] + texture * strength * inside


def acquired_image(image: torch.Tensor, draws: list[ModalityDraw]) -> torch.Tensor:
    """Apply blur, bias field and gamma to images (B, 1, I, J, K) of 0..255 and scale them to 0..1: the 99.5th
    percentile of the foreground becomes 1, as in preprocessing of scans. CT is clipped to its window here."""
    image = simulate_acquisition(image, [d.contrast for d in draws])
    rows = []
    for element in image:
        foreground = subsample(element[element > 0.02], 100_000, at_least=True)
        rows.append(element / robust_maximum(foreground, default=1.0).clamp_min(1e-3))
    return torch.stack(rows).clamp_(0.0, 1.0)


def healthy_t1(labels: torch.Tensor, texture: torch.Tensor, means: tuple[float, ...]) -> torch.Tensor:
    """Return the target (B, 1, I, J, K): `means` of `healthy_means` with partial volume, plus the shared texture at 2 %
    of the scale within the brain; no noise, no bias field."""
    target = partial_volume_mean(labels, torch.tensor([means] * len(labels), device=labels.device))
    return (target + texture * 0.02 * (target / WHITE_T1)).clamp_min(0.0)
