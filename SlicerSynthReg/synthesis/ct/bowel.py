"""Stomach and bowel: enhancing walls around contents that do not enhance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.synthesis.ct.canvas import FAR_MM, Canvas
from SlicerSynthReg.synthesis.ct.habitus import BodyDistances
from SlicerSynthReg.synthesis.ct.organs import ORGANS
from SlicerSynthReg.synthesis.ct.solids import Tube, spline_tube
from SlicerSynthReg.synthesis.ct.tissue import TISSUE_INDEX
from SlicerSynthReg.synthesis.ct.viscera import AnatomySampler


@dataclass(frozen=True)
class LumenContent:
    """tissue: in the lumen. gas_above: y in mm above which there is gas (supine position), or None."""

    tissue: str
    gas_above: float | None = None


def _draw_content(sampler: AnatomySampler, y: float, oral: bool, solid_share: float, gas_share: float) -> LumenContent:
    if sampler.chance(gas_share * 0.5):
        return LumenContent("gas")
    kind = (
        "oral contrast"
        if oral and sampler.chance(0.7)
        else "faeces"
        if sampler.chance(solid_share)
        else ("fluid" if sampler.chance(0.4) else "chyme")
    )
    return LumenContent(kind, y + sampler.uniform(-4, 8) if sampler.chance(gas_share) else None)


def _paint_hollow_organ(
    canvas: Canvas, tube: Tube, wall: float, content: LumenContent, label: int, distances: BodyDistances
) -> None:
    low, high = tube.box()
    box = canvas.bounding_slices(low, high)
    if box is None:
        return
    points = canvas.points[(slice(None), *box)]
    outside = torch.maximum(canvas.distance(tube, box), distances.cavity[box] + 1.0)
    canvas.paint(outside, box, "organ wall", label)
    canvas.paint(outside + wall, box, content.tissue)
    if content.gas_above is not None:
        level = (content.gas_above - points[1]) * 1.0
        canvas.paint(torch.maximum(outside + wall, level), box, "gas")


def paint_stomach(canvas: Canvas, sampler: AnatomySampler, distances: BodyDistances, oral: bool) -> None:
    """Paint stomach and duodenum."""
    full = sampler.uniform(0.55, 1.15)
    line = [
        sampler.position(-62, 22, 86, 5),
        sampler.position(-68, 40, 62, 5),
        sampler.position(-58, 66, 36, 6),
        sampler.position(-28, 84, 14, 6),
        sampler.position(6, 84, 4, 5),
        sampler.position(32, 66, 8, 4),
    ]
    tube = spline_tube(line, [r * full + 4 for r in (26, 32, 28, 20, 14, 9)], 3)
    content = _draw_content(sampler, line[2][1] - 10, oral, 0.0, 0.8)
    _paint_hollow_organ(canvas, tube, sampler.uniform(2.5, 5.0), content, ORGANS["stomach"], distances)
    loop = [
        sampler.position(32, 66, 8, 2),
        sampler.position(48, 52, 8, 3),
        sampler.position(54, 36, -8, 3),
        sampler.position(50, 30, -34, 4),
        sampler.position(20, 28, -44, 3),
        sampler.position(-16, 34, -38, 4),
        sampler.position(-30, 46, -24, 4),
    ]
    duodenum = spline_tube(loop, [10, 11, 12, 12, 11, 11, 10], 2)
    _paint_hollow_organ(
        canvas, duodenum, 2.2, _draw_content(sampler, loop[1][1], oral, 0.0, 0.3), ORGANS["duodenum"], distances
    )


def paint_colon(canvas: Canvas, sampler: AnatomySampler, distances: BodyDistances, oral: bool) -> None:
    """Paint ascending, transverse and descending colon with haustra."""
    width = sampler.uniform(0.7, 1.25)
    sag = sampler.uniform(-45, 10)
    right = [
        sampler.position(96, 34, -150, 6),
        sampler.position(98, 30, -90, 8),
        sampler.position(96, 34, -30, 8),
        sampler.position(88, 56, 6, 8),
    ]
    across = [
        sampler.position(84, 74, 2, 6),
        sampler.position(50, 98, sag * 0.6, 6),
        sampler.position(0, 104, sag, 5),
        sampler.position(-52, 96, sag * 0.5, 6),
        sampler.position(-88, 60, 36, 6),
    ]
    left = [
        sampler.position(-96, 44, 46, 5),
        sampler.position(-104, 20, 10, 5),
        sampler.position(-104, 18, -50, 6),
        sampler.position(-98, 26, -150, 6),
    ]
    parts = ((right, (22, 24), 0.75, 0.5), (across, (15, 21), 0.5, 0.8), (left, (9, 16), 0.6, 0.4))
    for controls, (thin, thick), solid, gas in parts:
        radius = sampler.uniform(thin, thick) * width
        smooth = spline_tube(controls, [radius] * len(controls), 6)
        haustra = tuple(radius * (1.0 if n % 3 else 0.72) for n in range(len(smooth.points)))
        middle = float(np.mean([p[1] for p in controls]))
        _paint_hollow_organ(
            canvas, Tube(smooth.points, haustra), sampler.uniform(1.5, 2.8),
            _draw_content(sampler, middle, oral, solid, gas), ORGANS["colon"], distances,
        )  # fmt: skip


def paint_small_bowel(
    canvas: Canvas, sampler: AnatomySampler, distances: BodyDistances, oral: bool
) -> list[np.ndarray]:
    """Paint packed loops, each voxel belonging to the loop in which it lies deepest; return the loops' centres, to
    which the mesenteric vessels lead."""
    lower, upper = sampler.position(-88, 32, -165), sampler.position(88, 98, 4)
    box = canvas.bounding_slices(np.array(lower) - 20, np.array(upper) + 20)
    centers, loops, contents = [], [], []
    for _ in range(sampler.count(60, 95)):
        center = np.array([sampler.uniform(a, b) for a, b in zip(lower, upper)])
        along = sampler.unit_vector() * sampler.uniform(10, 26)
        bend = sampler.unit_vector() * sampler.uniform(2, 8)
        radius = sampler.uniform(8, 13)
        controls = [center - along, center + bend, center + along]
        loops.append(spline_tube(controls, [radius, radius * 1.1, radius * 0.9], 2))
        contents.append(_draw_content(sampler, float(center[1]), oral, 0.0, 0.12))
        centers.append(center)
    if box is None:
        return centers
    points = canvas.points[(slice(None), *box)]
    deepest = torch.full_like(points[0], FAR_MM)
    tissue = torch.full(points.shape[1:], TISSUE_INDEX["fluid"], device=points.device)
    gas_above = torch.full_like(points[0], FAR_MM)
    between = torch.full_like(points[0], FAR_MM)
    for loop, content in zip(loops, contents):
        near = canvas.bounding_slices(*loop.box(), box)
        if near is None:
            continue
        distance = loop.distance(points[(slice(None), *near)])
        best = deepest[near]
        gap = (distance - best).abs()
        between[near] = torch.where(torch.minimum(distance, best) < 3, torch.minimum(gap, between[near]), between[near])
        wins = distance < best
        deepest[near] = torch.minimum(distance, best)
        tissue[near] = torch.where(wins, TISSUE_INDEX[content.tissue], tissue[near])
        level = FAR_MM if content.gas_above is None else content.gas_above
        gas_above[near] = torch.where(wins, level, gas_above[near])
    outside = torch.maximum(deepest, distances.cavity[box] + 2.0)
    canvas.paint(outside, box, "organ wall", ORGANS["small bowel"])
    lumen = torch.maximum(outside + 2.2, 2.4 - between)
    canvas.paint(lumen, box, tissue)
    canvas.paint(torch.maximum(lumen, gas_above - points[1]), box, "gas")
    return centers
