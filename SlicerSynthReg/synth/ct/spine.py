"""Vertebrae, discs and the muscles along them."""

from __future__ import annotations

import numpy as np
import torch

from SlicerSynthReg.synth.ct.canvas import Canvas
from SlicerSynthReg.synth.ct.habitus import Frame, HabitusDraw
from SlicerSynthReg.synth.ct.solids import Ellipsoid, Tube


def paint_back(canvas: Canvas, habitus: HabitusDraw, frame: Frame) -> None:
    """Erector and psoas muscles on both sides, the crura of the diaphragm."""
    y = habitus.spine_y
    wide, _ = habitus.scale
    below_skin = habitus.fat_back + 3.0 - frame.depth
    for side, erector, psoas in ((1, 87, 88 + 1), (-1, 86, 88)):
        column = ((side * 33.0, y - 42.0, -400.0), (side * 36.0, y - 42.0, 400.0))
        canvas.solid(Tube(column, (24.0, 21.0)), "fat", 0, within=below_skin)
        canvas.solid(Tube(column, (23.0, 20.0)), "muscle", erector, within=below_skin)
        outer = ((side * 58.0 * wide, y - 28.0, -200.0), (side * 52.0 * wide, y - 28.0, 25.0))
        canvas.solid(Tube(outer, (15.0, 8.0)), "muscle", 0)
        line = ((side * 23.0, y + 2.0, 22.0), (side * 30.0, y + 2.0, -40.0), (side * 44.0 * wide, y + 8.0, -150.0))
        canvas.solid(Tube(line, (5.0, 15.0, 26.0)), "muscle", psoas)
        crus = ((side * 17.0, y + 18.0, -20.0), (side * 21.0, y + 24.0, 40.0), (side * 25.0, y + 36.0, 80.0))
        canvas.solid(Tube(crus, (4.0, 6.0, 4.0)), "muscle", 0)


def paint_spine(canvas: Canvas, habitus: HabitusDraw) -> None:
    """One vertebra, repeated: body, canal, arch and processes, drawn in its own height."""
    y0, height = habitus.spine_y, habitus.vertebra
    box = canvas.around(np.array([-60.0, y0 - 75.0, -400.0]), np.array([60.0, y0 + 25.0, 400.0]))
    if box is None:
        return
    x, y, z = canvas.points[(slice(None), *box)]
    y = y - y0
    turns = z / height + habitus.disc_phase
    local = (turns - turns.floor() - 0.5) * height
    own = torch.stack([x, y, local])
    body = Ellipsoid((0.0, 0.0, 0.0), (25.0, 18.0, 1e4)).distance(own)
    waist = (local / height).square() * 8.0  # the rims stand out
    body = body + 2.0 - waist
    end = local.abs() - (height / 2 - 4.5)
    canvas.paint(body, box, "disc", 29)
    bone = torch.maximum(body, end)
    canvas.paint(bone, box, "cortical bone", 29)
    canvas.paint(bone + 1.3, box, "cancellous bone")
    canal = Ellipsoid((0.0, -27.0, 0.0), (11.0, 8.5, 1e4)).distance(own)
    arch = torch.maximum(canal - 5.0, local.abs() - height * 0.33)
    for side in (1, -1):
        facet = Ellipsoid((side * 17.0, -33.0, -height / 2), (8.5, 8.0, 9.0)).distance(own)
        facet = torch.minimum(facet, Ellipsoid((side * 17.0, -33.0, height / 2), (8.5, 8.0, 9.0)).distance(own))
        pedicle = Tube(((side * 14.0, -8.0, 5.0), (side * 14.0, -26.0, 4.0)), (5.0, 5.0)).distance(own)
        process = Tube(((side * 15.0, -22.0, 4.0), (side * 44.0, -28.0, 5.0)), (4.5, 3.0)).distance(own)
        for part in (facet, pedicle, process):
            arch = torch.minimum(arch, part)
    spinous = Tube(((0.0, -39.0, -1.0), (0.0, -62.0, -7.0)), (4.0, 4.5)).distance(own)
    arch = torch.maximum(torch.minimum(arch, spinous), -canal)
    canvas.paint(arch, box, "cortical bone", 29)
    canvas.paint(arch + 1.8, box, "cancellous bone")
    canvas.paint(canal, box, "fat", 79)
    canvas.paint(canal + 2.0, box, "canal", 79)
