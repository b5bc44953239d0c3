"""How much the result depends on the contrast: one pair of people, rendered in ever new arbitrary contrasts.

Two label maps that no training saw (the last two by name, as `synthreg train anatomy` holds out by default) become two
2 mm heads; the moving one is rendered in 20 contrasts, the fixed one in another each time (SynthMorph's Gaussians per
label, bias, blur and gamma; no scan-like ones among them). Each pair is registered as `synthreg register` does, and
scored by mean Dice over the structures of both sides. A method that sees through contrast scores the same every time.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from pairs import shared_folder
from rich.console import Console

from SlicerSynthReg.evaluate.overlap import overlap
from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.synth.artefacts import ArtefactConfig
from SlicerSynthReg.synth.contrast import ContrastConfig
from SlicerSynthReg.synth.deform import DeformConfig
from SlicerSynthReg.synth.pair import ViewConfig, draw_view, make_view
from SlicerSynthReg.tasks.alignment import AlignmentConfig, align
from SlicerSynthReg.tasks.model import DEFAULT_MODEL
from SlicerSynthReg.tasks.moving import moved_labels
from SlicerSynthReg.tasks.register import SCORED_VOXELS, SPACING_MM
from SlicerSynthReg.train.labelmaps import LabelMaps, load_label_maps
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.weights.registry import read_card

SHAPE = (96, 112, 112)
STILL = ViewConfig(DeformConfig((), 0.0, 0, zoom=(2.0, 2.0)), ContrastConfig(), ArtefactConfig(0.0, 4, 0.0))


def head(maps: LabelMaps, person: int, generator: torch.Generator) -> tuple[Volume, Volume]:
    """Image in a contrast of its own, and its scored labels, both at 2 mm."""
    view = make_view(maps.maps[person][None], [draw_view(STILL, maps.looks, generator)], SHAPE)
    scored = torch.tensor([0 if n is None else n + 1 for n in maps.scored], dtype=torch.int32)
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = -SPACING_MM * (np.array(SHAPE) - 1) / 2
    grid = Grid(SHAPE, affine)
    return Volume(view.image[0], grid), Volume(scored[view.labels.long()], grid, "labels")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contrasts", type=int, default=20)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="a model's name, or none")
    parser.add_argument("--json", type=Path, help="write the figures here")
    given, console = parser.parse_args(), Console()
    paths = sorted((shared_folder() / "data" / "a_brain_labelmaps_synthseg").glob("*.nii.gz"))[-2:]
    maps = load_label_maps(paths)
    model = None if given.model == "none" else SynthMorph.load(read_card(given.model))
    scores = []
    for number in range(given.contrasts):
        generator = torch.Generator().manual_seed(number)
        (fixed, fixed_labels), (moving, labels) = (head(maps, person, generator) for person in (0, 1))
        found = align(model, SPACING_MM, fixed, moving, AlignmentConfig())
        before, after = (
            overlap(fixed_labels, moved_labels(labels, fixed.grid, by), minimum_voxels=SCORED_VOXELS).mean
            for by in (None, found.transform)
        )
        scores.append(after)
        console.print(f"contrast {number}: Dice {before:.3f} -> {after:.3f} {' '.join(found.warnings)}", markup=False)
    points = 100 * np.array(scores)
    console.print(
        f"{len(points)} contrasts: mean {points.mean():.1f}, SD {points.std(ddof=1):.1f}, from {points.min():.1f} to "
        f"{points.max():.1f} Dice points"
    )
    if given.json:
        given.json.write_text(json.dumps({"model": given.model, "dice": scores}, indent=1))


if __name__ == "__main__":
    main()
