"""Localisation of points of one contrast in another by their features: learned features beside MIND, no registration.

    python Testing/Benchmarks/features.py --pair T1.nii.gz FLAIR.nii.gz --pair MR.nii.gz CT.nii.gz --model features-any

Both images of a pair show the same subject, aligned to about a voxel. The second is deformed by a known affine map and
velocity; features of points of the first are compared with those in a neighbourhood (6 voxels) of their true position.
Reported is the localisation accuracy (training/features.py: the fraction of the neighbourhood that matches worse than
the true position; 1/2 by chance) of MIND, each model, and MIND with each model's features as in registration (x 0.1).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from results import add_save_option, save_table

from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.losses.mind import mind_ssc
from SlicerSynthReg.networks.extractor import Extractor
from SlicerSynthReg.spatial.intensity import rescale_intensity
from SlicerSynthReg.spatial.sampling import sample
from SlicerSynthReg.synthesis.deformation import DeformationConfig, draw_deformation, warp_index
from SlicerSynthReg.training.features import localisation_accuracy
from SlicerSynthReg.weights.registry import read_card

SPACING_MM = 2.0
DEFORMATION = DeformationConfig((16, 32), 1.0, 5, rotation_degrees=10.0, shift_vox=0.0, scale=0.05)
FeatureFunction = Callable[[torch.Tensor], torch.Tensor]


def feature_functions(models: list[str]) -> dict[str, FeatureFunction]:
    """Return by name the functions from an image (1, 1, I, J, K) to features (C, I, J, K)."""
    functions: dict[str, FeatureFunction] = {"MIND": lambda image: mind_ssc(image)[0]}
    for name in models:
        extractor = Extractor.load(read_card(name))
        functions[name] = extractor
        functions[f"MIND + {name}"] = lambda image, net=extractor: torch.cat([mind_ssc(image)[0], 0.1 * net(image)])
    return functions


def accuracies(pair: list[Path], functions: dict[str, FeatureFunction], seed: int, count: int) -> dict[str, float]:
    """Return the localisation accuracy of each feature function, for one warp of the pair."""
    one = read_image(pair[0])
    grid = one.grid.aligned_to_ras(SPACING_MM)
    first, second = (rescale_intensity(read_image(path).resampled(grid).data[:1])[None] for path in pair)
    generator = torch.Generator().manual_seed(seed)
    index = warp_index([draw_deformation(DEFORMATION, generator)], grid.shape)
    warped = sample(second, index)
    shared = (first[0, 0] > 0.1).float()[None, None]
    visible = (sample(shared, index)[0, 0] > 0.5) & (warped[0, 0] > 0.02)
    inside = visible.flatten().nonzero()[:, 0]
    chosen = inside[torch.randint(len(inside), (count,), generator=generator)]
    there = torch.stack(torch.unravel_index(chosen, grid.shape), 1).float()
    here = index[0].flatten(1)[:, chosen].T
    found = {}
    for name, describe in functions.items():
        found[name] = localisation_accuracy(torch.stack([describe(first), describe(warped)]), here, there)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", type=Path, nargs=2, action="append", required=True)
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--warps", type=int, default=3)
    parser.add_argument("--places", type=int, default=600)
    parser.add_argument("--json", type=Path)
    add_save_option(parser)
    given = parser.parse_args()
    torch.set_grad_enabled(False)
    functions, rows = feature_functions(given.model), {}
    for pair in given.pair:
        each = [accuracies(pair, functions, seed, given.places) for seed in range(given.warps)]
        name = f"{pair[0].name} - {pair[1].name}"
        rows[name] = {key: sum(one[key] for one in each) / len(each) for key in functions}
        print(name + ": " + ", ".join(f"{key} {value:.3f}" for key, value in rows[name].items()), flush=True)
    cells = [[name, *(f"{value:.3f}" for value in row.values())] for name, row in rows.items()]
    save_table(given, "Correspondence of features across contrasts", ["pair", *functions], cells)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
