"""Label maps of random shapes (Hoffmann et al. 2022, SynthMorph, section II-D.1): argmax over J warped smooth noise
images."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.spatial.sampling import resize, sample_displaced
from SlicerSynthReg.spatial.transform import exponential
from SlicerSynthReg.synthesis import draw


@dataclass(frozen=True)
class ShapesConfig:
    """labels: J. resolution: r_p; noise is drawn at 1:r_p. velocity_sd: b_p, in full-resolution voxels times r_p / 32.
    working: the noise is warped at 1:working and upsampled; it varies over tens of voxels."""

    labels: int = 26
    resolution: int = 32
    velocity_sd: float = 100.0
    squarings: int = 5
    working: int = 4


@dataclass(frozen=True)
class ShapesDraw:
    """shapes: for each label the seed of its noise, and SD and seed of its velocity field."""

    shapes: tuple[tuple[int, float, int], ...]
    resolution: int
    squarings: int
    working: int


def draw_shapes(config: ShapesConfig, generator: torch.Generator) -> ShapesDraw:
    """Draw a map of random shapes."""
    shapes = tuple(
        (draw.seed(generator), draw.uniform(generator, 0.0, config.velocity_sd), draw.seed(generator))
        for _ in range(config.labels)
    )
    return ShapesDraw(shapes, config.resolution, config.squarings, config.working)


def make_shapes(record: ShapesDraw, shape: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """Return the label map (I, J, K) uint8 with values 0..J-1."""
    coarse = draw.coarse_shape(shape, record.resolution)
    work = draw.coarse_shape(shape, record.working)
    lattice = index_lattice(work, device)
    best = torch.full(shape, -torch.inf, device=device)
    labels = torch.zeros(shape, dtype=torch.uint8, device=device)
    for label, (noise_seed, sd, warp_seed) in enumerate(record.shapes):
        image = resize(draw.noise([noise_seed], (1, *coarse), device), work)
        v = resize(draw.noise([warp_seed], (3, *coarse), device), work) * (sd / record.working)
        u = exponential(v, record.squarings, lattice)
        value = resize(sample_displaced(image, u, lattice), shape)[0, 0]
        wins = value > best
        best = torch.where(wins, value, best)
        labels.masked_fill_(wins, label)
    return labels
