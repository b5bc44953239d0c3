"""Which stage gives how much for how long: mean Dice against seconds, on the pairs of the registration benchmark.

Every setting runs in this process, its start-up and the files left out; what each adds to the one before it shows in
one curve a kind of pair: headers only, affine, the network's velocity alone, coarse levels only (preset fast), all, and
each of the last two without the network. Writes a table and, with --picture, the curve.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pairs import KINDS, Pair
from registration import chosen_pairs
from rich.console import Console
from rich.table import Table

from SlicerSynthReg.evaluate.overlap import overlap
from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.tasks.alignment import AlignmentConfig, align
from SlicerSynthReg.tasks.deforming import DeformingConfig
from SlicerSynthReg.tasks.model import DEFAULT_MODEL
from SlicerSynthReg.tasks.moving import moved_labels
from SlicerSynthReg.tasks.register import SCORED_VOXELS, SPACING_MM
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.weights.registry import read_card


@dataclass(frozen=True)
class Setting:
    """network: whether the model is used; config: None leaves the images where their headers put them."""

    network: bool
    config: AlignmentConfig | None


FAST = DeformingConfig(last=False)
SETTINGS = {
    "headers": Setting(False, None),
    "affine": Setting(True, AlignmentConfig(affine_only=True)),
    "network alone": Setting(True, AlignmentConfig(refine=False)),
    "fast": Setting(True, AlignmentConfig(deforming=FAST)),
    "accurate": Setting(True, AlignmentConfig()),
    "fast, no network": Setting(False, AlignmentConfig(deforming=FAST)),
    "accurate, no network": Setting(False, AlignmentConfig()),
}


def measured(setting: Setting, pair: Pair, model: SynthMorph) -> tuple[float, float]:
    """Mean Dice and seconds of one setting on one pair."""
    fixed, moving = read_volume(pair.fixed), read_volume(pair.moving)
    fixed_labels, labels = (read_volume(path, "labels") for path in (pair.fixed_labels, pair.moving_labels))
    begin, transform = time.perf_counter(), None
    if setting.config is not None:
        used = model if setting.network else None
        transform = align(used, SPACING_MM, fixed, moving, setting.config).transform
    seconds = time.perf_counter() - begin
    moved = moved_labels(labels, fixed.grid, transform)
    return overlap(fixed_labels, moved, minimum_voxels=SCORED_VOXELS).mean, seconds


def curve(rows: dict[tuple[str, str], list[tuple[float, float]]], path: Path) -> None:
    """Dice against seconds, a plot a kind; open circles do without the network or with it alone."""
    kinds = sorted({kind for kind, _ in rows})
    figure = Figure(figsize=(4.6 * len(kinds), 4.2), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    plots = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    plots[0].set_ylabel("mean Dice")
    for axes, kind in zip(plots, kinds):
        axes.set(title=kind, xlabel="seconds for a pair")
        axes.margins(x=0.25)
        axes.grid(alpha=0.3)
        points = {name: np.mean(rows[kind, name], axis=0) for name in SETTINGS if (kind, name) in rows}
        with_network = [points[name] for name in ("headers", "affine", "fast", "accurate") if name in points]
        line = axes.plot([p[1] for p in with_network], [p[0] for p in with_network], marker="o")[0]
        for name, (dice, seconds) in points.items():
            filled = line.get_color() if "no network" not in name and name != "network alone" else "none"
            axes.scatter([seconds], [dice], edgecolors=line.get_color(), facecolors=filled, zorder=3)
            axes.annotate(name, (seconds, dice), xytext=(5, -9), textcoords="offset points", fontsize=7)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["T1-T1", "FLAIR-T1"])
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--derived", type=Path, default=Path("benchmark-derived"), help="for labels on FLAIR grids")
    parser.add_argument("--picture", type=Path, help="PNG of the curve")
    given = parser.parse_args()
    model = SynthMorph.load(read_card(given.model))
    rows: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for pair in chosen_pairs(given.kinds, given.pairs, given.derived):
        for name, setting in SETTINGS.items():
            rows[pair.kind, name].append(measured(setting, pair, model))
    table = Table("pairs", "setting", "mean Dice", "seconds")
    for (kind, name), values in rows.items():
        dice, seconds = np.mean(values, axis=0)
        table.add_row(kind, name, f"{dice:.3f}", f"{seconds:.1f}")
    Console().print(table)
    if given.picture:
        curve(rows, given.picture)


if __name__ == "__main__":
    main()
