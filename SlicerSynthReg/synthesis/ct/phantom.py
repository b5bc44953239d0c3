"""Phantom of the abdomen in native and contrast-enhanced CT: drawn as a record, then synthesised on a grid.

The two scans differ by iodine alone, and optionally by noise and breathing, all of them known.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.ct.acquisition import AcquisitionConfig, AcquisitionDraw, draw_acquisition, simulate_scan
from SlicerSynthReg.synthesis.ct.bolus import BolusConfig, BolusDraw, draw_bolus, enhancement_hu
from SlicerSynthReg.synthesis.ct.bowel import paint_colon, paint_small_bowel, paint_stomach
from SlicerSynthReg.synthesis.ct.breathing import BreathingConfig, BreathingDraw, breathing_displacement, draw_breathing
from SlicerSynthReg.synthesis.ct.canvas import COARSE, FINE, GAIN, HETEROGENEITY, NATIVE, Canvas, tissue_palette
from SlicerSynthReg.synthesis.ct.habitus import (
    BodyDistances,
    HabitusConfig,
    HabitusDraw,
    deform,
    draw_habitus,
    paint_body_wall,
    paint_lungs,
    paint_ribs,
)
from SlicerSynthReg.synthesis.ct.spine import paint_back_muscles, paint_spine
from SlicerSynthReg.synthesis.ct.tissue import draw_tissues, sample_textures
from SlicerSynthReg.synthesis.ct.vessels import (
    paint_great_vessels,
    paint_liver_vessels,
    paint_lung_vessels,
    paint_mesentery,
)
from SlicerSynthReg.synthesis.ct.viscera import (
    AnatomySampler,
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


@dataclass(frozen=True, eq=False)
class CTPair:
    """Native and contrast-enhanced CT of one real or virtual patient on one grid.

    native, contrast: (I, J, K) float32 HU, neither clipped nor normalised; axes 0 and 1 in the slices, axis 2 caudal to
    cranial. labels: (I, J, K) int16, labels of organs.ORGANS on the native anatomy; None if unknown. u_vox:
    (3, I, J, K) voxels: the contrast scan at x shows the native anatomy at x + u(x); None for an exact pair.
    """

    native: torch.Tensor
    contrast: torch.Tensor
    labels: torch.Tensor | None
    grid: Grid
    name: str = ""
    u_vox: torch.Tensor | None = None


@dataclass(frozen=True)
class PhantomConfig:
    """shape, spacing_mm: of the slab. zoom: bounds of a factor on the in-plane spacing. level_mm: bounds of the slab's
    centre above the kidneys. time_s: bounds of the contrast scan's time after the start of injection: 22 to 40
    arterial, 60 to 90 portal venous. lesions: probability of lesions in liver and each kidney. oral: probability of
    oral contrast, present in both scans. misregistration_mm: maximum shift by breathing. shared_noise: correlation of
    the noise of both scans, 0 to 1. noise_free: omit kernel and noise."""

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
    """One patient and two scans. center_mm: of the slab in body coordinates. native_hu: by tissue. organ_seeds: one per
    organ. breathing: None for scans in one breath-hold. acquisition: None for true HU."""

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
    """Draw one patient and two scans."""
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
    """Return both scans; the contrast scan is the native one plus iodine, then kernel and noise. Labels: native."""
    grid = slab_grid(record)
    palette = tissue_palette(record.native_hu, enhancement_hu(record.bolus, record.time_s)).to(device)
    axes = body_coordinates(record, device)
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    canvas, distances = _paint_anatomy(record, axes, points, palette)
    native, enhancement = _tissue_hu(record, canvas)
    contrast, u_vox = native + enhancement, None
    if record.breathing is not None:
        u_mm = breathing_displacement(record.breathing, record.habitus, distances.wall, canvas.points)
        moved, _ = _paint_anatomy(record, axes, points + u_mm, palette, float(u_mm.abs().max()))
        moved_native, moved_gain = _tissue_hu(record, moved)
        contrast = moved_native + moved_gain
        signs = torch.tensor(grid.directions.diagonal().copy() * grid.spacing, dtype=torch.float32, device=device)
        u_vox = u_mm / signs.view(3, 1, 1, 1)
    native, contrast = _simulate_scans(record, native, contrast, distances.depth)
    return CTPair(native, contrast, canvas.labels.to(torch.int16), grid, "phantom", u_vox)


def slab_grid(record: PhantomDraw) -> Grid:
    """Return the grid of a supine patient as scanners store it: axes L, P, S."""
    steps = np.array(record.spacing_mm) * [-1, -1, 1]
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = np.array(record.center_mm) - steps * (np.array(record.shape) - 1) / 2
    return Grid(record.shape, affine)


def body_coordinates(
    record: PhantomDraw, device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return x, y and z in mm (RAS) of the slab's voxels along its array axes."""
    grid = slab_grid(record)
    x, y, z = (
        (torch.arange(n, dtype=torch.float64) * float(grid.affine[a, a]) + float(grid.affine[a, 3])).float().to(device)
        for a, n in enumerate(record.shape)
    )
    return x, y, z


def _paint_anatomy(
    record: PhantomDraw,
    axes: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    points: torch.Tensor,
    palette: torch.Tensor,
    shifted_mm: float = 0.0,
) -> tuple[Canvas, BodyDistances]:
    habitus = record.habitus
    thickness = 1.0 if record.acquisition is None else record.acquisition.thickness
    across = (record.spacing_mm[0] + record.spacing_mm[1]) / 2
    canvas = Canvas(
        deform(habitus, points), axes, 3.5 * habitus.deformation.sd_mm + shifted_mm, palette, across,
        record.spacing_mm[2] * thickness,
    )  # fmt: skip
    distances = paint_body_wall(canvas, habitus)
    bowel, stomach, colon, pancreas, spleen, liver, kidneys, right, left, vessels, heart, rest = (
        AnatomySampler(habitus, seed) for seed in record.organ_seeds
    )
    loops = paint_small_bowel(canvas, bowel, distances, record.oral)
    paint_mesentery(canvas, rest, loops)
    paint_colon(canvas, colon, distances, record.oral)
    paint_stomach(canvas, stomach, distances, record.oral)
    paint_pancreas(canvas, pancreas, distances)
    paint_back_muscles(canvas, habitus, distances)
    centers = kidney_center(kidneys, 1), kidney_center(kidneys, -1)
    paint_kidney(canvas, right, 1, centers[0], habitus.pyramids, record.lesions)
    paint_kidney(canvas, left, -1, centers[1], habitus.pyramids, record.lesions)
    paint_spleen(canvas, spleen, distances)
    inside = paint_liver(canvas, liver, distances, record.lesions)
    if inside is not None:
        paint_liver_vessels(canvas, liver, inside)
        paint_gallbladder(canvas, rest, distances)
    paint_adrenals(canvas, rest)
    lungs = paint_lungs(canvas, habitus, distances)
    if lungs is not None:
        paint_lung_vessels(canvas, heart, lungs, habitus)
    paint_heart(canvas, heart, habitus)
    paint_spine(canvas, habitus)
    paint_great_vessels(canvas, vessels, centers)
    paint_ribs(canvas, habitus, distances)
    return canvas, distances


def _tissue_hu(record: PhantomDraw, canvas: Canvas) -> tuple[torch.Tensor, torch.Tensor]:
    """Return native HU and enhancement in HU, (I, J, K) each, with texture, before kernel and noise."""
    fine, coarse, heterogeneity = sample_textures(record.texture_seed, record.center_mm[2], canvas.points)
    native = canvas.layer(NATIVE) + canvas.layer(FINE) * fine + canvas.layer(COARSE) * coarse
    return native, (canvas.layer(GAIN) + canvas.layer(HETEROGENEITY) * heterogeneity).clamp_min_(0.0)


def _simulate_scans(
    record: PhantomDraw, native: torch.Tensor, contrast: torch.Tensor, depth: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    acquisition = record.acquisition
    if acquisition is None:
        return native, contrast
    i, j, k = record.shape
    first, second = draw.noise([acquisition.seed, record.contrast_seed], (k, i, j), native.device)
    correlation = record.shared_noise
    second = correlation * first + (1 - correlation**2) ** 0.5 * second
    spacing = record.spacing_mm[:2]
    return (
        simulate_scan(native, spacing, depth, acquisition, first),
        simulate_scan(contrast, spacing, depth, acquisition, second),
    )
