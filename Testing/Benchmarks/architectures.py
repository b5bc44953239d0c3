"""Which network finds long displacements: error by displacement length of trained registration networks (paper 2).

    python Testing/Benchmarks/architectures.py --run unet=RUNS/unet --run transformer=RUNS/transformer \
        --labels LABELS --pairs 20 --json architectures.json --picture architectures.png

Pairs are one unseen person's map (or random shapes) twice, of which one view has flowed by a known velocity; errors are
those of `--points` places of the anatomy a pair, bins of displacement are evenly filled, bands draw pairs anew.
Trainings are those of `synthreg train registration --network unet|transformer`; with `--coarse` and `--alike` where
they had them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import torch

from SlicerSynthReg.evaluate.landmarks import TargetError, by_displacement, even_edges
from SlicerSynthReg.report.displacement import plot_displacement
from SlicerSynthReg.space.transform import exponential
from SlicerSynthReg.train.pairs import PairConfig, Recipe, make_pair
from SlicerSynthReg.train.registration import SQUARINGS, RegistrationTask, RegistrationTaskConfig
from SlicerSynthReg.train.ship import best_weights
from SlicerSynthReg.train.training import label_maps

HALF_VOXEL_MM = 4.0
"""Of a velocity's grid, of pairs at 2 mm."""


def networks(runs: dict[str, str]) -> dict[str, RegistrationTask]:
    """Tasks with the best weights of each folder; the kind of network is the run's name."""
    built = {}
    for name, folder in runs.items():
        task = RegistrationTask(RegistrationTaskConfig(network=name.split("-")[0]), None)
        task.model.load_state_dict(best_weights(Path(folder)))
        task.model.eval()
        built[name] = task
    return built


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="append", required=True, help="unet=FOLDER or transformer=FOLDER; repeat.")
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--held-out", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--points", type=int, default=400)
    parser.add_argument("--bins", type=int, default=8)
    parser.add_argument("--velocity", type=float, default=3.0, help="b_v of the warps at 2 mm; 3 is the paper's.")
    parser.add_argument("--coarse", action="store_true", help="pairs at 4 mm")
    parser.add_argument("--alike", action="store_true", help="both images of a pair in one T1-like contrast")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    torch.set_grad_enabled(False)
    tasks = networks(dict(run.split("=", 1) for run in given.run))
    maps = label_maps(given.labels, given.held_out) if given.labels else None
    people = maps.people(given.held_out, 12)[1] if maps else []
    looks = maps.looks if maps else next(iter(tasks.values())).looks
    config = dataclasses.replace(PairConfig(), velocity_sd=(given.velocity, given.velocity))
    config, voxel_mm = (config.coarse(), 2 * HALF_VOXEL_MM) if given.coarse else (config, HALF_VOXEL_MM)
    recipe = Recipe(sequences=("T1",), alike=True, known=True) if given.alike else Recipe(known=True)
    errors: dict[str, list[np.ndarray]] = {name: [] for name in tasks}
    lengths, cases = [], []
    for n in range(given.pairs):
        generator = torch.Generator().manual_seed(20_000_000 + n)
        pair = make_pair(config, recipe, people, looks, generator)
        assert pair.velocity is not None
        truth = exponential(pair.velocity, SQUARINGS)[0]
        inside = (pair.fixed.labels[0, ::2, ::2, ::2] > 0).flatten().nonzero()[:, 0]
        chosen = inside[torch.randint(len(inside), (given.points,), generator=generator)]
        wanted = truth.flatten(1)[:, chosen]
        lengths.append((wanted.norm(dim=0) * voxel_mm).numpy())
        cases.append(np.full(given.points, n))
        for name, task in tasks.items():
            u = exponential(task.model(pair.fixed.image, pair.moving.image, 1.0), SQUARINGS)[0]
            errors[name].append(((u.flatten(1)[:, chosen] - wanted).norm(dim=0) * voxel_mm).numpy())
    displacement = np.concatenate(lengths)
    edges = even_edges(displacement, given.bins)
    curves = {
        name: by_displacement(TargetError(np.concatenate(found), displacement), edges, np.concatenate(cases))
        for name, found in errors.items()
    }
    for name, bands in curves.items():
        print(f"{name}: mean {np.concatenate(errors[name]).mean():.2f} mm, not registered {displacement.mean():.2f} mm")
        for band in bands:
            print(
                f"  {band.low_mm:5.1f} to {band.high_mm:5.1f} mm, {band.count:5d} places: "
                f"{band.mean_mm:5.2f} mm ({band.lower_mm:.2f} to {band.upper_mm:.2f})"
            )
    if given.json:
        rows = {name: [dataclasses.asdict(band) for band in bands] for name, bands in curves.items()}
        given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    if given.picture:
        plot_displacement(curves, given.picture)


if __name__ == "__main__":
    main()
