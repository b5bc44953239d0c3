"""Stomach and bowel: walls that take up contrast about contents that do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.synth.ct.canvas import FAR_MM, Canvas
from SlicerSynthReg.synth.ct.habitus import Frame
from SlicerSynthReg.synth.ct.organs import ORGANS
from SlicerSynthReg.synth.ct.solids import Tube, curve
from SlicerSynthReg.synth.ct.tissue import PLACES
from SlicerSynthReg.synth.ct.viscera import Places


@dataclass(frozen=True)
class Filling:
    """content: tissue inside; gas_above: y in mm above which it is gas (people lie on their backs), or None."""

    content: str
    gas_above: float | None = None


def _filling(places: Places, y: float, oral: bool, solid_share: float, gas_share: float) -> Filling:
    if places.chance(gas_share * 0.5):
        return Filling("gas")
    kind = (
        "oral contrast"
        if oral and places.chance(0.7)
        else "faeces"
        if places.chance(solid_share)
        else ("fluid" if places.chance(0.4) else "chyme")
    )
    return Filling(kind, y + places.uniform(-4, 8) if places.chance(gas_share) else None)


def _hollow(canvas: Canvas, tube: Tube, wall: float, filling: Filling, label: int, frame: Frame) -> None:
    low, high = tube.box()
    box = canvas.around(low, high)
    if box is None:
        return
    points = canvas.points[(slice(None), *box)]
    outside = torch.maximum(canvas.distance(tube, box), frame.cavity[box] + 1.0)
    canvas.paint(outside, box, "organ wall", label)
    canvas.paint(outside + wall, box, filling.content)
    if filling.gas_above is not None:
        level = (filling.gas_above - points[1]) * 1.0
        canvas.paint(torch.maximum(outside + wall, level), box, "gas")


def paint_stomach(canvas: Canvas, places: Places, frame: Frame, oral: bool) -> None:
    full = places.uniform(0.55, 1.15)
    line = [
        places.at(-62, 22, 86, 5), places.at(-68, 40, 62, 5), places.at(-58, 66, 36, 6), places.at(-28, 84, 14, 6),
        places.at(6, 84, 4, 5), places.at(32, 66, 8, 4),
    ]  # fmt: skip
    tube = curve(line, [r * full + 4 for r in (26, 32, 28, 20, 14, 9)], 3)
    filling = _filling(places, line[2][1] - 10, oral, 0.0, 0.8)
    _hollow(canvas, tube, places.uniform(2.5, 5.0), filling, ORGANS["stomach"], frame)
    loop = [
        places.at(32, 66, 8, 2), places.at(48, 52, 8, 3), places.at(54, 36, -8, 3), places.at(50, 30, -34, 4),
        places.at(20, 28, -44, 3), places.at(-16, 34, -38, 4), places.at(-30, 46, -24, 4),
    ]  # fmt: skip
    duodenum = curve(loop, [10, 11, 12, 12, 11, 11, 10], 2)
    _hollow(canvas, duodenum, 2.2, _filling(places, loop[1][1], oral, 0.0, 0.3), ORGANS["duodenum"], frame)


def paint_colon(canvas: Canvas, places: Places, frame: Frame, oral: bool) -> None:
    """Ascending, transverse and descending, pouched."""
    wide = places.uniform(0.7, 1.25)
    sag = places.uniform(-45, 10)
    right = [places.at(96, 34, -150, 6), places.at(98, 30, -90, 8), places.at(96, 34, -30, 8), places.at(88, 56, 6, 8)]
    across = [
        places.at(84, 74, 2, 6), places.at(50, 98, sag * 0.6, 6), places.at(0, 104, sag, 5),
        places.at(-52, 96, sag * 0.5, 6), places.at(-88, 60, 36, 6),
    ]  # fmt: skip
    left = [
        places.at(-96, 44, 46, 5),
        places.at(-104, 20, 10, 5),
        places.at(-104, 18, -50, 6),
        places.at(-98, 26, -150, 6),
    ]
    parts = ((right, (22, 24), 0.75, 0.5), (across, (15, 21), 0.5, 0.8), (left, (9, 16), 0.6, 0.4))
    for controls, (thin, thick), solid, gas in parts:
        radius = places.uniform(thin, thick) * wide
        smooth = curve(controls, [radius] * len(controls), 6)
        pouched = tuple(radius * (1.0 if n % 3 else 0.72) for n in range(len(smooth.points)))
        middle = float(np.mean([p[1] for p in controls]))
        _hollow(
            canvas, Tube(smooth.points, pouched), places.uniform(1.5, 2.8),
            _filling(places, middle, oral, solid, gas), ORGANS["colon"], frame,
        )  # fmt: skip


def paint_small_bowel(canvas: Canvas, places: Places, frame: Frame, oral: bool) -> list[np.ndarray]:
    """Loops packed against each other: each voxel belongs to the loop that it lies deepest in. Returns their places,
    which the mesentery's vessels lead to."""
    lower, upper = places.at(-88, 32, -165), places.at(88, 98, 4)
    box = canvas.around(np.array(lower) - 20, np.array(upper) + 20)
    centers, loops, fillings = [], [], []
    for _ in range(places.count(60, 95)):
        center = np.array([places.uniform(a, b) for a, b in zip(lower, upper)])
        along = places.on_sphere() * places.uniform(10, 26)
        bend = places.on_sphere() * places.uniform(2, 8)
        radius = places.uniform(8, 13)
        controls = [center - along, center + bend, center + along]
        loops.append(curve(controls, [radius, radius * 1.1, radius * 0.9], 2))
        fillings.append(_filling(places, float(center[1]), oral, 0.0, 0.12))
        centers.append(center)
    if box is None:
        return centers
    points = canvas.points[(slice(None), *box)]
    deepest = torch.full_like(points[0], FAR_MM)
    content = torch.full(points.shape[1:], PLACES["fluid"], device=points.device)
    gas_above = torch.full_like(points[0], FAR_MM)
    between = torch.full_like(points[0], FAR_MM)
    for loop, filling in zip(loops, fillings):
        near = canvas.around(*loop.box(), box)
        if near is None:
            continue
        distance = loop.distance(points[(slice(None), *near)])
        best = deepest[near]
        gap = (distance - best).abs()
        between[near] = torch.where(torch.minimum(distance, best) < 3, torch.minimum(gap, between[near]), between[near])
        wins = distance < best
        deepest[near] = torch.minimum(distance, best)
        content[near] = torch.where(wins, PLACES[filling.content], content[near])
        level = FAR_MM if filling.gas_above is None else filling.gas_above
        gas_above[near] = torch.where(wins, level, gas_above[near])
    outside = torch.maximum(deepest, frame.cavity[box] + 2.0)
    canvas.paint(outside, box, "organ wall", ORGANS["small bowel"])
    lumen = torch.maximum(outside + 2.2, 2.4 - between)
    canvas.paint(lumen, box, content)
    canvas.paint(torch.maximum(lumen, gas_above - points[1]), box, "gas")
    return centers
