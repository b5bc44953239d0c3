"""Liver, spleen, kidneys and the other solid organs, with what may grow in them."""

from __future__ import annotations

import math

import numpy as np
import torch

from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.ct.canvas import FAR_MM, Canvas
from SlicerSynthReg.synth.ct.habitus import Frame, HabitusDraw
from SlicerSynthReg.synth.ct.organs import ORGANS
from SlicerSynthReg.synth.ct.solids import Ellipsoid, Joined, Point, Tube, curve


class Places:
    """Turns anatomical places (mm right, before the spine, up, of a man of usual build) into a person's own, with
    some chance in each; every organ draws from a generator of its own, so that one more lesion moves no kidney."""

    def __init__(self, habitus: HabitusDraw, seed: int) -> None:
        self.wide, self.before = habitus.scale
        self.spine_y, self.tall = habitus.spine_y, habitus.stature
        self.generator = torch.Generator().manual_seed(seed)

    def at(self, x: float, y: float, z: float, chance_mm: float = 0.0) -> Point:
        g = self.generator
        dx, dy, dz = (draw.uniform(g, -chance_mm, chance_mm) for _ in range(3))
        return (x + dx) * self.wide, self.spine_y + (y + dy) * self.before, (z + dz) * self.tall

    def size(self, x: float, y: float, z: float, spread: float = 0.12) -> Point:
        """Radii; large people have more fat between their organs, not organs as much larger."""
        one, two, three = (draw.uniform(self.generator, 1 - spread, 1 + spread) for _ in range(3))
        return x * one * self.wide**0.6, y * two * self.before**0.6, z * three * self.tall

    def uniform(self, low: float, high: float) -> float:
        return draw.uniform(self.generator, low, high)

    def chance(self, probability: float) -> bool:
        return draw.chance(self.generator, probability)

    def count(self, low: int, high: int) -> int:
        return draw.integer(self.generator, low, high)

    def on_sphere(self) -> np.ndarray:
        v = torch.randn(3, generator=self.generator).double().numpy()
        return np.asarray(v / np.linalg.norm(v))


def liver_solid(places: Places) -> Joined:
    right = Ellipsoid(places.at(74, 38, 62, 5), places.size(70, 84, 58), (0, places.uniform(-8, 8), 0))
    tip = Ellipsoid(places.at(98, 24, 14, 8), places.size(34, 52, 58, 0.25), (0, places.uniform(-12, 12), 0))
    top = Ellipsoid(places.at(60, 50, 70, 4), places.size(70, 66, 50))
    left = Ellipsoid(places.at(0, 82, 68, 6), places.size(74, 30, 34, 0.25), (0, places.uniform(-12, 12), 0))
    hilum = Ellipsoid(places.at(4, 18, -2, 4), places.size(46, 58, 58))
    return Joined((right, tip, top, left), (hilum,), 14.0)


def paint_liver(canvas: Canvas, places: Places, frame: Frame, lesions: float) -> torch.Tensor | None:
    """Returns its distance (I, J, K), which its vessels may not leave; None where the slab does not show it."""
    solid = liver_solid(places)
    low, high = solid.box()
    box = canvas.around(low, high)
    if box is None:
        return None
    inside = torch.maximum(solid.distance(canvas.points[(slice(None), *box)]), frame.cavity[box] + 4.0)
    canvas.paint(inside, box, "liver", ORGANS["liver"])
    distance = torch.full_like(frame.cavity, FAR_MM)
    distance[box] = inside
    for _ in range(places.count(1, 4) if places.chance(lesions) else 0):
        kind = ("cyst", "hypervascular", "hypovascular")[places.count(0, 2)]
        size = places.uniform(3, 16)
        at = places.at(places.uniform(20, 120), places.uniform(0, 90), places.uniform(0, 90))
        canvas.solid(Ellipsoid(at, places.size(size, size, size, 0.3)), kind, within=distance + 2.0)
    return distance


def paint_gallbladder(canvas: Canvas, places: Places, frame: Frame) -> None:
    if places.chance(0.15):  # removed
        return
    size = places.uniform(0.7, 1.3)
    at = places.at(42, 74, 12, 6)
    bladder = Ellipsoid(at, (13 * size, 26 * size, 17 * size), (places.uniform(-25, 0), 0, places.uniform(-30, 10)))
    canvas.solid(bladder, "organ wall", ORGANS["gallbladder"], frame.cavity, 1.2)
    canvas.solid(bladder, "gallbladder", ORGANS["gallbladder"], frame.cavity)
    for _ in range(places.count(1, 4) if places.chance(0.12) else 0):
        stone = (at[0] + places.uniform(-6, 6), at[1] - 14 * size, at[2] + places.uniform(-6, 6))
        canvas.solid(Ellipsoid(stone, (3.0, 3.0, 3.0)), "gallstone", within=frame.cavity)


def paint_spleen(canvas: Canvas, places: Places, frame: Frame) -> None:
    body = Ellipsoid(places.at(-96, 2, 54, 5), places.size(32, 54, 50, 0.2), (0, 0, places.uniform(-15, 15)))
    hollow = Ellipsoid(places.at(-56, 22, 54, 5), places.size(34, 46, 58))
    canvas.solid(Joined((body,), (hollow,), 6.0), "spleen", ORGANS["spleen"], frame.cavity + 2.0)


def paint_pancreas(canvas: Canvas, places: Places, frame: Frame) -> None:
    thick = places.uniform(0.75, 1.15)
    line = [
        places.at(36, 30, -22, 3), places.at(34, 38, -4, 3), places.at(14, 46, 8, 3), places.at(-14, 48, 16, 3),
        places.at(-42, 30, 28, 4), places.at(-72, 16, 40, 5),
    ]  # fmt: skip
    tube = curve(line, [thick * r for r in (11, 14, 9, 10, 11, 9)], 3)
    canvas.solid(tube, "pancreas", ORGANS["pancreas"], frame.cavity)


def paint_adrenals(canvas: Canvas, places: Places) -> None:
    for side, label, up in ((1, 8, 40), (-1, 9, 44)):
        tip = places.at(side * 34, 24, up, 2)
        for leg in (places.at(side * 44, 4, up - 4, 2), places.at(side * 32, 2, up - 4, 2)):
            canvas.solid(Tube((tip, leg), (2.4, 1.6)), "adrenal", label)


def kidney_center(places: Places, side: int) -> Point:
    return places.at(side * 62, 2 + places.uniform(-6, 6), (-4 if side > 0 else 8) + places.uniform(-10, 10), 3)


def paint_kidney(canvas: Canvas, places: Places, side: int, center: Point, pyramids: int, lesions: float) -> None:
    """Cortex, pyramids of medulla, sinus fat and pelvis; side: 1 right, -1 left."""
    scale = places.uniform(0.88, 1.12)
    radii = (27 * scale, 24 * scale, 55 * scale * places.tall)
    turn = (places.uniform(5, 15), -side * places.uniform(8, 18), side * places.uniform(15, 40))
    label = ORGANS["right kidney" if side > 0 else "left kidney"]
    kidney = Ellipsoid(center, radii, turn)
    canvas.solid(kidney, "fat", 0, None, 7.0)
    low, high = kidney.box()
    box = canvas.around(low, high)
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
    canvas.solid(pelvis, "urine", 0)
    ureter = ((hilum[0] - side * 10, hilum[1], center[2] - 14), (side * 38.0 * places.wide, places.spine_y + 14, -70.0))
    canvas.solid(Tube((*ureter, (side * 34.0, places.spine_y + 26, -160.0)), (2.0, 1.8, 1.8)), "urine", 0)
    for _ in range(places.count(1, 3) if places.chance(lesions) else 0):
        d = places.on_sphere() * np.array(radii)
        size = places.uniform(3, 18)
        canvas.solid(
            Ellipsoid((center[0] + d[0], center[1] + d[1], center[2] + d[2]), (size, size, size)), "cyst", label
        )
    if places.chance(0.08):
        canvas.solid(Ellipsoid(hilum, (2.5, 2.5, 2.5)), "calculus", 0)


def paint_heart(canvas: Canvas, places: Places, habitus: HabitusDraw) -> None:
    """Its lower part: muscle about two chambers."""
    base = max(habitus.domes) + 28.0
    x, y, _ = places.at(-26, 56, 0, 5)
    heart = Ellipsoid((x, y, base), places.size(52, 46, 44), (0, places.uniform(-15, 0), places.uniform(-30, 0)))
    canvas.solid(heart, "myocardium", ORGANS["heart"])
    left = Ellipsoid((x - 20, y - 8, base + 4), places.size(22, 22, 34, 0.1))
    right = Ellipsoid((x + 22, y + 8, base + 4), places.size(24, 26, 34, 0.1))
    canvas.solid(left, "heart")
    canvas.solid(right, "heart")
