"""Vertebrae, intervertebral discs and paraspinal muscles."""

from __future__ import annotations

import numpy as np
import torch

from SlicerSynthReg.synthesis.ct.canvas import Canvas
from SlicerSynthReg.synthesis.ct.habitus import BodyDistances, HabitusDraw
from SlicerSynthReg.synthesis.ct.solids import BlendedUnion, Ellipsoid, Tube, spline_tube


def paint_back_muscles(canvas: Canvas, habitus: HabitusDraw, distances: BodyDistances) -> None:
    """Paint paraspinal and psoas muscles, the crura of the diaphragm and the iliac wings."""
    y = habitus.spine_y
    lateral, _ = habitus.scale
    below_skin = habitus.fat.posterior + 3.0 - distances.depth
    for side, erector, psoas in ((1, 87, 88 + 1), (-1, 86, 88)):
        column = Ellipsoid((side * 32.0, y - 41.0, 0.0), (33.0, 25.0, 1e4), (0, 0, -side * 8.0))
        canvas.paint_solid(column, "fascia", 0, within=below_skin, grow=1.5)
        canvas.paint_solid(column, "muscle", erector, within=below_skin)
        canvas.paint_solid(
            Tube(((side * 12.0, y - 40.0, -400.0), (side * 12.0, y - 40.0, 400.0)), (11.0, 11.0)), "muscle"
        )
        outer = ((side * 66.0 * lateral, y - 24.0, -200.0), (side * 58.0 * lateral, y - 22.0, 25.0))
        canvas.paint_solid(Tube(outer, (15.0, 8.0)), "muscle", 0)
        line = ((side * 23.0, y + 2.0, 22.0), (side * 30.0, y + 2.0, -40.0), (side * 44.0 * lateral, y + 8.0, -150.0))
        canvas.paint_solid(Tube(line, (5.0, 15.0, 26.0)), "muscle", psoas)
        crus = ((side * 17.0, y + 18.0, -20.0), (side * 21.0, y + 24.0, 40.0), (side * 25.0, y + 36.0, 80.0))
        canvas.paint_solid(Tube(crus, (4.0, 6.0, 4.0)), "muscle", 0)
        _paint_iliac_wing(canvas, habitus, side, distances)


def _paint_iliac_wing(canvas: Canvas, habitus: HabitusDraw, side: int, distances: BodyDistances) -> None:
    """Paint an iliac bone as a fan of rods from its crest to the hip joint, between its muscles."""
    lateral, anterior = habitus.scale
    y, tall = habitus.spine_y, habitus.trunk.stature
    hip = (side * 84.0 * lateral, y + 14.0 * anterior, -195.0 * tall)
    crest = [(48, -44, -96), (66, -30, -80), (88, -4, -72), (104, 24, -76), (112, 52, -96)]
    gluteal = Ellipsoid((side * 92.0 * lateral, y - 22.0, -165.0 * tall), (42.0 * lateral, 44.0, 78.0 * tall))
    canvas.paint_solid(gluteal, "muscle", 0, habitus.fat.lateral * 0.8 - distances.depth)
    iliacus = Ellipsoid(
        (side * 78.0 * lateral, y + 20.0, -165.0 * tall), (34.0 * lateral, 42.0 * anterior, 72.0 * tall)
    )
    canvas.paint_solid(iliacus, "muscle", 0, distances.wall + 2.0)
    edge = spline_tube([(side * x * lateral, y + dy * anterior, z * tall) for x, dy, z in crest], [5.5] * len(crest), 3)
    rods = [Tube((point, hip), (5.5, 9.0)) for point in edge.points]
    fan = BlendedUnion(tuple(rods), blend=8.0)
    canvas.paint_solid(fan, "cortical bone", 0)
    canvas.paint_solid(fan, "cancellous bone", grow=-2.0)


def paint_spine(canvas: Canvas, habitus: HabitusDraw) -> None:
    """Paint vertebrae at equal distances: body, disc, canal, arch and processes."""
    y0, height = habitus.spine_y, habitus.spine.vertebra
    box = canvas.bounding_slices(np.array([-60.0, y0 - 75.0, -400.0]), np.array([60.0, y0 + 25.0, 400.0]))
    if box is None:
        return
    x, y, z = canvas.points[(slice(None), *box)]
    y = y - y0
    turns = z / height + habitus.spine.phase
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
