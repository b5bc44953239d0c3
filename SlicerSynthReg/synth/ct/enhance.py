"""Pseudo-contrast: a real native CT with organ labels, brightened as iodine would, so that the true native is known.

Texture, noise and everything without uptake stay as scanned. The labels decide which uptake, the HU how much of a voxel
takes part: not its fat, gas or calcium.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.ndimage import binary_closing, distance_transform_edt

from SlicerSynthReg.space.grid import Grid, index_lattice
from SlicerSynthReg.space.smoothing import gaussian
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.ct.bolus import BolusConfig, BolusDraw, draw_bolus, enhancement
from SlicerSynthReg.synth.ct.organs import ORGANS, organ_of
from SlicerSynthReg.synth.ct.pair import CTPair

CORTEX_MM = 6.5
WALL_MM = 3.5
_HOLLOW = ("stomach", "small bowel", "duodenum", "colon", "gallbladder")
_UPTAKE = {
    "spleen": "spleen", "liver": "liver", "pancreas": "pancreas", "right adrenal": "adrenal", "left adrenal": "adrenal",
    "left lung": "heart", "right lung": "heart", "vertebra": "marrow", "rib": "marrow", "heart": "aorta",
    "aorta": "aorta", "vena cava": "upper vena cava", "portal vein": "portal vein", "left back muscle": "muscle",
    "right back muscle": "muscle", "left psoas": "muscle", "right psoas": "muscle",
}  # fmt: skip
_UNEVEN = {"spleen": 0.2, "upper vena cava": 0.2, "muscle": 0.25, "pancreas": 0.15, "liver": 0.1}


@dataclass(frozen=True)
class EnhanceConfig:
    """time_s: bounds of the time after the injection began: 22-40 arterial, 60-90 portal venous."""

    time_s: tuple[float, float] = (24.0, 40.0)
    bolus: BolusConfig = field(default_factory=BolusConfig)


@dataclass(frozen=True)
class EnhanceDraw:
    bolus: BolusDraw
    time_s: float
    seed: int


def draw_enhancement(config: EnhanceConfig, generator: torch.Generator) -> EnhanceDraw:
    return EnhanceDraw(
        draw_bolus(config.bolus, generator), draw.uniform(generator, *config.time_s), draw.seed(generator)
    )


def enhance(native: torch.Tensor, labels: torch.Tensor, grid: Grid, record: EnhanceDraw) -> CTPair:
    """native (I, J, K) HU, labels (I, J, K) integers as TotalSegmentator numbers them -> the pair, its labels as in
    `ORGANS`."""
    organs = organ_map(labels)
    hu = native.float()
    steady = gaussian(hu[None, None], 0.7)[0, 0]
    soft = ((steady + 40.0) / 55.0).clamp(0.0, 1.0) * ((260.0 - steady) / 110.0).clamp(0.0, 1.0)
    bone = torch.isin(organs, torch.tensor([ORGANS["vertebra"], ORGANS["rib"]]))
    soft = torch.where(bone, ((450.0 - steady) / 200.0).clamp(0.0, 1.0), soft)
    gain = gaussian(_gain(organs, steady, grid, record)[None, None], 0.45)[0, 0]
    return CTPair(hu, hu + gain * soft, organs.to(torch.int16), grid, "pseudo-contrast")


def organ_map(labels: torch.Tensor) -> torch.Tensor:
    """Numbers of TotalSegmentator's parts (I, J, K) -> those of `ORGANS`, 0 for all else."""
    values, codes = labels.unique(return_inverse=True)
    return torch.tensor([organ_of(int(value)) for value in values], dtype=torch.int64)[codes]


def _gain(organs: torch.Tensor, steady: torch.Tensor, grid: Grid, record: EnhanceDraw) -> torch.Tensor:
    """HU that a voxel wholly of each organ's tissue gains."""
    gained = enhancement(record.bolus, record.time_s)
    white = draw.noise([record.seed], (1, *organs.shape))
    uneven = gaussian(white, torch.tensor([[6.0 / float(s) for s in grid.spacing]]))[0, 0]
    uneven = uneven / uneven.std().clamp_min(1e-6)
    unlabelled = (organs == 0) & (steady > 15.0) & (steady < 110.0)
    gain = torch.where(unlabelled, gained["muscle"], 0.0)
    for organ, uptake in _UPTAKE.items():
        here = organs == ORGANS[organ]
        share = _UNEVEN.get(uptake, 0.05)
        gain = torch.where(here, gained[uptake] * (1 + share * uneven).clamp_min(0.0), gain)
    below = (organs == ORGANS["vena cava"]) & _below_the_kidneys(organs, grid)
    gain = torch.where(below, gained["lower vena cava"], gain)
    for organ in ("left kidney", "right kidney"):
        inside, depth = _depth(organs == ORGANS[organ], grid, closing_mm=12.0)
        cortex = (depth < CORTEX_MM) | (uneven > 0.9)
        kidney = torch.where(cortex, gained["renal cortex"], gained["renal medulla"])
        gain = torch.where(inside, kidney, gain)
    for organ in _HOLLOW:
        inside, depth = _depth(organs == ORGANS[organ], grid)
        wall = gained["bowel wall"] if organ != "gallbladder" else 0.0
        gain = torch.where(inside, torch.where(depth < WALL_MM, wall, 0.0), gain)
    return gain


def _below_the_kidneys(organs: torch.Tensor, grid: Grid) -> torch.Tensor:
    """(I, J, K) whether a voxel lies lower than the middle of the kidneys, whose veins bring the first contrast back;
    nowhere where no kidney is labelled."""
    kidneys = (organs == ORGANS["left kidney"]) | (organs == ORGANS["right kidney"])
    up = torch.tensor(grid.affine[2, :3], dtype=torch.float32)
    height = torch.einsum("c,cijk->ijk", up, index_lattice(tuple(organs.shape)))
    return height < height[kidneys].mean() if bool(kidneys.any()) else torch.zeros_like(kidneys)


def _depth(inside: torch.Tensor, grid: Grid, closing_mm: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """The same mask, and mm below its surface (I, J, K); hollows narrower than `closing_mm`, such as a kidney's, have
    no surface."""
    mask = inside.numpy()
    if not mask.any():
        return inside, torch.zeros(mask.shape)
    places = np.nonzero(mask)
    reach = np.ceil(closing_mm / grid.spacing).astype(int) + 2
    box = tuple(slice(max(0, p.min() - r), p.max() + r + 1) for p, r in zip(places, reach))
    filled = mask[box]
    if closing_mm:
        filled = binary_closing(filled, iterations=max(1, round(closing_mm / 2 / float(grid.spacing.min())))) | filled
    depth = np.zeros(mask.shape, dtype=np.float32)
    depth[box] = distance_transform_edt(np.pad(filled, 1), sampling=grid.spacing)[1:-1, 1:-1, 1:-1]
    return inside, torch.from_numpy(depth)
