"""Error by displacement length of trained registration networks: which network finds long displacements (paper 2).

    python Testing/Benchmarks/architectures.py --run unet=RUNS/unet --run transformer=RUNS/transformer \
        --labels LABELS --pairs 20 --json architectures.json --picture architectures.png

A pair is one validation subject's map (or random shapes) twice, one view deformed by a known velocity. Errors are those
of `--points` points of each pair; bins of displacement have equal counts; confidence bands resample pairs. Trainings
are those of `synthreg train registration --network unet|transformer`; give `--coarse` and `--same-contrast` if they had
them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from SlicerSynthReg.metrics.landmarks import (
    ErrorBand,
    TargetRegistrationError,
    equal_count_edges,
    error_by_displacement,
)
from SlicerSynthReg.report.figure import write_picture
from SlicerSynthReg.spatial.transform import exponential
from SlicerSynthReg.training.export import best_weights
from SlicerSynthReg.training.label_maps import read_label_maps
from SlicerSynthReg.training.pairs import PairConfig, PairSource, PairSpec, make_pair
from SlicerSynthReg.training.registration import SQUARINGS, RegistrationTask, RegistrationTaskConfig

COLOURS = ("#1f6fb2", "#c25a00", "#115c2d", "#7a3b9a", "#8a6d00")

HALF_VOXEL_MM = 4.0
"""Of a velocity's grid, of pairs at 2 mm."""


def networks(runs: dict[str, str]) -> dict[str, RegistrationTask]:
    """Return tasks with the best weights of each folder; a run's name is its kind of network."""
    tasks = {}
    for name, folder in runs.items():
        task = RegistrationTask(RegistrationTaskConfig(network=name.split("-")[0]), None)
        task.model.load_state_dict(best_weights(Path(folder)))
        task.model.eval()
        tasks[name] = task
    return tasks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="append", required=True, help="unet=FOLDER or transformer=FOLDER; repeat.")
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--validation-cases", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--points", type=int, default=400)
    parser.add_argument("--bins", type=int, default=8)
    parser.add_argument("--velocity", type=float, default=3.0, help="b_v of the warps at 2 mm; 3 is the paper's.")
    parser.add_argument("--coarse", action="store_true", help="pairs at 4 mm")
    parser.add_argument("--same-contrast", action="store_true", help="both images of a pair in one T1-like contrast")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    torch.set_grad_enabled(False)
    tasks = networks(dict(run.split("=", 1) for run in given.run))
    maps = read_label_maps(given.labels, given.validation_cases) if given.labels else None
    validation = maps.split(given.validation_cases, 12)[1] if maps else []
    tables = maps.intensity_tables if maps else next(iter(tasks.values())).validation.tables
    source = PairSource(validation, tables)
    config = dataclasses.replace(PairConfig(), velocity_sd=(given.velocity, given.velocity))
    config, voxel_mm = (config.coarse(), 2 * HALF_VOXEL_MM) if given.coarse else (config, HALF_VOXEL_MM)
    spec = (
        PairSpec(sequences=("T1",), same_contrast=True, known_warp=True)
        if given.same_contrast
        else PairSpec(known_warp=True)
    )
    errors: dict[str, list[np.ndarray]] = {name: [] for name in tasks}
    lengths, cases = [], []
    for n in range(given.pairs):
        generator = torch.Generator().manual_seed(20_000_000 + n)
        pair = make_pair(config, spec, source, generator)
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
    edges = equal_count_edges(displacement, given.bins)
    curves = {
        name: error_by_displacement(
            TargetRegistrationError(np.concatenate(found), displacement), edges, np.concatenate(cases)
        )
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


def plot_displacement(curves: Mapping[str, Sequence[ErrorBand]], path: Path) -> Path:
    """Plot the mean error per bin of displacement with its confidence band, one curve per method (thesis paper 2).

    Dashed: the displacement itself, the error without registration. Empty bins are left out.
    """
    figure = Figure(figsize=(6.4, 4.2), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    longest = 0.0
    for colour, (name, bands) in zip(COLOURS * len(curves), curves.items()):
        known = [band for band in bands if band.count]
        middles = [(band.low_mm + band.high_mm) / 2 for band in known]
        longest = max([longest, *middles])
        axes.plot(middles, [band.mean_mm for band in known], "o-", color=colour, markersize=4, label=name)
        axes.fill_between(
            middles,
            [band.lower_mm for band in known],
            [band.upper_mm for band in known],
            color=colour,
            alpha=0.18,
            linewidth=0,
        )
    axes.plot([0, longest], [0, longest], "--", color="#777777", linewidth=1, label="not registered")
    axes.set(xlabel="displacement, mm", ylabel="target registration error, mm")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return write_picture(figure, path)


if __name__ == "__main__":
    main()
