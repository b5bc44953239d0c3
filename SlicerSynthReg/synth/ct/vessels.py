"""Arteries, veins and their branches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from SlicerSynthReg.synth.ct.canvas import Canvas
from SlicerSynthReg.synth.ct.habitus import HabitusDraw
from SlicerSynthReg.synth.ct.organs import ORGANS
from SlicerSynthReg.synth.ct.solids import Ellipsoid, Point, Tube, as_point, curve
from SlicerSynthReg.synth.ct.viscera import Places


def _tree(
    places: Places, root: Sequence[float], heading: np.ndarray, length: float, radius: float, levels: int
) -> list[Tube]:
    """Branches that part in two, each shorter and thinner than the last."""
    end = np.asarray(root) + heading * length
    bow = places.on_sphere() * length * 0.12
    tubes = [curve([root, (np.asarray(root) + end) / 2 + bow, end], [radius, radius * 0.88, radius * 0.75], 2)]
    if levels > 0:
        for _ in range(2):
            turned = heading + places.on_sphere() * 0.75
            turned = turned / np.linalg.norm(turned)
            shorter = length * places.uniform(0.6, 0.85)
            tubes += _tree(places, as_point(end), turned, shorter, radius * places.uniform(0.6, 0.75), levels - 1)
    return tubes


def _toward(start: Sequence[float] | np.ndarray, end: Sequence[float]) -> np.ndarray:
    d = np.subtract(end, start)
    return np.asarray(d / np.linalg.norm(d))


def paint_liver_vessels(canvas: Canvas, places: Places, liver: torch.Tensor) -> None:
    """Portal branches from the hilum, three hepatic veins to the vena cava; none leaves the liver."""
    within = liver + 3.0
    hilum = places.at(24, 44, 30, 3)
    right, left = places.at(66, 36, 42, 4), places.at(8, 72, 56, 4)
    canvas.solid(curve([hilum, right], [6.5, 5.5], 1), "portal vein", within=liver)
    canvas.solid(curve([hilum, places.at(18, 62, 46, 3), left], [5.5, 5.0, 4.5], 2), "portal vein", within=liver)
    for start, targets in (
        (right, ((110, 20, 75), (100, 60, 20), (90, 0, 20), (70, 80, 70))),
        (left, ((-40, 84, 70), (0, 90, 40))),
    ):
        for target in targets:
            heading = _toward(start, places.at(*target, 12))
            for tube in _tree(places, start, heading, places.uniform(24, 36), places.uniform(2.8, 4.0), 2):
                canvas.solid(tube, "portal vein", within=within)
    junction = places.at(24, 32, 86, 2)
    for target in ((105, 15, 60), (60, 80, 62), (-5, 80, 78)):
        heading = _toward(junction, places.at(*target, 10))
        for tube in _tree(places, junction, heading, places.uniform(32, 44), places.uniform(4.0, 5.5), 2):
            canvas.solid(tube, "hepatic vein", within=within)


def paint_lung_vessels(canvas: Canvas, places: Places, lungs: torch.Tensor, habitus: HabitusDraw) -> None:
    """Short pieces that run away from the lungs' roots, thinner further out."""
    for side in (1, -1):
        root = np.array(places.at(side * 30, 40, max(habitus.domes) + 70))
        for _ in range(45):
            spot = places.at(places.uniform(28, 130) * side, places.uniform(-40, 110), places.uniform(25, 170))
            away = _toward(root, spot) + places.on_sphere() * 0.4
            far = float(np.linalg.norm(np.subtract(spot, root)))
            thick = max(0.7, places.uniform(2.0, 3.6) * (1 - far / 170))
            end = as_point(np.asarray(spot) + away * places.uniform(8, 28))
            canvas.solid(Tube((spot, end), (thick, thick * 0.7)), "lung vessel", within=lungs + 2.0)


def paint_great_vessels(canvas: Canvas, places: Places, kidneys: tuple[Point, Point]) -> None:
    """Aorta with its branches, vena cava, portal and renal veins."""
    radius = places.uniform(7.5, 12.5)
    front = 20.0 + radius
    y = places.spine_y

    def before(x: float, dy: float, z: float) -> Point:
        """Close to the spine, whatever the person's depth."""
        return x, y + dy, z * places.tall

    sway = places.uniform(-4, 4)
    axis = [
        before(-24, 6, 190), before(-20, 10, 130), before(-12 + sway * 0.4, front - 4, 70),
        before(-8 + sway, front, 20), before(-8 + sway, front, -40), before(-4, front, -92),
    ]  # fmt: skip
    _veins(canvas, places, before, kidneys)
    aorta = curve(axis, [radius * f for f in (1.15, 1.12, 1.08, 1.0, 0.88, 0.82)], 4)
    renal_roots = [(side * radius * 0.8 + axis[3][0], axis[3][1], 2.0 * places.tall) for side in (1, -1)]
    for side, root, kidney in zip((1, -1), renal_roots, kidneys):
        hilum = (kidney[0] - side * 18, kidney[1] + 5, kidney[2])
        bend = ((root[0] + hilum[0]) / 2, root[1] - 6, (root[2] + hilum[2]) / 2)
        canvas.solid(curve([root, bend, hilum], [2.8, 2.6, 2.2], 3), "aorta")
        for dz in (-12, 0, 12):
            canvas.solid(Tube((hilum, (kidney[0] - side * 6, kidney[1] + 2, kidney[2] + dz)), (1.8, 1.2)), "aorta")
    _bowel_arteries(canvas, places, axis[2], axis[3], radius)
    for side in (1, -1):
        iliac = [before(-4, front, -90), before(side * 24, front - 2, -130), before(side * 44, front + 4, -190)]
        canvas.solid(curve(iliac, [radius * 0.6] * 3, 3), "aorta", 0)
    for z in range(-70, 60, 30):
        for side in (1, -1):
            lumbar = ((axis[3][0], y + 12, z), (side * 24.0, y + 8.0, z), (side * 32.0, y - 12.0, z))
            canvas.solid(Tube(lumbar, (1.1, 1.0, 0.8)), "aorta")
    canvas.solid(aorta, "artery wall", ORGANS["aorta"], grow=1.2)
    canvas.solid(aorta, "aorta", ORGANS["aorta"])
    if places.chance(0.45):
        for _ in range(places.count(2, 14)):
            at = np.array(aorta.points[places.count(4, len(aorta.points) - 2)])
            out = places.on_sphere() * [1, 1, 0.1]
            spot = as_point(at + out / np.linalg.norm(out) * radius * 0.97 + [0, 0, places.uniform(-8, 8)])
            canvas.solid(
                Ellipsoid(spot, (places.uniform(1, 3), places.uniform(0.8, 2), places.uniform(1, 5))), "plaque"
            )


def _bowel_arteries(canvas: Canvas, places: Places, upper: Point, lower: Point, radius: float) -> None:
    """Coeliac trunk with hepatic and splenic artery; superior mesenteric artery."""
    root = (upper[0] * 0.5 + lower[0] * 0.5, (upper[1] + lower[1]) / 2 + radius * 0.7, 36.0 * places.tall)
    trunk = (root[0] + 2, root[1] + 18, root[2] + 2)
    canvas.solid(Tube((root, trunk), (3.4, 3.2)), "aorta")
    wave = [places.at(-20, 44, 34, 5), places.at(-42, 36, 36, 5), places.at(-60, 24, 42, 5), places.at(-78, 16, 46, 4)]
    canvas.solid(curve([trunk, *wave], [2.8, 2.6, 2.5, 2.3, 2.0], 4), "aorta")
    canvas.solid(curve([trunk, places.at(14, 52, 30, 4), places.at(26, 50, 32, 3)], [2.4, 2.2, 1.9], 3), "aorta")
    start = (lower[0] + 1, lower[1] + radius * 0.7, 22.0 * places.tall)
    line = [start, places.at(-5, 46, 6, 2), places.at(-3, 52, -30, 3), places.at(2, 58, -90, 5)]
    canvas.solid(curve(line, [3.6, 3.4, 3.1, 2.4], 4), "aorta")


def _veins(
    canvas: Canvas, places: Places, before: Callable[[float, float, float], Point], kidneys: tuple[Point, Point]
) -> None:
    flat = places.uniform(0.75, 1.2)
    upper = [before(20, 30, 4), places.at(24, 26, 50, 2), places.at(24, 30, 86, 2), places.at(22, 34, 130, 2)]
    lower = [before(20, 30, 5), before(20, 29, -40), before(16, 28, -95)]
    r = 10.0 * flat
    canvas.solid(curve(lower, [r, r * 0.95, r * 0.95], 3), "lower vena cava", ORGANS["vena cava"])
    for side in (1, -1):
        branch = [before(16, 28, -94), before(side * 22 + 6, 22, -130), before(side * 42, 26, -190)]
        canvas.solid(curve(branch, [r * 0.75] * 3, 2), "lower vena cava", 0)
    for side, kidney in zip((1, -1), kidneys):
        hilum = (kidney[0] - side * 16, kidney[1] + 8, kidney[2] - 3)
        middle = before(-4, 44, 6) if side < 0 else ((hilum[0] + 22) / 2, hilum[1] + 10, hilum[2])
        canvas.solid(curve([hilum, middle, before(18, 32, 6)], [3.8, 4.2, 4.6], 4), "renal vein")
    canvas.solid(curve(upper, [r, r * 1.15, r * 1.25, r * 1.3], 3), "upper vena cava", ORGANS["vena cava"])
    confluence = places.at(14, 40, 12, 2)
    portal = [confluence, places.at(20, 42, 22, 2), places.at(25, 44, 32, 2)]
    canvas.solid(curve(portal, [6.0, 6.4, 6.2], 3), "portal vein", ORGANS["portal vein"])
    splenic = [confluence, places.at(-12, 42, 18, 3), places.at(-40, 26, 30, 3), places.at(-74, 14, 44, 3)]
    canvas.solid(curve(splenic, [4.8, 4.5, 4.2, 3.5], 4), "portal vein", ORGANS["portal vein"])
    mesenteric = [confluence, places.at(8, 50, -20, 2), places.at(12, 56, -90, 5)]
    canvas.solid(curve(mesenteric, [5.6, 5.0, 3.6], 4), "portal vein", ORGANS["portal vein"])


def paint_mesentery(canvas: Canvas, places: Places, loops: list[np.ndarray]) -> None:
    """Thin arteries and veins side by side to some of the bowel's loops."""
    for target in loops[::3]:
        start = np.array(places.at(0, 54, float(target[2]) / places.tall * 0.6 - 15, 6))
        bend = (start + target) / 2 + [0, places.uniform(-4, 10), places.uniform(-8, 8)]
        for side, tissue in ((0.0, "aorta"), (3.5, "portal vein")):
            shift = np.array([side, side * 0.5, 0.0])
            canvas.solid(curve([start + shift, bend + shift, target], [1.5, 1.2, 0.8], 3), tissue)
    for _ in range(places.count(15, 30)):  # strands and nodes in the fat
        at = places.at(places.uniform(-85, 85), places.uniform(20, 100), places.uniform(-150, 60))
        size = places.uniform(1.0, 3.0)
        canvas.solid(Ellipsoid(at, (size, size, size * 2)), "artery wall")
