"""Body habitus: outline, fat, abdominal wall, ribs, lungs. Body coordinates are RAS mm about the centre of the trunk,
z = 0 at the level of the kidneys."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from SlicerSynthReg.spatial.sampling import sample
from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.ct.canvas import FAR_MM, Canvas

LATTICE_MM = 14.0
EXTENT_MM = (560.0, 420.0, 520.0)
"""Spacing and extent of the lattice of the body's deformation."""


@dataclass(frozen=True)
class HabitusConfig:
    """Bounds of uniform draws in mm. depth_ratio: half depth over half width. bend: SD of the smooth deformation of the
    whole body. stature: factor on lengths along the body."""

    half_width: tuple[float, float] = (135.0, 195.0)
    depth_ratio: tuple[float, float] = (0.62, 0.76)
    fat: tuple[float, float] = (4.0, 36.0)
    wall: tuple[float, float] = (8.0, 15.0)
    stature: tuple[float, float] = (0.9, 1.12)
    bend: tuple[float, float] = (1.5, 4.5)


@dataclass(frozen=True)
class TrunkDraw:
    """Outline of the trunk, mm. exponent: of the superellipse (2: ellipse). taper: relative widening per 100 mm
    upwards. stature: factor on lengths along the body. furrow: depth of the posterior median furrow."""

    half_width: float
    half_depth: float
    exponent: float
    taper: float
    stature: float
    furrow: float


@dataclass(frozen=True)
class FatDraw:
    """Thickness of the subcutaneous fat, mm."""

    anterior: float
    lateral: float
    posterior: float


@dataclass(frozen=True)
class RibDraw:
    """spacing: between two ribs along z, drop: from back to front, phase: z offset; mm."""

    spacing: float
    drop: float
    phase: float


@dataclass(frozen=True)
class SpineDraw:
    """vertebra: height of a vertebra with its disc, mm. phase: position of the discs, 0 to 1."""

    vertebra: float
    phase: float


@dataclass(frozen=True)
class TrunkDeformationDraw:
    """Smooth deformation of the whole body. sd_mm: SD of the displacement."""

    sd_mm: float
    seed: int


@dataclass(frozen=True)
class HabitusDraw:
    """Habitus of one person, mm. wall: thickness of the abdominal wall. domes: z of the right and left dome of the
    diaphragm. table_gap: between back and table. pyramids: renal pyramids in a cross-section."""

    trunk: TrunkDraw
    fat: FatDraw
    wall: float
    domes: tuple[float, float]
    ribs: RibDraw
    spine: SpineDraw
    deformation: TrunkDeformationDraw
    table_gap: float
    pyramids: int

    @property
    def spine_y(self) -> float:
        """y of the centre of the vertebral bodies."""
        return -self.trunk.half_depth + self.fat.posterior + 70.0

    @property
    def scale(self) -> tuple[float, float]:
        """Space within the abdominal wall lateral and anterior to the spine, relative to a person of 320 x 220 mm."""
        lateral = (self.trunk.half_width - self.fat.lateral - self.wall) / 134.0
        anterior = (self.trunk.half_depth - self.fat.anterior - self.wall - self.spine_y) / 112.0
        return lateral, anterior


def draw_habitus(config: HabitusConfig, generator: torch.Generator) -> HabitusDraw:
    """Draw the habitus of one person."""

    def uniform(low: float, high: float) -> float:
        return draw.uniform(generator, low, high)

    width = uniform(*config.half_width)
    fat = uniform(*config.fat) * (0.6 + 0.4 * (width - 135.0) / 60.0)
    stature = uniform(*config.stature)
    dome = uniform(80.0, 112.0) * stature
    depth, exponent = width * uniform(*config.depth_ratio), uniform(2.1, 2.6)
    layers = FatDraw(fat * uniform(0.7, 1.3), fat * uniform(0.6, 1.2), fat * uniform(0.5, 1.2))
    wall, taper = uniform(*config.wall), uniform(-0.05, 0.05)
    domes = dome, dome - uniform(0.0, 18.0)
    ribs = RibDraw(uniform(24.0, 30.0) * stature, uniform(60.0, 95.0), uniform(0.0, 25.0))
    phase = uniform(0.0, 1.0)
    spine = SpineDraw(uniform(33.0, 38.0) * stature, phase)
    table_gap = uniform(1.0, 8.0) if draw.chance(generator, 0.85) else 300.0
    deformation = TrunkDeformationDraw(uniform(*config.bend), draw.seed(generator))
    pyramids = draw.integer(generator, 4, 6)
    trunk = TrunkDraw(width, depth, exponent, taper, stature, uniform(2.0, 12.0))
    return HabitusDraw(trunk, layers, wall, domes, ribs, spine, deformation, table_gap, pyramids)


def interpolate_lattice(lattice: torch.Tensor, points: torch.Tensor, center_z: float = 0.0) -> torch.Tensor:
    """Return a lattice (C, X, Y, Z) of LATTICE_MM, centred in the body, interpolated at points (3, ...): (C, ...)."""
    middle = [(n - 1) / 2 for n in lattice.shape[1:]]
    shift = (0.0, 0.0, center_z)
    index = torch.stack([(p - s) / LATTICE_MM + m for p, s, m in zip(points, shift, middle)])
    return sample(lattice[None], index[None], padding="border")[0]


def deform(habitus: HabitusDraw, points: torch.Tensor) -> torch.Tensor:
    """Return points (3, I, J, K), mm, displaced smoothly, so that no organ is a perfect solid."""
    shape = tuple(math.ceil(mm / LATTICE_MM) for mm in EXTENT_MM)
    field = gaussian(draw.noise([habitus.deformation.seed], (3, *shape), points.device), 2.0)
    field = field * (habitus.deformation.sd_mm / field.std())
    return points + interpolate_lattice(field[0], points)


@dataclass(frozen=True, eq=False)
class BodyDistances:
    """Distance maps (I, J, K), mm. depth: below the skin, negative outside. wall: to the inner surface of the abdominal
    wall, cavity: to the space of the abdominal organs below the lungs; both negative inside."""

    depth: torch.Tensor
    wall: torch.Tensor
    cavity: torch.Tensor


def paint_body_wall(canvas: Canvas, habitus: HabitusDraw) -> BodyDistances:
    """Paint table, skin, fat, abdominal wall and the fat within it; return the distance maps."""
    x, y, z = canvas.points
    everywhere = canvas.everywhere
    _paint_table(canvas, habitus)
    a = habitus.trunk.half_width * (1 + habitus.trunk.taper * z / 100)
    u, v = (x.abs() / a).clamp_min_(1e-4), (y.abs() / habitus.trunk.half_depth).clamp_min_(1e-4)
    n = habitus.trunk.exponent
    un, vn = u ** (n - 1), v ** (n - 1)
    r = (un * u + vn * v) ** (1 / n)
    slope = r ** (1 - n) * ((un / a).square_() + (vn / habitus.trunk.half_depth).square_()).sqrt_()
    depth = (1 - r) / slope.clamp_min_(1e-4)
    depth -= habitus.trunk.furrow * torch.exp(-((x / 24) ** 2)) * (y < 0)
    share_y = (y / habitus.trunk.half_depth).clamp_(-1, 1)
    front, back = share_y.clamp_min(0).square_(), share_y.clamp_max(0).square_()
    fat = habitus.fat.lateral + (habitus.fat.anterior - habitus.fat.lateral) * front
    fat += (habitus.fat.posterior - habitus.fat.lateral) * back
    canvas.paint(-depth, everywhere, "skin", 0)
    canvas.paint(2.0 - depth, everywhere, "fat")
    middle = fat - depth
    canvas.paint(middle, everywhere, "muscle")
    wall = middle + habitus.wall
    for layer in (0.36, 0.68):  # fat between the three flat muscles of the flank
        sheet = (middle + layer * habitus.wall).abs_() - 0.7
        canvas.paint(torch.maximum(sheet, 25.0 - x.abs()), everywhere, "fascia")
    line = torch.maximum(x.abs() - 5.0, torch.maximum(middle, -y))  # linea alba
    canvas.paint(torch.maximum(line, -wall), everywhere, "fascia")
    canvas.paint(wall, everywhere, "mesenteric fat")
    return BodyDistances(depth, wall, torch.maximum(wall, z - _dome(canvas, habitus)))


def _paint_table(canvas: Canvas, habitus: HabitusDraw) -> None:
    """Paint a curved table below the back."""
    x, y = canvas.axes[0], canvas.axes[1]
    top = -habitus.trunk.half_depth - habitus.table_gap + x.square() / 900
    below = (top[:, None] - y[None]).expand(len(x), len(y))
    shell = torch.maximum(-below, below - 24.0)
    shell = torch.maximum(shell, (x.abs() - 205.0)[:, None])[..., None].expand(canvas.points.shape[1:])
    everywhere = canvas.everywhere
    canvas.paint(shell, everywhere, "table cover")
    canvas.paint(shell + 1.5, everywhere, "table")


def _dome(canvas: Canvas, habitus: HabitusDraw) -> torch.Tensor:
    """Return z of the diaphragm at each voxel."""
    x, y, _ = canvas.points
    lateral, anterior = habitus.scale
    edge = 22.0 * habitus.trunk.stature
    right, left = (
        edge
        + (top - edge)
        * (
            1
            - ((x - side * 62 * lateral) / (88 * lateral)) ** 2
            - ((y - habitus.spine_y - 45 * anterior) / (92 * anterior)) ** 2
        )
        .clamp_min_(0)
        .sqrt_()
        for side, top in zip((1, -1), habitus.domes)
    )
    return torch.maximum(right, left)


def paint_lungs(canvas: Canvas, habitus: HabitusDraw, distances: BodyDistances) -> torch.Tensor | None:
    """Paint diaphragm and lungs over organs that extend above it, without the mediastinum. Return the distance to the
    lungs (I, J, K), or None if the slab ends below them."""
    x, y, z = canvas.points
    if float(z.max()) < 15.0:
        return None
    lateral, anterior = habitus.scale
    everywhere = canvas.everywhere
    above = (_dome(canvas, habitus) - z) * 0.75
    chest = torch.maximum(above, distances.wall + 1.0)
    canvas.paint(chest, everywhere, "diaphragm", 0)
    heart_side = ((x + 22 * lateral) / (52 * lateral)).square_() + (
        (y - habitus.spine_y - 52 * anterior) / (58 * anterior)
    ) ** 2
    beside_spine = (x / (30 * lateral)).square() + ((y - habitus.spine_y - 6) / 26).square_()
    middle = torch.minimum(heart_side, beside_spine).sqrt_()
    canvas.paint(torch.maximum(chest + 2.0, (middle - 1) * 40), everywhere, "mesenteric fat")
    lung = torch.maximum(chest + 3.0, (1 - middle) * 40)
    for side, label in ((x >= 0, 14), (x < 0, 11)):
        canvas.paint(torch.where(side, lung, lung.abs() + FAR_MM), everywhere, "lung", label)
    return lung


def paint_ribs(canvas: Canvas, habitus: HabitusDraw, distances: BodyDistances) -> None:
    """Paint ribs within the wall, descending from back to front; the lowest are short, the others end in cartilage."""
    x, y, z = canvas.points
    angle = torch.atan2(x.abs(), habitus.spine_y + 6 - y)  # 0 behind, pi in front
    height = z + habitus.ribs.drop * 0.5 * (1 - torch.cos(angle)) - 18 * habitus.trunk.stature - habitus.ribs.phase
    number = (height / habitus.ribs.spacing).floor()
    off = (height - (number + 0.5) * habitus.ribs.spacing) * 0.62
    inward = (distances.wall + habitus.wall * 0.35).abs()
    distance = (off.square_() + inward.square_()).sqrt_() - 4.2
    longest = torch.where(number < 1, 1.15, torch.where(number < 2, 1.65, 2.15))
    distance = torch.maximum(distance, (0.22 - angle) * 80)
    distance = torch.where(number < 0, FAR_MM, distance)
    everywhere = canvas.everywhere
    bone = torch.maximum(distance, (angle - longest) * 80)
    cartilage = torch.maximum(distance + 0.5, torch.maximum((longest - angle) * 80, (angle - 2.75) * 80))
    canvas.paint(torch.where(number < 2, FAR_MM, cartilage), everywhere, "cartilage", 117)
    canvas.paint(bone, everywhere, "cortical bone", 97)
    canvas.paint(bone + 1.4, everywhere, "cancellous bone")
