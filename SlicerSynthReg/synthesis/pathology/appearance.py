"""Appearance of an anomaly in a scan of any contrast (UNA, equations 5 and 6): I = I_0 + Delta I * P.

Delta I ~ N(-mu_w / 2, mu_w / 2) where white matter is brighter than grey, as in T1, else N(mu_w / 2, mu_w / 2); with
probability 0.2 the sign is random. Drawn per voxel, this would be white noise as strong as the lesion itself; here the
level is drawn once per lesion from that distribution, and the texture (Perlin and voxel noise) per voxel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.perlin import perlin


@dataclass(frozen=True)
class LesionAppearanceConfig:
    """random_sign_probability: of a random sign. min_level: smallest |level|, so that a lesion is visible. texture,
    voxel_noise: largest SD of Perlin noise and of voxel noise within a lesion, in mu_w. void_probability: of a complete
    loss of signal, as after a resection."""

    random_sign_probability: float = 0.2
    min_level: float = 0.35
    texture: float = 0.25
    voxel_noise: float = 0.1
    void_probability: float = 0.1


@dataclass(frozen=True)
class LesionAppearanceDraw:
    """level: Delta I in units of mu_w / 2, for a hyperintense lesion (negative: hypointense). sign: +1 or -1 instead of
    the rule's, 0 for the rule. texture, voxel_noise: SDs in mu_w. void: no signal, whatever the level."""

    level: float
    sign: int
    texture: float
    voxel_noise: float
    texture_seed: int
    voxel_noise_seed: int
    void: bool = False


def draw_lesion_appearance(config: LesionAppearanceConfig, generator: torch.Generator) -> LesionAppearanceDraw:
    """Draw the appearance of one anomaly."""
    random_sign = draw.chance(generator, config.random_sign_probability)
    sign = 1 if draw.chance(generator, 0.5) else -1
    level = 1.0 + draw.normal(generator)
    return LesionAppearanceDraw(
        level=math.copysign(max(abs(level), config.min_level), level),
        sign=sign if random_sign else 0,
        texture=draw.uniform(generator, 0, config.texture),
        voxel_noise=draw.uniform(generator, 0, config.voxel_noise),
        texture_seed=draw.seed(generator),
        voxel_noise_seed=draw.seed(generator),
        void=draw.chance(generator, config.void_probability),
    )


def encode_anomaly(
    image: torch.Tensor,
    p: torch.Tensor,
    white: torch.Tensor,
    grey: torch.Tensor,
    draws: list[LesionAppearanceDraw],
    cells: int = 6,
) -> torch.Tensor:
    """Return I (B, 1, I, J, K) of I_0 = `image` and P = `p` of the same shape, clamped to values >= 0.

    white, grey: (B,) mean intensities of white and grey matter in I_0. cells: of the texture's Perlin noise per axis.
    """
    shape, device, by_row = tuple(image.shape[2:]), image.device, (-1, 1, 1, 1, 1)
    signs = [d.sign or (-1 if w > g else 1) for d, w, g in zip(draws, white.tolist(), grey.tolist())]
    levels = torch.tensor([s * d.level / 2 for s, d in zip(signs, draws)], device=device).view(by_row)
    coarse = perlin([d.texture_seed for d in draws], shape, (cells,) * 3, device)[:, None] * 4  # SD about 1
    fine = draw.noise([d.voxel_noise_seed for d in draws], shape, device)[:, None]
    coarse = coarse * torch.tensor([d.texture for d in draws], device=device).view(by_row)
    fine = fine * torch.tensor([d.voxel_noise for d in draws], device=device).view(by_row)
    delta = (levels + coarse + fine) * white.view(by_row)
    has_signal = torch.tensor([not d.void for d in draws], device=device).view(by_row)
    return torch.where(has_signal, image + delta * p, image * (1 - p)).clamp_min(0.0)
