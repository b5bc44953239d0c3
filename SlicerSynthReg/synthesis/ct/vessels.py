"""Arteries, veins and their branches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from SlicerSynthReg.synthesis.ct.canvas import Canvas
from SlicerSynthReg.synthesis.ct.habitus import HabitusDraw
from SlicerSynthReg.synthesis.ct.organs import ORGANS
from SlicerSynthReg.synthesis.ct.solids import Ellipsoid, Point, Tube, as_point, spline_tube
from SlicerSynthReg.synthesis.ct.viscera import AnatomySampler


def _vessel_tree(
    sampler: AnatomySampler, root: Sequence[float], heading: np.ndarray, length: float, radius: float, levels: int
) -> list[Tube]:
    """Return a binary tree of branches, each shorter and thinner than its parent."""
    end = np.asarray(root) + heading * length
    bow = sampler.unit_vector() * length * 0.12
    tubes = [spline_tube([root, (np.asarray(root) + end) / 2 + bow, end], [radius, radius * 0.88, radius * 0.75], 2)]
    if levels > 0:
        for _ in range(2):
            turned = heading + sampler.unit_vector() * 0.75
            turned = turned / np.linalg.norm(turned)
            shorter = length * sampler.uniform(0.6, 0.85)
            tubes += _vessel_tree(
                sampler, as_point(end), turned, shorter, radius * sampler.uniform(0.6, 0.75), levels - 1
            )
    return tubes


def _direction(start: Sequence[float] | np.ndarray, end: Sequence[float]) -> np.ndarray:
    d = np.subtract(end, start)
    return np.asarray(d / np.linalg.norm(d))


def paint_liver_vessels(canvas: Canvas, sampler: AnatomySampler, liver: torch.Tensor) -> None:
    """Paint portal branches from the hilum and three hepatic veins to the vena cava, within the liver."""
    within = liver + 3.0
    hilum = sampler.position(24, 44, 30, 3)
    right, left = sampler.position(66, 36, 42, 4), sampler.position(8, 72, 56, 4)
    canvas.paint_solid(spline_tube([hilum, right], [6.5, 5.5], 1), "portal vein", within=liver)
    canvas.paint_solid(
        spline_tube([hilum, sampler.position(18, 62, 46, 3), left], [5.5, 5.0, 4.5], 2), "portal vein", within=liver
    )
    for start, targets in (
        (right, ((110, 20, 75), (100, 60, 20), (90, 0, 20), (70, 80, 70))),
        (left, ((-40, 84, 70), (0, 90, 40))),
    ):
        for target in targets:
            heading = _direction(start, sampler.position(*target, 12))
            for tube in _vessel_tree(sampler, start, heading, sampler.uniform(24, 36), sampler.uniform(2.8, 4.0), 2):
                canvas.paint_solid(tube, "portal vein", within=within)
    junction = sampler.position(24, 32, 86, 2)
    for target in ((105, 15, 60), (60, 80, 62), (-5, 80, 78)):
        heading = _direction(junction, sampler.position(*target, 10))
        for tube in _vessel_tree(sampler, junction, heading, sampler.uniform(32, 44), sampler.uniform(4.0, 5.5), 2):
            canvas.paint_solid(tube, "hepatic vein", within=within)


def paint_lung_vessels(canvas: Canvas, sampler: AnatomySampler, lungs: torch.Tensor, habitus: HabitusDraw) -> None:
    """Paint short vessel segments directed away from the hila, thinner towards the periphery."""
    for side in (1, -1):
        root = np.array(sampler.position(side * 30, 40, max(habitus.domes) + 70))
        for _ in range(45):
            spot = sampler.position(
                sampler.uniform(28, 130) * side, sampler.uniform(-40, 110), sampler.uniform(25, 170)
            )
            away = _direction(root, spot) + sampler.unit_vector() * 0.4
            far = float(np.linalg.norm(np.subtract(spot, root)))
            thick = max(0.7, sampler.uniform(2.0, 3.6) * (1 - far / 170))
            end = as_point(np.asarray(spot) + away * sampler.uniform(8, 28))
            canvas.paint_solid(Tube((spot, end), (thick, thick * 0.7)), "lung vessel", within=lungs + 2.0)


def paint_great_vessels(canvas: Canvas, sampler: AnatomySampler, kidneys: tuple[Point, Point]) -> None:
    """Paint the aorta with its branches, the vena cava, portal and renal veins."""
    radius = sampler.uniform(7.5, 12.5)
    front = 20.0 + radius
    y = sampler.spine_y

    def prevertebral(x: float, dy: float, z: float) -> Point:
        """Return a position anterior to the spine, independent of the person's depth."""
        return x, y + dy, z * sampler.height_scale

    sway = sampler.uniform(-4, 4)
    axis = [
        prevertebral(-24, 6, 190), prevertebral(-20, 10, 130), prevertebral(-12 + sway * 0.4, front - 4, 70),
        prevertebral(-8 + sway, front, 20), prevertebral(-8 + sway, front, -40), prevertebral(-4, front, -92),
    ]  # fmt: skip
    _veins(canvas, sampler, prevertebral, kidneys)
    aorta = spline_tube(axis, [radius * f for f in (1.15, 1.12, 1.08, 1.0, 0.88, 0.82)], 4)
    renal_roots = [(side * radius * 0.8 + axis[3][0], axis[3][1], 2.0 * sampler.height_scale) for side in (1, -1)]
    for side, root, kidney in zip((1, -1), renal_roots, kidneys):
        hilum = (kidney[0] - side * 18, kidney[1] + 5, kidney[2])
        bend = ((root[0] + hilum[0]) / 2, root[1] - 6, (root[2] + hilum[2]) / 2)
        canvas.paint_solid(spline_tube([root, bend, hilum], [2.8, 2.6, 2.2], 3), "aorta")
        for dz in (-12, 0, 12):
            canvas.paint_solid(
                Tube((hilum, (kidney[0] - side * 6, kidney[1] + 2, kidney[2] + dz)), (1.8, 1.2)), "aorta"
            )
    _bowel_arteries(canvas, sampler, axis[2], axis[3], radius)
    for side in (1, -1):
        iliac = [
            prevertebral(-4, front, -90),
            prevertebral(side * 24, front - 2, -130),
            prevertebral(side * 44, front + 4, -190),
        ]
        canvas.paint_solid(spline_tube(iliac, [radius * 0.6] * 3, 3), "aorta", 0)
    for z in range(-70, 60, 30):
        for side in (1, -1):
            lumbar = ((axis[3][0], y + 12, z), (side * 24.0, y + 8.0, z), (side * 32.0, y - 12.0, z))
            canvas.paint_solid(Tube(lumbar, (1.1, 1.0, 0.8)), "aorta")
    canvas.paint_solid(aorta, "artery wall", ORGANS["aorta"], grow=1.2)
    canvas.paint_solid(aorta, "aorta", ORGANS["aorta"])
    if sampler.chance(0.45):
        for _ in range(sampler.count(2, 14)):
            at = np.array(aorta.points[sampler.count(4, len(aorta.points) - 2)])
            out = sampler.unit_vector() * [1, 1, 0.1]
            spot = as_point(at + out / np.linalg.norm(out) * radius * 0.97 + [0, 0, sampler.uniform(-8, 8)])
            canvas.paint_solid(
                Ellipsoid(spot, (sampler.uniform(1, 3), sampler.uniform(0.8, 2), sampler.uniform(1, 5))), "plaque"
            )


def _bowel_arteries(canvas: Canvas, sampler: AnatomySampler, upper: Point, lower: Point, radius: float) -> None:
    """Paint the coeliac trunk with hepatic and splenic artery, and the superior mesenteric artery."""
    root = (upper[0] * 0.5 + lower[0] * 0.5, (upper[1] + lower[1]) / 2 + radius * 0.7, 36.0 * sampler.height_scale)
    trunk = (root[0] + 2, root[1] + 18, root[2] + 2)
    canvas.paint_solid(Tube((root, trunk), (3.4, 3.2)), "aorta")
    wave = [
        sampler.position(-20, 44, 34, 5),
        sampler.position(-42, 36, 36, 5),
        sampler.position(-60, 24, 42, 5),
        sampler.position(-78, 16, 46, 4),
    ]
    canvas.paint_solid(spline_tube([trunk, *wave], [2.8, 2.6, 2.5, 2.3, 2.0], 4), "aorta")
    canvas.paint_solid(
        spline_tube([trunk, sampler.position(14, 52, 30, 4), sampler.position(26, 50, 32, 3)], [2.4, 2.2, 1.9], 3),
        "aorta",
    )
    start = (lower[0] + 1, lower[1] + radius * 0.7, 22.0 * sampler.height_scale)
    line = [start, sampler.position(-5, 46, 6, 2), sampler.position(-3, 52, -30, 3), sampler.position(2, 58, -90, 5)]
    canvas.paint_solid(spline_tube(line, [3.6, 3.4, 3.1, 2.4], 4), "aorta")


def _veins(
    canvas: Canvas,
    sampler: AnatomySampler,
    prevertebral: Callable[[float, float, float], Point],
    kidneys: tuple[Point, Point],
) -> None:
    """Paint vena cava, iliac, renal and portal veins."""
    flat = sampler.uniform(0.75, 1.2)
    upper = [
        prevertebral(20, 30, 4),
        sampler.position(24, 26, 50, 2),
        sampler.position(24, 30, 86, 2),
        sampler.position(22, 34, 130, 2),
    ]
    lower = [prevertebral(20, 30, 5), prevertebral(20, 29, -40), prevertebral(16, 28, -95)]
    r = 10.0 * flat
    canvas.paint_solid(spline_tube(lower, [r, r * 0.95, r * 0.95], 3), "lower vena cava", ORGANS["vena cava"])
    for side in (1, -1):
        branch = [prevertebral(16, 28, -94), prevertebral(side * 22 + 6, 22, -130), prevertebral(side * 42, 26, -190)]
        canvas.paint_solid(spline_tube(branch, [r * 0.75] * 3, 2), "lower vena cava", 0)
    for side, kidney in zip((1, -1), kidneys):
        hilum = (kidney[0] - side * 16, kidney[1] + 8, kidney[2] - 3)
        middle = prevertebral(-4, 44, 6) if side < 0 else ((hilum[0] + 22) / 2, hilum[1] + 10, hilum[2])
        canvas.paint_solid(spline_tube([hilum, middle, prevertebral(18, 32, 6)], [3.8, 4.2, 4.6], 4), "renal vein")
    canvas.paint_solid(spline_tube(upper, [r, r * 1.15, r * 1.25, r * 1.3], 3), "upper vena cava", ORGANS["vena cava"])
    confluence = sampler.position(14, 40, 12, 2)
    portal = [confluence, sampler.position(20, 42, 22, 2), sampler.position(25, 44, 32, 2)]
    canvas.paint_solid(spline_tube(portal, [6.0, 6.4, 6.2], 3), "portal vein", ORGANS["portal vein"])
    splenic = [
        confluence,
        sampler.position(-12, 42, 18, 3),
        sampler.position(-40, 26, 30, 3),
        sampler.position(-74, 14, 44, 3),
    ]
    canvas.paint_solid(spline_tube(splenic, [4.8, 4.5, 4.2, 3.5], 4), "portal vein", ORGANS["portal vein"])
    mesenteric = [confluence, sampler.position(8, 50, -20, 2), sampler.position(12, 56, -90, 5)]
    canvas.paint_solid(spline_tube(mesenteric, [5.6, 5.0, 3.6], 4), "portal vein", ORGANS["portal vein"])


def paint_mesentery(canvas: Canvas, sampler: AnatomySampler, loops: list[np.ndarray]) -> None:
    """Paint thin arteries and veins to some of the bowel loops."""
    for target in loops[::3]:
        start = np.array(sampler.position(0, 54, float(target[2]) / sampler.height_scale * 0.6 - 15, 6))
        bend = (start + target) / 2 + [0, sampler.uniform(-4, 10), sampler.uniform(-8, 8)]
        for side, tissue in ((0.0, "aorta"), (3.5, "portal vein")):
            shift = np.array([side, side * 0.5, 0.0])
            canvas.paint_solid(spline_tube([start + shift, bend + shift, target], [1.5, 1.2, 0.8], 3), tissue)
    for _ in range(sampler.count(15, 30)):  # strands and lymph nodes in the fat
        at = sampler.position(sampler.uniform(-85, 85), sampler.uniform(20, 100), sampler.uniform(-150, 60))
        size = sampler.uniform(1.0, 3.0)
        canvas.paint_solid(Ellipsoid(at, (size, size, size * 2)), "artery wall")
