"""Where a place of one contrast is found again in another: learned features beside MIND, before any registration.

    python Testing/Benchmarks/features.py --pair T1.nii.gz FLAIR.nii.gz --pair MR.nii.gz CT.nii.gz --model features-any

Both images of a pair show the same body in the same place, to a voxel or so. The second is turned and bent in a known
way; places of the first are compared with the surroundings (6 voxels) of where they went. Told is how many of these
match worse than the right place (1: all, half by chance; `located` of features-any's validation), for MIND, each model,
and MIND with each model's features as registration compares them (features x 0.1).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch

from SlicerSynthReg.losses.mind import mind_ssc
from SlicerSynthReg.nets.extractor import Extractor
from SlicerSynthReg.space.sampling import sample
from SlicerSynthReg.synth.deform import DeformConfig, draw_deform, warp_index
from SlicerSynthReg.train.features import located_share
from SlicerSynthReg.volume.intensity import unit_intensities
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.weights.registry import read_card

SPACING_MM = 2.0
PLACING = DeformConfig((16, 32), 1.0, 5, rotation_degrees=10.0, shift_vox=0.0, scale=0.05)
Describe = Callable[[torch.Tensor], torch.Tensor]


def descriptions(models: list[str]) -> dict[str, Describe]:
    """By name, what takes an image (1, 1, I, J, K) to channels (C, I, J, K)."""
    found: dict[str, Describe] = {"MIND": lambda image: mind_ssc(image)[0]}
    for name in models:
        extractor = Extractor.load(read_card(name))
        found[name] = extractor
        found[f"MIND + {name}"] = lambda image, net=extractor: torch.cat([mind_ssc(image)[0], 0.1 * net(image)])
    return found


def located(pair: list[Path], described: dict[str, Describe], seed: int, count: int) -> dict[str, float]:
    """Of each description, for one warp of the pair."""
    one = read_volume(pair[0])
    grid = one.grid.aligned_to_ras(SPACING_MM)
    first, second = (unit_intensities(read_volume(path).resampled(grid).data[:1])[None] for path in pair)
    generator = torch.Generator().manual_seed(seed)
    index = warp_index([draw_deform(PLACING, generator)], grid.shape)
    moved = sample(second, index)
    shared = (first[0, 0] > 0.1).float()[None, None]
    seen = (sample(shared, index)[0, 0] > 0.5) & (moved[0, 0] > 0.02)
    inside = seen.flatten().nonzero()[:, 0]
    chosen = inside[torch.randint(len(inside), (count,), generator=generator)]
    there = torch.stack(torch.unravel_index(chosen, grid.shape), 1).float()
    here = index[0].flatten(1)[:, chosen].T
    shares = {}
    for name, describe in described.items():
        shares[name] = located_share(torch.stack([describe(first), describe(moved)]), here, there)
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", type=Path, nargs=2, action="append", required=True)
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--warps", type=int, default=3)
    parser.add_argument("--places", type=int, default=600)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_grad_enabled(False)
    described, rows = descriptions(given.model), {}
    for pair in given.pair:
        each = [located(pair, described, seed, given.places) for seed in range(given.warps)]
        name = f"{pair[0].name} - {pair[1].name}"
        rows[name] = {key: sum(one[key] for one in each) / len(each) for key in described}
        print(name + ": " + ", ".join(f"{key} {value:.3f}" for key, value in rows[name].items()), flush=True)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
