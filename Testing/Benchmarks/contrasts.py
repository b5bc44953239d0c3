"""Dependence on the contrast: one pair of subjects, rendered in arbitrary contrasts.

Two label maps that were not used in training (the last two by name, the default validation cases) become two
2 mm heads; the moving one is rendered in 20 contrasts, the fixed one in another each time (SynthMorph's Gaussians per
label, bias, blur and gamma; no scan-like ones among them). Each pair is registered as `synthreg register` does, and
scored by mean Dice over the common structures. A contrast-invariant method has the same score every time.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from pairs import shared_folder
from results import add_save_option, save_table
from rich.console import Console

from SlicerSynthReg.api.registration import MIN_STRUCTURE_VOXELS
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.metrics.overlap import overlap
from SlicerSynthReg.registration.brain_pipeline import BrainPipelineConfig, register_brains
from SlicerSynthReg.registration.inputs import RegistrationInputs
from SlicerSynthReg.registration.synthmorph import SynthMorph
from SlicerSynthReg.registration.warping import warp_labels
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.synthesis.artefacts import ArtefactConfig
from SlicerSynthReg.synthesis.deformation import DeformationConfig
from SlicerSynthReg.synthesis.mr_contrast import MRContrastConfig
from SlicerSynthReg.synthesis.pair import ViewConfig, draw_view, make_view
from SlicerSynthReg.training.label_maps import LabelMaps, load_label_maps
from SlicerSynthReg.weights.registry import read_card
from SlicerSynthReg.weights.selection import DEFAULT_MODEL

SHAPE = (96, 112, 112)
SPACING_MM = BrainPipelineConfig().spacing_mm
UNDEFORMED = ViewConfig(DeformationConfig((), 0.0, 0, zoom=(2.0, 2.0)), MRContrastConfig(), ArtefactConfig(0.0, 4, 0.0))


def render_head(maps: LabelMaps, subject: int, generator: torch.Generator) -> tuple[Image, Image]:
    """Return an image in a random contrast, and its scored labels, both at 2 mm."""
    view = make_view(maps.maps[subject][None], [draw_view(UNDEFORMED, maps.intensity_tables, generator)], SHAPE)
    scored = torch.tensor([0 if n is None else n + 1 for n in maps.scored], dtype=torch.int32)
    affine = np.diag([SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = -SPACING_MM * (np.array(SHAPE) - 1) / 2
    grid = Grid(SHAPE, affine)
    return Image(view.image[0], grid), Image(scored[view.labels.long()], grid, "labels")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contrasts", type=int, default=20)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="a model's name, or none")
    parser.add_argument("--json", type=Path, help="write the figures here")
    add_save_option(parser)
    given, console = parser.parse_args(), Console()
    paths = sorted((shared_folder() / "data" / "a_brain_labelmaps_synthseg").glob("*.nii.gz"))[-2:]
    maps = load_label_maps(paths)
    model = None if given.model == "none" else SynthMorph.load(read_card(given.model))
    scores = []
    for number in range(given.contrasts):
        generator = torch.Generator().manual_seed(number)
        (fixed, fixed_labels), (moving, labels) = (render_head(maps, subject, generator) for subject in (0, 1))
        result = register_brains(RegistrationInputs(fixed, moving), BrainPipelineConfig(), model)
        before, after = (
            overlap(fixed_labels, warp_labels(labels, fixed.grid, by), minimum_voxels=MIN_STRUCTURE_VOXELS).mean
            for by in (None, result.transform)
        )
        scores.append(after)
        console.print(f"contrast {number}: Dice {before:.3f} -> {after:.3f} {' '.join(result.warnings)}", markup=False)
    points = 100 * np.array(scores)
    console.print(
        f"{len(points)} contrasts: mean {points.mean():.1f}, SD {points.std(ddof=1):.1f}, from {points.min():.1f} to "
        f"{points.max():.1f} Dice points"
    )
    columns = ["measure", "mean", "lowest", "highest", "SD"]
    row = [f"{value / 100:.3f}" for value in (points.mean(), points.min(), points.max(), points.std(ddof=1))]
    title = f"Dependence on the contrast: one pair of unseen people in {len(points)} arbitrary synthetic contrasts"
    save_table(given, title, columns, [["mean Dice", *row]])
    if given.json:
        given.json.write_text(json.dumps({"model": given.model, "dice": scores}, indent=1))


if __name__ == "__main__":
    main()
