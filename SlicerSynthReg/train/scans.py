"""Real scans with label maps as a source of questions."""

from __future__ import annotations

import csv
from pathlib import Path

import torch
import typer

from SlicerSynthReg.space.transform import resample
from SlicerSynthReg.synth.contrast import Looks
from SlicerSynthReg.synth.question import Source
from SlicerSynthReg.volume.intensity import unit_intensities
from SlicerSynthReg.volume.read import read_volume

SPACING_MM = 1.0


def read_scans(table: Path) -> Source:
    """The people of a CSV: column `labels`, and a column for each contrast; paths are relative to the table.

    Contrasts of one person must agree in the world, to the pixel; all are seen on an upright grid of 1 mm about the
    labels. Whatever has a label is brain.
    """
    with open(table, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or "labels" not in rows[0] or len(rows[0]) < 2:
        raise typer.BadParameter(f"Found {table.name} without a column labels and one for a contrast, expected both.")
    volumes, scans = [], []
    for row in rows:
        labels = read_volume(table.parent / row.pop("labels"), kind="labels")
        grid = labels.grid.aligned_to_ras(SPACING_MM)
        volumes.append(resample(labels.data.int(), labels.grid, grid, mode="nearest")[0])
        images = [read_volume(table.parent / path) for path in row.values()]
        seen = [unit_intensities(image.resampled(grid).data[:1]) for image in images]
        scans.append(torch.cat(seen))
    values = sorted({0}.union(*(set(v.unique().tolist()) for v in volumes)))
    if len(values) > 256:
        raise typer.BadParameter(f"Found {len(values)} labels in {table.name}, expected no more than 256.")
    lookup = torch.zeros(max(values) + 1, dtype=torch.uint8)
    lookup[torch.tensor(values)] = torch.arange(len(values)).to(torch.uint8)
    maps = [lookup[v.long()] for v in volumes]
    brain = torch.tensor([value != 0 for value in values])
    return Source(maps, Looks.arbitrary(len(values)), brain, scans=scans)
