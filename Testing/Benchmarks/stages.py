"""Ablation of the registration stages: mean Dice against seconds on the pairs of the registration benchmark.

Every setting runs in this process, without start-up and files: headers only, affine, the velocity of the network alone,
coarse levels only (preset fast), all levels, and the last two without the network. Prints a table and, with --picture,
draws one curve per kind of pair.
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
from results import add_save_option, save_rich_tables
from rich.console import Console
from rich.table import Table

from SlicerSynthReg.api.registration import MIN_STRUCTURE_VOXELS
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.metrics.overlap import overlap
from SlicerSynthReg.registration.brain_pipeline import BrainPipelineConfig, register_brains
from SlicerSynthReg.registration.deformable import DeformableConfig
from SlicerSynthReg.registration.inputs import RegistrationInputs
from SlicerSynthReg.registration.synthmorph import SynthMorph
from SlicerSynthReg.registration.warping import warp_labels
from SlicerSynthReg.weights.registry import read_card
from SlicerSynthReg.weights.selection import DEFAULT_MODEL


@dataclass(frozen=True)
class Setting:
    """network: whether the model is used. config: None uses the headers only."""

    network: bool
    config: BrainPipelineConfig | None


FAST = DeformableConfig(last=False)
SETTINGS = {
    "headers": Setting(False, None),
    "affine": Setting(True, BrainPipelineConfig(affine_only=True)),
    "network alone": Setting(True, BrainPipelineConfig(refine=False)),
    "fast": Setting(True, BrainPipelineConfig(deformable=FAST)),
    "accurate": Setting(True, BrainPipelineConfig()),
    "fast, no network": Setting(False, BrainPipelineConfig(deformable=FAST)),
    "accurate, no network": Setting(False, BrainPipelineConfig()),
}


def measure_pair(setting: Setting, pair: Pair, model: SynthMorph) -> tuple[float, float]:
    """Return mean Dice and seconds of one setting on one pair."""
    fixed, moving = read_image(pair.fixed), read_image(pair.moving)
    fixed_labels, labels = (read_image(path, "labels") for path in (pair.fixed_labels, pair.moving_labels))
    begin, transform = time.perf_counter(), None
    if setting.config is not None:
        used = model if setting.network else None
        transform = register_brains(RegistrationInputs(fixed, moving), setting.config, used).transform
    seconds = time.perf_counter() - begin
    moved = warp_labels(labels, fixed.grid, transform)
    return overlap(fixed_labels, moved, minimum_voxels=MIN_STRUCTURE_VOXELS).mean, seconds


def draw_curves(rows: dict[tuple[str, str], list[tuple[float, float]]], path: Path) -> None:
    """Draw Dice against seconds, one plot per kind. Open circles: without the network, or the network alone."""
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
    add_save_option(parser)
    given = parser.parse_args()
    model = SynthMorph.load(read_card(given.model))
    rows: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for pair in chosen_pairs(given.kinds, given.pairs, given.derived):
        for name, setting in SETTINGS.items():
            rows[pair.kind, name].append(measure_pair(setting, pair, model))
    table = Table("pairs", "setting", "mean Dice", "seconds")
    for (kind, name), values in rows.items():
        dice, seconds = np.mean(values, axis=0)
        table.add_row(kind, name, f"{dice:.3f}", f"{seconds:.1f}")
    Console().print(table)
    save_rich_tables(given, f"Mean Dice and seconds by stage, {given.pairs} pairs of each kind, {given.model}", [table])
    if given.picture:
        draw_curves(rows, given.picture)


if __name__ == "__main__":
    main()
