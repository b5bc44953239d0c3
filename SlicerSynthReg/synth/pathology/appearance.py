"""What an anomaly looks like in a scan of any contrast (UNA, equations 5 and 6): I = I_0 + Delta I * P.

Delta I ~ N(-mu_w / 2, mu_w / 2) where white matter is brighter than grey, as in T1, else N(mu_w / 2, mu_w / 2); one
time in five the sign is random. Read as a draw for each voxel this is white noise as strong as the lesion itself; here
the level is drawn once a lesion from that distribution, and its texture (Perlin and voxel noise) for each voxel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.perlin import perlin


@dataclass(frozen=True)
class AppearanceConfig:
    """random_sign: share of draws whose sign is tossed. least: |level| below which a lesion could not be seen; such are
    moved to it. texture, grain: largest SD within a lesion of Perlin noise and of voxel noise, in mu_w. void: share of
    draws that lose their signal altogether, as a resection does or a region cut out to be filled."""

    random_sign: float = 0.2
    least: float = 0.35
    texture: float = 0.25
    grain: float = 0.1
    void: float = 0.1


@dataclass(frozen=True)
class AppearanceDraw:
    """level: Delta I in units of mu_w / 2, for a lesion that is brighter (negate it for a darker one). sign: +1 or -1
    instead of the rule's, 0 for the rule. texture, grain: in mu_w. void: no signal at all, whatever the level."""

    level: float
    sign: int
    texture: float
    grain: float
    texture_seed: int
    grain_seed: int
    void: bool = False


def draw_appearance(config: AppearanceConfig, generator: torch.Generator) -> AppearanceDraw:
    tossed = draw.chance(generator, config.random_sign)
    sign = 1 if draw.chance(generator, 0.5) else -1
    level = 1.0 + draw.normal(generator)
    return AppearanceDraw(
        level=math.copysign(max(abs(level), config.least), level),
        sign=sign if tossed else 0,
        texture=draw.uniform(generator, 0, config.texture),
        grain=draw.uniform(generator, 0, config.grain),
        texture_seed=draw.seed(generator),
        grain_seed=draw.seed(generator),
        void=draw.chance(generator, config.void),
    )


def encode(
    image: torch.Tensor,
    p: torch.Tensor,
    white: torch.Tensor,
    grey: torch.Tensor,
    draws: list[AppearanceDraw],
    cells: int = 6,
) -> torch.Tensor:
    """I (B, 1, I, J, K) of I_0 and P, both of that shape, never below 0. white, grey: (B,) mean intensities of white
    and grey matter in I_0. cells: of the texture's Perlin noise along each axis."""
    shape, device, by_row = tuple(image.shape[2:]), image.device, (-1, 1, 1, 1, 1)
    signs = [d.sign or (-1 if w > g else 1) for d, w, g in zip(draws, white.tolist(), grey.tolist())]
    levels = torch.tensor([s * d.level / 2 for s, d in zip(signs, draws)], device=device).view(by_row)
    coarse = perlin([d.texture_seed for d in draws], shape, (cells,) * 3, device)[:, None] * 4  # SD about 1
    fine = draw.noise([d.grain_seed for d in draws], shape, device)[:, None]
    coarse = coarse * torch.tensor([d.texture for d in draws], device=device).view(by_row)
    fine = fine * torch.tensor([d.grain for d in draws], device=device).view(by_row)
    delta = (levels + coarse + fine) * white.view(by_row)
    left = torch.tensor([not d.void for d in draws], device=device).view(by_row)
    return torch.where(left, image + delta * p, image * (1 - p)).clamp_min(0.0)
