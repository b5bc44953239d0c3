"""A virtual patient from a real person's organ labels: each organ filled with its tissue's HU, texture and uptake.

The labels say nothing of skin, fat and the body wall: these are put about the organs, as thick as was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.ndimage import binary_fill_holes, distance_transform_edt

from SlicerSynthReg.space.grid import Grid, index_lattice
from SlicerSynthReg.space.smoothing import gaussian
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.ct.acquire import AcquisitionConfig, AcquisitionDraw, draw_acquisition, scanned
from SlicerSynthReg.synth.ct.bolus import BolusConfig, BolusDraw, draw_bolus, enhancement
from SlicerSynthReg.synth.ct.canvas import COARSE, FINE, GAIN, MOIRE, NATIVE, palette
from SlicerSynthReg.synth.ct.enhance import organ_map
from SlicerSynthReg.synth.ct.organs import ORGANS
from SlicerSynthReg.synth.ct.pair import CTPair
from SlicerSynthReg.synth.ct.texture import textures
from SlicerSynthReg.synth.ct.tissue import PLACES, draw_tissues

CORTEX_MM, WALL_MM, SHELL_MM = 6.5, 3.0, 2.0
"""Thickness of the kidney's cortex, of hollow organs' walls and of the bones' dense shell."""
_FILLED = {
    "spleen": "spleen", "gallbladder": "gallbladder", "liver": "liver", "pancreas": "pancreas", "aorta": "aorta",
    "right adrenal": "adrenal", "left adrenal": "adrenal", "left lung": "lung", "right lung": "lung", "heart": "heart",
    "vena cava": "upper vena cava", "portal vein": "portal vein", "canal": "canal", "left back muscle": "muscle",
    "right back muscle": "muscle", "left psoas": "muscle", "right psoas": "muscle", "cartilage": "cartilage",
}  # fmt: skip
_SHELLED = {
    "right kidney": ("renal cortex", "renal medulla", CORTEX_MM),
    "left kidney": ("renal cortex", "renal medulla", CORTEX_MM),
    "stomach": ("organ wall", "chyme", WALL_MM), "small bowel": ("organ wall", "fluid", WALL_MM),
    "duodenum": ("organ wall", "fluid", WALL_MM), "colon": ("organ wall", "faeces", WALL_MM),
    "vertebra": ("cortical bone", "cancellous bone", SHELL_MM), "rib": ("cortical bone", "cancellous bone", SHELL_MM),
}  # fmt: skip


@dataclass(frozen=True)
class FromLabelsConfig:
    """time_s: bounds of the contrast scan's time; wall_mm, fat_mm: of the body wall and the fat under the skin."""

    time_s: tuple[float, float] = (24.0, 40.0)
    wall_mm: tuple[float, float] = (8.0, 14.0)
    fat_mm: tuple[float, float] = (5.0, 30.0)
    shared_noise: float = 0.0
    noise_free: bool = False
    bolus: BolusConfig = field(default_factory=BolusConfig)
    acquisition: AcquisitionConfig = field(default_factory=AcquisitionConfig)


@dataclass(frozen=True)
class FromLabelsDraw:
    """Two scans of one person; acquisition: None for true HU."""

    native_hu: tuple[float, ...]
    bolus: BolusDraw
    time_s: float
    wall_mm: float
    fat_mm: float
    texture_seed: int
    acquisition: AcquisitionDraw | None
    contrast_seed: int
    shared_noise: float


def draw_from_labels(config: FromLabelsConfig, generator: torch.Generator) -> FromLabelsDraw:
    acquisition = draw_acquisition(config.acquisition, generator)
    return FromLabelsDraw(
        native_hu=draw_tissues(generator),
        bolus=draw_bolus(config.bolus, generator),
        time_s=draw.uniform(generator, *config.time_s),
        wall_mm=draw.uniform(generator, *config.wall_mm),
        fat_mm=draw.uniform(generator, *config.fat_mm),
        texture_seed=draw.seed(generator),
        acquisition=None if config.noise_free else acquisition,
        contrast_seed=draw.seed(generator),
        shared_noise=config.shared_noise,
    )


def make_from_labels(labels: torch.Tensor, grid: Grid, record: FromLabelsDraw) -> CTPair:
    """labels (I, J, K) as TotalSegmentator numbers them, axis 2 along the body, on `grid` -> the pair on it."""
    organs = organ_map(labels)
    tissue, depth = _tissues(organs, grid, record)
    colours = palette(record.native_hu, enhancement(record.bolus, record.time_s))
    layers = colours[tissue].permute(3, 0, 1, 2)
    across = torch.tensor([[0.4, 0.4, 0.4]])  # voxels: a soft edge, as the labels have none
    layers = gaussian(layers[None], across)[0]
    mm = (index_lattice(grid.shape) - torch.tensor(grid.shape).sub(1).div(2).view(3, 1, 1, 1)) * torch.tensor(
        grid.spacing, dtype=torch.float32
    ).view(3, 1, 1, 1)
    fine, coarse, uneven = textures(record.texture_seed, 0.0, mm)
    native = layers[NATIVE] + layers[FINE] * fine + layers[COARSE] * coarse
    contrast = native + (layers[GAIN] + layers[MOIRE] * uneven).clamp_min_(0.0)
    one = record.acquisition
    if one is not None:
        i, j, k = grid.shape
        first, second = draw.noise([one.seed, record.contrast_seed], (k, i, j))
        second = record.shared_noise * first + (1 - record.shared_noise**2) ** 0.5 * second
        spacing = float(grid.spacing[0]), float(grid.spacing[1])
        native, contrast = (
            scanned(hu, spacing, depth, one, noise) for hu, noise in ((native, first), (contrast, second))
        )
    return CTPair(native, contrast, organs.to(torch.int16), grid, "phantom from labels")


def _tissues(organs: torch.Tensor, grid: Grid, record: FromLabelsDraw) -> tuple[torch.Tensor, torch.Tensor]:
    """(I, J, K) place in the palette of each voxel's tissue, and mm below the skin."""
    inner = _hull((organs > 0).numpy(), grid)
    outside_mm = distance_transform_edt(~inner, sampling=grid.spacing)
    skin = record.wall_mm + record.fat_mm
    tissue = torch.full(organs.shape, PLACES["air"])
    for thickness, name in ((skin + 2.0, "skin"), (skin, "fat"), (record.wall_mm, "muscle"), (0.0, "mesenteric fat")):
        tissue[torch.from_numpy(outside_mm <= thickness)] = PLACES[name]
    for organ, name in _FILLED.items():
        tissue[organs == ORGANS[organ]] = PLACES[name]
    for organ, (shell, core, thickness) in _SHELLED.items():
        inside = organs == ORGANS[organ]
        if bool(inside.any()):
            below = torch.from_numpy(distance_transform_edt(inside.numpy(), sampling=grid.spacing))
            tissue[inside] = PLACES[core]
            tissue[inside & (below <= thickness)] = PLACES[shell]
    depth = (skin + 2.0 - torch.from_numpy(outside_mm)).float()
    inward = torch.from_numpy(distance_transform_edt(inner, sampling=grid.spacing)).float()
    return tissue, depth + inward


def _hull(labelled: np.ndarray, grid: Grid, reach_mm: float = 60.0) -> np.ndarray:
    """What lies among the organs, slice by slice: bays and gaps up to twice `reach_mm` are closed, holes filled."""
    spacing = grid.spacing[:2]
    margin = [int(np.ceil(reach_mm / s)) + 1 for s in spacing]
    hull = np.zeros_like(labelled)
    for k in range(labelled.shape[2]):
        if labelled[:, :, k].any():
            padded = np.pad(labelled[:, :, k], [(m, m) for m in margin])
            grown = distance_transform_edt(~padded, sampling=spacing) <= reach_mm
            closed = binary_fill_holes(distance_transform_edt(grown, sampling=spacing) > reach_mm) | padded
            hull[:, :, k] = closed[margin[0] : -margin[0], margin[1] : -margin[1]]
    return hull
