"""A virtual patient's abdomen, native and with contrast: drawn as a record, then made on a grid.

Everything that differs between the two scans is known: iodine alone, and, where asked for, noise and breathing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.ct.acquire import AcquisitionConfig, AcquisitionDraw, draw_acquisition, scanned
from SlicerSynthReg.synth.ct.bolus import BolusConfig, BolusDraw, draw_bolus, enhancement
from SlicerSynthReg.synth.ct.breathing import BreathingConfig, BreathingDraw, breathed, draw_breathing
from SlicerSynthReg.synth.ct.canvas import COARSE, FINE, GAIN, MOIRE, NATIVE, Canvas, palette
from SlicerSynthReg.synth.ct.gut import paint_colon, paint_small_bowel, paint_stomach
from SlicerSynthReg.synth.ct.habitus import (
    Frame,
    HabitusConfig,
    HabitusDraw,
    bent,
    draw_habitus,
    paint_lungs,
    paint_outside,
    paint_ribs,
)
from SlicerSynthReg.synth.ct.pair import CTPair
from SlicerSynthReg.synth.ct.spine import paint_back, paint_spine
from SlicerSynthReg.synth.ct.texture import textures
from SlicerSynthReg.synth.ct.tissue import draw_tissues
from SlicerSynthReg.synth.ct.vessels import (
    paint_great_vessels,
    paint_liver_vessels,
    paint_lung_vessels,
    paint_mesentery,
)
from SlicerSynthReg.synth.ct.viscera import (
    Places,
    kidney_center,
    paint_adrenals,
    paint_gallbladder,
    paint_heart,
    paint_kidney,
    paint_liver,
    paint_pancreas,
    paint_spleen,
)

ORGAN_SEEDS = 12


@dataclass(frozen=True)
class PhantomConfig:
    """shape, spacing_mm: of the slab; zoom: bounds of a factor on the spacing within slices. level_mm: bounds of the
    slab's middle above the kidneys. time_s: bounds of the contrast scan's time after the injection began: 22-40
    arterial, 60-90 portal venous. lesions: chance of lesions in liver and in each kidney; oral: chance of contrast
    that was drunk, which is in both scans. misregistration_mm: largest shift by breathing. shared_noise: 0 for two
    noises, 1 for the same in both, between for their correlation. noise_free leaves kernel and noise out."""

    shape: tuple[int, int, int] = (160, 160, 24)
    spacing_mm: tuple[float, float, float] = (2.4, 2.4, 5.0)
    zoom: tuple[float, float] = (0.85, 1.1)
    level_mm: tuple[float, float] = (-60.0, 100.0)
    time_s: tuple[float, float] = (24.0, 40.0)
    lesions: float = 0.35
    oral: float = 0.08
    misregistration_mm: float = 0.0
    shared_noise: float = 0.0
    noise_free: bool = False
    habitus: HabitusConfig = field(default_factory=HabitusConfig)
    bolus: BolusConfig = field(default_factory=BolusConfig)
    acquisition: AcquisitionConfig = field(default_factory=AcquisitionConfig)


@dataclass(frozen=True)
class PhantomDraw:
    """One patient and two scans. center_mm: of the slab in body coordinates; native_hu: by tissue; organ_seeds: one for
    each organ's shape; breathing: None where both scans were taken in the same breath-hold; acquisition: None for true
    HU."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    center_mm: tuple[float, float, float]
    habitus: HabitusDraw
    native_hu: tuple[float, ...]
    bolus: BolusDraw
    time_s: float
    lesions: float
    oral: bool
    organ_seeds: tuple[int, ...]
    texture_seed: int
    breathing: BreathingDraw | None
    acquisition: AcquisitionDraw | None
    contrast_seed: int
    shared_noise: float


def draw_phantom(config: PhantomConfig, generator: torch.Generator) -> PhantomDraw:
    zoom = draw.uniform(generator, *config.zoom)
    across_i, across_j, through = config.spacing_mm
    x, y = (draw.uniform(generator, -12, 12) for _ in range(2))
    breathing = draw_breathing(BreathingConfig(config.misregistration_mm), generator)
    acquisition = draw_acquisition(config.acquisition, generator)
    return PhantomDraw(
        shape=config.shape,
        spacing_mm=(across_i * zoom, across_j * zoom, through),
        center_mm=(x, y - 8.0, draw.uniform(generator, *config.level_mm)),
        habitus=draw_habitus(config.habitus, generator),
        native_hu=draw_tissues(generator),
        bolus=draw_bolus(config.bolus, generator),
        time_s=draw.uniform(generator, *config.time_s),
        lesions=config.lesions,
        oral=draw.chance(generator, config.oral),
        organ_seeds=tuple(draw.seed(generator) for _ in range(ORGAN_SEEDS)),
        texture_seed=draw.seed(generator),
        breathing=breathing if config.misregistration_mm > 0 else None,
        acquisition=None if config.noise_free else acquisition,
        contrast_seed=draw.seed(generator),
        shared_noise=config.shared_noise,
    )


def make_phantom(record: PhantomDraw, device: torch.device | str = "cpu") -> CTPair:
    """The pair of scans; labels are the native's. The contrast is the native plus iodine, then kernel and noise."""
    grid = slab_grid(record)
    colours = palette(record.native_hu, enhancement(record.bolus, record.time_s)).to(device)
    straight = body_coordinates(record, device)
    points = torch.stack(torch.meshgrid(*straight, indexing="ij"))
    canvas, frame = _painted(record, straight, points, colours)
    native, gained = _hu(record, canvas)
    contrast, u_vox = native + gained, None
    if record.breathing is not None:
        u_mm = breathed(record.breathing, record.habitus, frame.wall, canvas.points)
        moved, _ = _painted(record, straight, points + u_mm, colours, float(u_mm.abs().max()))
        moved_native, moved_gain = _hu(record, moved)
        contrast = moved_native + moved_gain
        signs = torch.tensor(grid.directions.diagonal().copy() * grid.spacing, dtype=torch.float32, device=device)
        u_vox = u_mm / signs.view(3, 1, 1, 1)
    native, contrast = _scans(record, native, contrast, frame.depth)
    return CTPair(native, contrast, canvas.labels.to(torch.int16), grid, "phantom", u_vox)


def slab_grid(record: PhantomDraw) -> Grid:
    """As a scanner stores a supine patient: i runs left, j posterior, k up."""
    steps = np.array(record.spacing_mm) * [-1, -1, 1]
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = np.array(record.center_mm) - steps * (np.array(record.shape) - 1) / 2
    return Grid(record.shape, affine)


def body_coordinates(
    record: PhantomDraw, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x, y and z in mm (RAS) of the slab's voxels along its three axes."""
    grid = slab_grid(record)
    x, y, z = (
        (torch.arange(n, dtype=torch.float64) * float(grid.affine[a, a]) + float(grid.affine[a, 3])).float().to(device)
        for a, n in enumerate(record.shape)
    )
    return x, y, z


def _painted(
    record: PhantomDraw,
    straight: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    points: torch.Tensor,
    colours: torch.Tensor,
    shifted_mm: float = 0.0,
) -> tuple[Canvas, Frame]:
    habitus = record.habitus
    thickness = 1.0 if record.acquisition is None else record.acquisition.thickness
    across = (record.spacing_mm[0] + record.spacing_mm[1]) / 2
    canvas = Canvas(
        bent(habitus, points), straight, 3.5 * habitus.bend_mm + shifted_mm, colours, across,
        record.spacing_mm[2] * thickness,
    )  # fmt: skip
    frame = paint_outside(canvas, habitus)
    bowel, stomach, colon, pancreas, spleen, liver, kidneys, right, left, vessels, heart, rest = (
        Places(habitus, seed) for seed in record.organ_seeds
    )
    loops = paint_small_bowel(canvas, bowel, frame, record.oral)
    paint_mesentery(canvas, rest, loops)
    paint_colon(canvas, colon, frame, record.oral)
    paint_stomach(canvas, stomach, frame, record.oral)
    paint_pancreas(canvas, pancreas, frame)
    paint_back(canvas, habitus, frame)
    centers = kidney_center(kidneys, 1), kidney_center(kidneys, -1)
    paint_kidney(canvas, right, 1, centers[0], habitus.pyramids, record.lesions)
    paint_kidney(canvas, left, -1, centers[1], habitus.pyramids, record.lesions)
    paint_spleen(canvas, spleen, frame)
    inside = paint_liver(canvas, liver, frame, record.lesions)
    if inside is not None:
        paint_liver_vessels(canvas, liver, inside)
        paint_gallbladder(canvas, rest, frame)
    paint_adrenals(canvas, rest)
    lungs = paint_lungs(canvas, habitus, frame)
    if lungs is not None:
        paint_lung_vessels(canvas, heart, lungs, habitus)
    paint_heart(canvas, heart, habitus)
    paint_spine(canvas, habitus)
    paint_great_vessels(canvas, vessels, centers)
    paint_ribs(canvas, habitus, frame)
    return canvas, frame


def _hu(record: PhantomDraw, canvas: Canvas) -> tuple[torch.Tensor, torch.Tensor]:
    """(I, J, K) native HU and HU gained by iodine, with texture, before kernel and noise."""
    fine, coarse, uneven = textures(record.texture_seed, record.center_mm[2], canvas.points)
    native = canvas.layer(NATIVE) + canvas.layer(FINE) * fine + canvas.layer(COARSE) * coarse
    return native, (canvas.layer(GAIN) + canvas.layer(MOIRE) * uneven).clamp_min_(0.0)


def _scans(
    record: PhantomDraw, native: torch.Tensor, contrast: torch.Tensor, depth: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    one = record.acquisition
    if one is None:
        return native, contrast
    i, j, k = record.shape
    first, second = draw.noise([one.seed, record.contrast_seed], (k, i, j), native.device)
    share = record.shared_noise
    second = share * first + (1 - share**2) ** 0.5 * second
    spacing = record.spacing_mm[:2]
    return scanned(native, spacing, depth, one, first), scanned(contrast, spacing, depth, one, second)
