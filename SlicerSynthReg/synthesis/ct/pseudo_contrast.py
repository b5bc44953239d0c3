"""Pseudo-contrast: iodine enhancement added to a real native CT with organ labels, so that the true native is known.

Texture, noise and tissue without uptake are unchanged. The labels select the kinetics, the HU the enhancing fraction of
a voxel: not its fat, gas or calcium.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.ndimage import binary_closing, distance_transform_edt

from SlicerSynthReg.spatial.grid import Grid, index_lattice
from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.ct.bolus import BolusConfig, BolusDraw, draw_bolus, enhancement_hu
from SlicerSynthReg.synthesis.ct.organs import ORGANS, organ_of
from SlicerSynthReg.synthesis.ct.phantom import CTPair

CORTEX_MM = 6.5
WALL_MM = 3.5
_HOLLOW = ("stomach", "small bowel", "duodenum", "colon", "gallbladder")
_UPTAKE = {
    "spleen": "spleen", "liver": "liver", "pancreas": "pancreas", "right adrenal": "adrenal", "left adrenal": "adrenal",
    "left lung": "heart", "right lung": "heart", "vertebra": "marrow", "rib": "marrow", "heart": "aorta",
    "aorta": "aorta", "vena cava": "upper vena cava", "portal vein": "portal vein", "left back muscle": "muscle",
    "right back muscle": "muscle", "left psoas": "muscle", "right psoas": "muscle",
}  # fmt: skip
_HETEROGENEITY = {"spleen": 0.2, "upper vena cava": 0.2, "muscle": 0.25, "pancreas": 0.15, "liver": 0.1}


@dataclass(frozen=True)
class PseudoContrastConfig:
    """time_s: bounds of the time after the start of injection: 22 to 40 arterial, 60 to 90 portal venous."""

    time_s: tuple[float, float] = (24.0, 40.0)
    bolus: BolusConfig = field(default_factory=BolusConfig)


@dataclass(frozen=True)
class PseudoContrastDraw:
    """Bolus, scan time in s and seed of the heterogeneity."""

    bolus: BolusDraw
    time_s: float
    seed: int


def draw_pseudo_contrast(config: PseudoContrastConfig, generator: torch.Generator) -> PseudoContrastDraw:
    """Draw one injection."""
    return PseudoContrastDraw(
        draw_bolus(config.bolus, generator), draw.uniform(generator, *config.time_s), draw.seed(generator)
    )


def add_pseudo_contrast(native: torch.Tensor, labels: torch.Tensor, grid: Grid, record: PseudoContrastDraw) -> CTPair:
    """Return the pair of `native` (I, J, K) HU and its enhanced copy, with labels of ORGANS.

    labels: (I, J, K) integers, numbered as by TotalSegmentator.
    """
    organs = organ_map(labels)
    hu = native.float()
    smooth = gaussian(hu[None, None], 0.7)[0, 0]
    soft = ((smooth + 40.0) / 55.0).clamp(0.0, 1.0) * ((260.0 - smooth) / 110.0).clamp(0.0, 1.0)
    bone = torch.isin(organs, torch.tensor([ORGANS["vertebra"], ORGANS["rib"]]))
    soft = torch.where(bone, ((450.0 - smooth) / 200.0).clamp(0.0, 1.0), soft)
    gain = gaussian(_gain(organs, smooth, grid, record)[None, None], 0.45)[0, 0]
    return CTPair(hu, hu + gain * soft, organs.to(torch.int16), grid, "pseudo-contrast")


def organ_map(labels: torch.Tensor) -> torch.Tensor:
    """Map labels of TotalSegmentator (I, J, K) to those of ORGANS, 0 for all others."""
    values, codes = labels.unique(return_inverse=True)
    return torch.tensor([organ_of(int(value)) for value in values], dtype=torch.int64)[codes]


def _gain(organs: torch.Tensor, smooth: torch.Tensor, grid: Grid, record: PseudoContrastDraw) -> torch.Tensor:
    """Return the enhancement in HU of a voxel entirely of its organ's tissue, (I, J, K)."""
    enhancement = enhancement_hu(record.bolus, record.time_s)
    white = draw.noise([record.seed], (1, *organs.shape))
    heterogeneity = gaussian(white, torch.tensor([[6.0 / float(s) for s in grid.spacing]]))[0, 0]
    heterogeneity = heterogeneity / heterogeneity.std().clamp_min(1e-6)
    unlabelled = (organs == 0) & (smooth > 15.0) & (smooth < 110.0)
    gain = torch.where(unlabelled, enhancement["muscle"], 0.0)
    for organ, uptake in _UPTAKE.items():
        here = organs == ORGANS[organ]
        share = _HETEROGENEITY.get(uptake, 0.05)
        gain = torch.where(here, enhancement[uptake] * (1 + share * heterogeneity).clamp_min(0.0), gain)
    below = (organs == ORGANS["vena cava"]) & _below_the_kidneys(organs, grid)
    gain = torch.where(below, enhancement["lower vena cava"], gain)
    for organ in ("left kidney", "right kidney"):
        inside, depth = _depth(organs == ORGANS[organ], grid, closing_mm=12.0)
        cortex = (depth < CORTEX_MM) | (heterogeneity > 0.9)
        kidney = torch.where(cortex, enhancement["renal cortex"], enhancement["renal medulla"])
        gain = torch.where(inside, kidney, gain)
    for organ in _HOLLOW:
        inside, depth = _depth(organs == ORGANS[organ], grid)
        wall = enhancement["bowel wall"] if organ != "gallbladder" else 0.0
        gain = torch.where(inside, torch.where(depth < WALL_MM, wall, 0.0), gain)
    return gain


def _below_the_kidneys(organs: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Return (I, J, K) bool: below the centre of the kidneys, whose veins return the first contrast; False without
    kidneys."""
    kidneys = (organs == ORGANS["left kidney"]) | (organs == ORGANS["right kidney"])
    up = torch.tensor(grid.affine[2, :3], dtype=torch.float32)
    height = torch.einsum("c,cijk->ijk", up, index_lattice(tuple(organs.shape)))
    return height < height[kidneys].mean() if bool(kidneys.any()) else torch.zeros_like(kidneys)


def _depth(inside: torch.Tensor, grid: Grid, closing_mm: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mask and the depth below its surface in mm, (I, J, K); cavities narrower than `closing_mm`, such as
    the renal sinus, are closed first."""
    mask = inside.numpy()
    if not mask.any():
        return inside, torch.zeros(mask.shape)
    indices = np.nonzero(mask)
    reach = np.ceil(closing_mm / grid.spacing).astype(int) + 2
    box = tuple(slice(max(0, p.min() - r), p.max() + r + 1) for p, r in zip(indices, reach))
    filled = mask[box]
    if closing_mm:
        filled = binary_closing(filled, iterations=max(1, round(closing_mm / 2 / float(grid.spacing.min())))) | filled
    depth = np.zeros(mask.shape, dtype=np.float32)
    depth[box] = distance_transform_edt(np.pad(filled, 1), sampling=grid.spacing)[1:-1, 1:-1, 1:-1]
    return inside, torch.from_numpy(depth)
