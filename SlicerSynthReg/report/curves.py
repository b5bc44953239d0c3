"""Training curves from the tables of the training loop."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from SlicerSynthReg.errors import ReportError
from SlicerSynthReg.report.figure import write_picture

Columns = dict[str, np.ndarray]
INDEX_COLUMNS = {"step", "seconds"}


def plot_training(folder: Path) -> Path:
    """Write folder/training.png from training.csv and, if it exists, validation.csv (see `training.loop`).

    One panel per loss term (each step, and the running median) and per validation score, over steps; the best value of
    the score that selects the checkpoint is marked. Raises ReportError if there is no step yet.
    """
    folder = Path(folder)
    training = read_columns(folder / "training.csv")
    validation = read_columns(folder / "validation.csv") if (folder / "validation.csv").exists() else {}
    terms = [name for name in training if name not in INDEX_COLUMNS]
    scores = [name for name in validation if name not in INDEX_COLUMNS]
    count = len(terms) + len(scores)
    columns = min(3, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(4.6 * columns, 3.0 * rows + 0.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.set_xlabel("step")
        axes.spines[["top", "right"]].set_visible(False)
    for axes, name in zip(panels, terms):
        axes.plot(training["step"], training[name], color="#1f6fb2", alpha=0.25, linewidth=0.7)
        axes.plot(training["step"], running_median(training[name]), color="#1f6fb2", linewidth=1.8)
        axes.set_title(f"training: {name}")
    for axes, name in zip(panels[len(terms) :], scores):
        steps, values = validation["step"], validation[name]
        axes.plot(steps, values, color="#c25a00", marker="o", markersize=3, linewidth=1.5)
        axes.set_title(f"validation: {name}")
        if name == "score" and np.isfinite(values).any():
            best = int(np.nanargmax(values))
            axes.plot(steps[best], values[best], "o", color="#115c2d", markersize=9, fillstyle="none")
            axes.set_title(f"validation: score, best {values[best]:.4g} at step {steps[best]:.0f}")
    for axes in panels[count:]:
        axes.set_axis_off()
    hours = f", {training['seconds'][-1] / 3600:.1f} h" if "seconds" in training else ""
    figure.suptitle(f"{folder.name}: {training['step'][-1]:.0f} steps{hours}", x=0.01, ha="left", fontsize=11)
    return write_picture(figure, folder / "training.png")


def read_columns(path: Path) -> Columns:
    """Return each column as float64; an incomplete last line is dropped, cells without a number are NaN."""
    if not path.exists():
        raise ReportError(f"Found no {path.name} in {path.parent.name}, expected a training folder. Check the path.")
    with open(path, newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    whole = [row for row in rows if len(row) == len(header)]
    if not whole:
        raise ReportError(f"Found no finished step in {path.name}, expected one at least. Train for a while first.")
    return {name: np.array([_number(row[n]) for row in whole]) for n, name in enumerate(header)}


def running_median(values: np.ndarray) -> np.ndarray:
    """Return the running median (N,) of finite values over a fortieth of the run to either side."""
    half = max(1, len(values) // 40)
    near = (values[max(0, n - half) : n + half + 1] for n in range(len(values)))
    return np.array([np.median(part[np.isfinite(part)]) if np.isfinite(part).any() else np.nan for part in near])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
