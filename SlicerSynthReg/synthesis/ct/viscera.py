"""Solid organs with lesions: liver, spleen, kidneys, pancreas, adrenals, gallbladder, heart."""

from __future__ import annotations

import math

import numpy as np
import torch

from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.ct.canvas import FAR_MM, Canvas
from SlicerSynthReg.synthesis.ct.habitus import BodyDistances, HabitusDraw
from SlicerSynthReg.synthesis.ct.organs import ORGANS
from SlicerSynthReg.synthesis.ct.solids import BlendedUnion, Ellipsoid, Point, Tube, spline_tube


class AnatomySampler:
    """Maps positions of an average person (mm right of, anterior to and above the spine at the kidneys) to one person,
    with random jitter. Each organ has its own generator, so that a further lesion does not move a kidney."""

    def __init__(self, habitus: HabitusDraw, seed: int) -> None:
        self.width_scale, self.depth_scale = habitus.scale
        self.spine_y, self.height_scale = habitus.spine_y, habitus.trunk.stature
        self.generator = torch.Generator().manual_seed(seed)

    def position(self, x: float, y: float, z: float, jitter_mm: float = 0.0) -> Point:
        """Return a position in body coordinates, mm."""
        g = self.generator
        dx, dy, dz = (draw.uniform(g, -jitter_mm, jitter_mm) for _ in range(3))
        return (x + dx) * self.width_scale, self.spine_y + (y + dy) * self.depth_scale, (z + dz) * self.height_scale

    def radii(self, x: float, y: float, z: float, spread: float = 0.12) -> Point:
        """Return radii of an organ, mm; they grow less than the body, of which fat between organs takes more."""
        scale_x, scale_y, scale_z = (draw.uniform(self.generator, 1 - spread, 1 + spread) for _ in range(3))
        return x * scale_x * self.width_scale**0.6, y * scale_y * self.depth_scale**0.6, z * scale_z * self.height_scale

    def uniform(self, low: float, high: float) -> float:
        """Return a uniform number."""
        return draw.uniform(self.generator, low, high)

    def chance(self, probability: float) -> bool:
        """Return True with `probability`."""
        return draw.chance(self.generator, probability)

    def count(self, low: int, high: int) -> int:
        """Return a uniform integer from low to high."""
        return draw.integer(self.generator, low, high)

    def unit_vector(self) -> np.ndarray:
        """Return a random direction (3,)."""
        v = torch.randn(3, generator=self.generator).double().numpy()
        return np.asarray(v / np.linalg.norm(v))


def liver_solid(sampler: AnatomySampler) -> BlendedUnion:
    """Return the liver's shape."""
    right = Ellipsoid(sampler.position(74, 38, 62, 5), sampler.radii(70, 84, 58), (0, sampler.uniform(-8, 8), 0))
    tip = Ellipsoid(sampler.position(98, 24, 14, 8), sampler.radii(34, 52, 58, 0.25), (0, sampler.uniform(-12, 12), 0))
    top = Ellipsoid(sampler.position(60, 50, 70, 4), sampler.radii(70, 66, 50))
    left = Ellipsoid(sampler.position(0, 82, 68, 6), sampler.radii(74, 30, 34, 0.25), (0, sampler.uniform(-12, 12), 0))
    hilum = Ellipsoid(sampler.position(4, 18, -2, 4), sampler.radii(46, 58, 58))
    return BlendedUnion((right, tip, top, left), (hilum,), 14.0)


def paint_liver(
    canvas: Canvas, sampler: AnatomySampler, distances: BodyDistances, lesions: float
) -> torch.Tensor | None:
    """Paint the liver with lesions; return the distance to its surface (I, J, K), or None if it is outside the slab."""
    solid = liver_solid(sampler)
    low, high = solid.box()
    box = canvas.bounding_slices(low, high)
    if box is None:
        return None
    inside = torch.maximum(solid.distance(canvas.points[(slice(None), *box)]), distances.cavity[box] + 4.0)
    canvas.paint(inside, box, "liver", ORGANS["liver"])
    distance = torch.full_like(distances.cavity, FAR_MM)
    distance[box] = inside
    for _ in range(sampler.count(1, 4) if sampler.chance(lesions) else 0):
        kind = ("cyst", "hypervascular", "hypovascular")[sampler.count(0, 2)]
        size = sampler.uniform(3, 16)
        at = sampler.position(sampler.uniform(20, 120), sampler.uniform(0, 90), sampler.uniform(0, 90))
        canvas.paint_solid(Ellipsoid(at, sampler.radii(size, size, size, 0.3)), kind, within=distance + 2.0)
    return distance


def paint_gallbladder(canvas: Canvas, sampler: AnatomySampler, distances: BodyDistances) -> None:
    """Paint the gallbladder, sometimes with stones."""
    if sampler.chance(0.15):  # after cholecystectomy
        return
    size = sampler.uniform(0.7, 1.3)
    at = sampler.position(42, 74, 12, 6)
    bladder = Ellipsoid(at, (13 * size, 26 * size, 17 * size), (sampler.uniform(-25, 0), 0, sampler.uniform(-30, 10)))
    canvas.paint_solid(bladder, "organ wall", ORGANS["gallbladder"], distances.cavity, 1.2)
    canvas.paint_solid(bladder, "gallbladder", ORGANS["gallbladder"], distances.cavity)
    for _ in range(sampler.count(1, 4) if sampler.chance(0.12) else 0):
        stone = (at[0] + sampler.uniform(-6, 6), at[1] - 14 * size, at[2] + sampler.uniform(-6, 6))
        canvas.paint_solid(Ellipsoid(stone, (3.0, 3.0, 3.0)), "gallstone", within=distances.cavity)


def paint_spleen(canvas: Canvas, sampler: AnatomySampler, distances: BodyDistances) -> None:
    """Paint the spleen."""
    body = Ellipsoid(sampler.position(-96, 2, 54, 5), sampler.radii(32, 54, 50, 0.2), (0, 0, sampler.uniform(-15, 15)))
    hollow = Ellipsoid(sampler.position(-56, 22, 54, 5), sampler.radii(34, 46, 58))
    canvas.paint_solid(BlendedUnion((body,), (hollow,), 6.0), "spleen", ORGANS["spleen"], distances.cavity + 2.0)


def paint_pancreas(canvas: Canvas, sampler: AnatomySampler, distances: BodyDistances) -> None:
    """Paint the pancreas."""
    thick = sampler.uniform(0.75, 1.15)
    line = [
        sampler.position(36, 30, -22, 3),
        sampler.position(34, 38, -4, 3),
        sampler.position(14, 46, 8, 3),
        sampler.position(-14, 48, 16, 3),
        sampler.position(-42, 30, 28, 4),
        sampler.position(-72, 16, 40, 5),
    ]
    tube = spline_tube(line, [thick * r for r in (11, 14, 9, 10, 11, 9)], 3)
    canvas.paint_solid(tube, "pancreas", ORGANS["pancreas"], distances.cavity)


def paint_adrenals(canvas: Canvas, sampler: AnatomySampler) -> None:
    """Paint both adrenal glands."""
    for side, label, up in ((1, 8, 40), (-1, 9, 44)):
        tip = sampler.position(side * 34, 24, up, 2)
        for leg in (sampler.position(side * 44, 4, up - 4, 2), sampler.position(side * 32, 2, up - 4, 2)):
            canvas.paint_solid(Tube((tip, leg), (2.4, 1.6)), "adrenal", label)


def kidney_center(sampler: AnatomySampler, side: int) -> Point:
    """Return the centre of a kidney in body coordinates, mm. side: 1 right, -1 left."""
    return sampler.position(
        side * 62, 2 + sampler.uniform(-6, 6), (-4 if side > 0 else 8) + sampler.uniform(-10, 10), 3
    )


def paint_kidney(
    canvas: Canvas, sampler: AnatomySampler, side: int, center: Point, pyramids: int, lesions: float
) -> None:
    """Paint cortex, medullary pyramids, sinus fat and renal pelvis. side: 1 right, -1 left."""
    scale = sampler.uniform(0.88, 1.12)
    radii = (27 * scale, 24 * scale, 55 * scale * sampler.height_scale)
    turn = (sampler.uniform(5, 15), -side * sampler.uniform(8, 18), side * sampler.uniform(15, 40))
    label = ORGANS["right kidney" if side > 0 else "left kidney"]
    kidney = Ellipsoid(center, radii, turn)
    canvas.paint_solid(kidney, "fat", 0, None, 7.0)
    low, high = kidney.box()
    box = canvas.bounding_slices(low, high)
    if box is None:
        return
    points = canvas.points[(slice(None), *box)]
    outside = kidney.distance(points)
    hilum = (center[0] - side * 15 * scale, center[1] + 5 * scale, center[2])
    sinus = Ellipsoid(hilum, (19 * scale, 12 * scale, 29 * scale), turn).distance(points)
    canvas.paint(outside, box, "renal cortex", label)
    angle = torch.atan2(points[1] - center[1], side * (points[0] - center[0]) + 6)
    waves = torch.cos(pyramids * angle) * 0.6 + torch.cos((points[2] - center[2]) * (math.pi / 11)) * 0.6
    medulla = torch.maximum(outside + 6.5 * scale, -sinus)
    canvas.paint(torch.maximum(medulla, (-0.25 - waves) * 6), box, "renal medulla")
    canvas.paint(sinus, box, "renal sinus", 0)
    pelvis = Tube(
        ((center[0] - side * 6, hilum[1], center[2]), (hilum[0] - side * 10, hilum[1], center[2] - 14)), (4.5, 3)
    )
    canvas.paint_solid(pelvis, "urine", 0)
    ureter = (
        (hilum[0] - side * 10, hilum[1], center[2] - 14),
        (side * 38.0 * sampler.width_scale, sampler.spine_y + 14, -70.0),
    )
    canvas.paint_solid(Tube((*ureter, (side * 34.0, sampler.spine_y + 26, -160.0)), (2.0, 1.8, 1.8)), "urine", 0)
    for _ in range(sampler.count(1, 3) if sampler.chance(lesions) else 0):
        d = sampler.unit_vector() * np.array(radii)
        size = sampler.uniform(3, 18)
        canvas.paint_solid(
            Ellipsoid((center[0] + d[0], center[1] + d[1], center[2] + d[2]), (size, size, size)), "cyst", label
        )
    if sampler.chance(0.08):
        canvas.paint_solid(Ellipsoid(hilum, (2.5, 2.5, 2.5)), "calculus", 0)


def paint_heart(canvas: Canvas, sampler: AnatomySampler, habitus: HabitusDraw) -> None:
    """Paint the lower part of the heart: myocardium and two chambers."""
    base = max(habitus.domes) + 28.0
    x, y, _ = sampler.position(-26, 56, 0, 5)
    heart = Ellipsoid((x, y, base), sampler.radii(52, 46, 44), (0, sampler.uniform(-15, 0), sampler.uniform(-30, 0)))
    canvas.paint_solid(heart, "myocardium", ORGANS["heart"])
    left = Ellipsoid((x - 20, y - 8, base + 4), sampler.radii(22, 22, 34, 0.1))
    right = Ellipsoid((x + 22, y + 8, base + 4), sampler.radii(24, 26, 34, 0.1))
    canvas.paint_solid(left, "heart")
    canvas.paint_solid(right, "heart")
