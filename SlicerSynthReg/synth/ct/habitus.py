"""One person's build: outline, fat, body wall, ribs, spine, lungs. Body coordinates are RAS mm about the middle of the
trunk, z = 0 at the level of the kidneys."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from SlicerSynthReg.space.sampling import sample
from SlicerSynthReg.space.smoothing import gaussian
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.ct.canvas import FAR_MM, Canvas

LATTICE_MM = 14.0
EXTENT_MM = (560.0, 420.0, 520.0)
"""Spacing and extent of the lattice that the body's bending is drawn on."""


@dataclass(frozen=True)
class HabitusConfig:
    """Bounds of uniform draws in mm; `bend` is the SD of the smooth bending of the whole body."""

    half_width: tuple[float, float] = (135.0, 195.0)
    depth_share: tuple[float, float] = (0.62, 0.76)
    fat: tuple[float, float] = (4.0, 36.0)
    wall: tuple[float, float] = (8.0, 15.0)
    stature: tuple[float, float] = (0.9, 1.12)
    bend: tuple[float, float] = (1.5, 4.5)


@dataclass(frozen=True)
class HabitusDraw:
    """half_width, half_depth: of the trunk; roundness: exponent of its outline (2: ellipse); fat_front, fat_side,
    fat_back, wall: thickness; taper: widening per 100 mm upwards; domes: z of the right and the left lung's base;
    rib_step, rib_drop: z between two ribs and how far one falls from back to front; groove: depth of the
    back's furrow."""

    half_width: float
    half_depth: float
    roundness: float
    fat_front: float
    fat_side: float
    fat_back: float
    wall: float
    taper: float
    stature: float
    domes: tuple[float, float]
    rib_step: float
    rib_drop: float
    rib_phase: float
    disc_phase: float
    vertebra: float
    table_gap: float
    bend_mm: float
    bend_seed: int
    pyramids: int
    groove: float

    @property
    def spine_y(self) -> float:
        """Of the vertebral bodies' middle."""
        return -self.half_depth + self.fat_back + 70.0

    @property
    def scale(self) -> tuple[float, float]:
        """Room inside the wall beside and before the spine, against a man of 320 x 220 mm."""
        beside = (self.half_width - self.fat_side - self.wall) / 134.0
        before = (self.half_depth - self.fat_front - self.wall - self.spine_y) / 112.0
        return beside, before


def draw_habitus(config: HabitusConfig, generator: torch.Generator) -> HabitusDraw:
    width = draw.uniform(generator, *config.half_width)
    fat = draw.uniform(generator, *config.fat) * (0.6 + 0.4 * (width - 135.0) / 60.0)
    stature = draw.uniform(generator, *config.stature)
    dome = draw.uniform(generator, 80.0, 112.0) * stature
    return HabitusDraw(
        half_width=width,
        half_depth=width * draw.uniform(generator, *config.depth_share),
        roundness=draw.uniform(generator, 2.1, 2.6),
        fat_front=fat * draw.uniform(generator, 0.7, 1.3),
        fat_side=fat * draw.uniform(generator, 0.6, 1.2),
        fat_back=fat * draw.uniform(generator, 0.5, 1.2),
        wall=draw.uniform(generator, *config.wall),
        taper=draw.uniform(generator, -0.05, 0.05),
        stature=stature,
        domes=(dome, dome - draw.uniform(generator, 0.0, 18.0)),
        rib_step=draw.uniform(generator, 24.0, 30.0) * stature,
        rib_drop=draw.uniform(generator, 60.0, 95.0),
        rib_phase=draw.uniform(generator, 0.0, 25.0),
        disc_phase=draw.uniform(generator, 0.0, 1.0),
        vertebra=draw.uniform(generator, 33.0, 38.0) * stature,
        table_gap=draw.uniform(generator, 1.0, 8.0) if draw.chance(generator, 0.85) else 300.0,
        bend_mm=draw.uniform(generator, *config.bend),
        bend_seed=draw.seed(generator),
        pyramids=draw.integer(generator, 4, 6),
        groove=draw.uniform(generator, 2.0, 12.0),
    )


def on_lattice(lattice: torch.Tensor, points: torch.Tensor, center_z: float = 0.0) -> torch.Tensor:
    """Values (C, ...) of a lattice (C, X, Y, Z) of LATTICE_MM, centred in the body, at points (3, ...)."""
    middle = [(n - 1) / 2 for n in lattice.shape[1:]]
    shift = (0.0, 0.0, center_z)
    index = torch.stack([(p - s) / LATTICE_MM + m for p, s, m in zip(points, shift, middle)])
    return sample(lattice[None], index[None], padding="border")[0]


def bent(habitus: HabitusDraw, points: torch.Tensor) -> torch.Tensor:
    """points (3, I, J, K) -> the same, smoothly displaced, so that no organ is a perfect solid."""
    shape = tuple(math.ceil(mm / LATTICE_MM) for mm in EXTENT_MM)
    field = gaussian(draw.noise([habitus.bend_seed], (3, *shape), points.device), 2.0)
    field = field * (habitus.bend_mm / field.std())
    return points + on_lattice(field[0], points)


@dataclass(frozen=True, eq=False)
class Frame:
    """Distances (I, J, K) in mm. depth: below the skin, negative outside. wall: of the inside of the body wall, and
    cavity: of the room for organs, below the lungs; both negative inside."""

    depth: torch.Tensor
    wall: torch.Tensor
    cavity: torch.Tensor


def paint_outside(canvas: Canvas, habitus: HabitusDraw) -> Frame:
    """Table, skin, fat, muscle wall and the fat inside it."""
    x, y, z = canvas.points
    everywhere = canvas.everywhere
    _paint_table(canvas, habitus)
    a = habitus.half_width * (1 + habitus.taper * z / 100)
    u, v = (x.abs() / a).clamp_min_(1e-4), (y.abs() / habitus.half_depth).clamp_min_(1e-4)
    n = habitus.roundness
    un, vn = u ** (n - 1), v ** (n - 1)
    r = (un * u + vn * v) ** (1 / n)
    slope = r ** (1 - n) * ((un / a).square_() + (vn / habitus.half_depth).square_()).sqrt_()
    depth = (1 - r) / slope.clamp_min_(1e-4)
    depth -= habitus.groove * torch.exp(-((x / 24) ** 2)) * (y < 0)
    share_y = (y / habitus.half_depth).clamp_(-1, 1)
    front, back = share_y.clamp_min(0).square_(), share_y.clamp_max(0).square_()
    fat = habitus.fat_side + (habitus.fat_front - habitus.fat_side) * front
    fat += (habitus.fat_back - habitus.fat_side) * back
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
    return Frame(depth, wall, torch.maximum(wall, z - _dome(canvas, habitus)))


def _paint_table(canvas: Canvas, habitus: HabitusDraw) -> None:
    """A shallow trough under the back."""
    x, y = canvas.straight[0], canvas.straight[1]
    top = -habitus.half_depth - habitus.table_gap + x.square() / 900
    below = (top[:, None] - y[None]).expand(len(x), len(y))
    shell = torch.maximum(-below, below - 24.0)
    shell = torch.maximum(shell, (x.abs() - 205.0)[:, None])[..., None].expand(canvas.points.shape[1:])
    everywhere = canvas.everywhere
    canvas.paint(shell, everywhere, "table cover")
    canvas.paint(shell + 1.5, everywhere, "table")


def _dome(canvas: Canvas, habitus: HabitusDraw) -> torch.Tensor:
    """z of the diaphragm at each voxel."""
    x, y, _ = canvas.points
    wide, before = habitus.scale
    edge = 22.0 * habitus.stature
    right, left = (
        edge
        + (top - edge)
        * (1 - ((x - side * 62 * wide) / (88 * wide)) ** 2 - ((y - habitus.spine_y - 45 * before) / (92 * before)) ** 2)
        .clamp_min_(0)
        .sqrt_()
        for side, top in zip((1, -1), habitus.domes)
    )
    return torch.maximum(right, left)


def paint_lungs(canvas: Canvas, habitus: HabitusDraw, frame: Frame) -> torch.Tensor | None:
    """Diaphragm and lungs over whatever reached above it; the middle of the chest is left to heart and vessels. Returns
    the lungs' distance (I, J, K), None where the slab ends below them."""
    x, y, z = canvas.points
    if float(z.max()) < 15.0:
        return None
    wide, before = habitus.scale
    everywhere = canvas.everywhere
    above = (_dome(canvas, habitus) - z) * 0.75
    chest = torch.maximum(above, frame.wall + 1.0)
    canvas.paint(chest, everywhere, "diaphragm", 0)
    heart_side = ((x + 22 * wide) / (52 * wide)).square_() + ((y - habitus.spine_y - 52 * before) / (58 * before)) ** 2
    beside_spine = (x / (30 * wide)).square() + ((y - habitus.spine_y - 6) / 26).square_()
    middle = torch.minimum(heart_side, beside_spine).sqrt_()
    canvas.paint(torch.maximum(chest + 2.0, (middle - 1) * 40), everywhere, "mesenteric fat")
    lung = torch.maximum(chest + 3.0, (1 - middle) * 40)
    for side, label in ((x >= 0, 14), (x < 0, 11)):
        canvas.paint(torch.where(side, lung, lung.abs() + FAR_MM), everywhere, "lung", label)
    return lung


def paint_ribs(canvas: Canvas, habitus: HabitusDraw, frame: Frame) -> None:
    """Ribs run in the wall and fall from back to front; the lowest are short, the others end in cartilage."""
    x, y, z = canvas.points
    angle = torch.atan2(x.abs(), habitus.spine_y + 6 - y)  # 0 behind, pi in front
    height = z + habitus.rib_drop * 0.5 * (1 - torch.cos(angle)) - 18 * habitus.stature - habitus.rib_phase
    number = (height / habitus.rib_step).floor()
    off = (height - (number + 0.5) * habitus.rib_step) * 0.62
    inward = (frame.wall + habitus.wall * 0.35).abs()
    distance = (off.square_() + inward.square_()).sqrt_() - 4.2
    longest = torch.where(number < 1, 1.15, torch.where(number < 2, 1.65, 2.15))
    distance = torch.maximum(distance, (0.22 - angle) * 80)
    distance = torch.where(number < 0, FAR_MM, distance)
    everywhere = canvas.everywhere
    bone = torch.maximum(distance, (angle - longest) * 80)
    gristle = torch.maximum(distance + 0.5, torch.maximum((longest - angle) * 80, (angle - 2.75) * 80))
    canvas.paint(torch.where(number < 2, FAR_MM, gristle), everywhere, "cartilage", 117)
    canvas.paint(bone, everywhere, "cortical bone", 97)
    canvas.paint(bone + 1.4, everywhere, "cancellous bone")
