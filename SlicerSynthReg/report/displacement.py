"""How well long displacements are found: target registration error over displacement length (thesis paper 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from SlicerSynthReg.evaluate.landmarks import Band
from SlicerSynthReg.report.figure import write_picture

COLOURS = ("#1f6fb2", "#c25a00", "#115c2d", "#7a3b9a", "#8a6d00")


def plot_displacement(curves: Mapping[str, Sequence[Band]], path: Path) -> Path:
    """A curve for each method: mean error of each bin at the bin's middle, with its confidence band; where nothing was
    moved the error is the displacement itself, which is drawn dashed. Empty bins are left out."""
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
