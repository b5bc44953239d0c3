"""The picture of a registered sequence: motion curves, local correlation, and a line of voxels through time."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from SlicerSynthReg.report.sequence import FAILED, SequenceReport

_BLUE, _ORANGE, _RED, _GREEN = "#1f6fb2", "#c25a00", "#8f1a10", "#115c2d"
_TRACKS = (_ORANGE, "#7a3e9d", "#4f7a28", "#b3287a", "#00838f", "#8d6e00")
"""Colours of the landmarks; as many are named in the legend."""


def sequence_picture(report: SequenceReport, before: np.ndarray, after: np.ndarray, line_mm: float) -> Figure:
    """Return the figure. before, after: (T, L) one line of voxels in every frame, as acquired and moved; NaN in frames
    that failed. line_mm: its length."""
    figure = Figure(figsize=(11.0, 6.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    motion, similarity, left, right = figure.subplots(2, 2).flat
    _draw_motion(motion, report)
    _draw_similarity(similarity, report)
    low, high = np.nanpercentile(before, (1, 99)) if np.isfinite(before).any() else (0.0, 1.0)
    for axes, lines, title in ((left, before, "Line through time: as acquired"), (right, after, "moved")):
        axes.set_facecolor("black")
        axes.imshow(
            np.ma.masked_invalid(lines).T,
            cmap="gray",
            vmin=low,
            vmax=max(high, low + 1e-6),
            aspect="auto",
            origin="lower",
            extent=(-0.5, len(lines) - 0.5, 0.0, line_mm),
            interpolation="nearest",
        )
        axes.set_title(title)
        axes.set_ylabel("mm")
    for axes in (motion, similarity, left, right):
        axes.set_xlabel("frame")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _draw_motion(axes: Axes, report: SequenceReport) -> None:
    mean, high = (
        np.array([_value(getattr(frame, name)) for frame in report.frames])
        for name in ("motion_mean_mm", "motion_p95_mm")
    )
    count = np.arange(len(mean))
    axes.plot(count, mean, color=_BLUE, marker="o", markersize=3.5, label="foreground, mean")
    axes.plot(count, high, color=_BLUE, alpha=0.5, linestyle="--", label="foreground, 95th percentile")
    tracked = [frame.landmarks_mm or (np.nan,) * len(report.landmark_labels) for frame in report.frames]
    for n, label in enumerate(report.landmark_labels):
        track = [row[n] for row in tracked]
        named = f"landmark {label}" if n < len(_TRACKS) else None
        axes.plot(count, track, color=_TRACKS[n % len(_TRACKS)], linewidth=1.1, label=named)
    failed = [frame.frame for frame in report.frames if frame.status == FAILED]
    if failed:
        axes.plot(failed, np.zeros(len(failed)), "x", color=_RED, markersize=8, clip_on=False, label="failed")
    if report.reference_frame is not None:
        axes.axvline(report.reference_frame, color=_GREEN, linewidth=1, linestyle=":", label="reference")
    axes.set_ylim(bottom=0)
    axes.set_title("Motion from the reference")
    axes.set_ylabel("mm")
    _finish(axes)


def _draw_similarity(axes: Axes, report: SequenceReport) -> None:
    for name, color, label in (
        ("similarity_before", _ORANGE, "affine"),
        ("similarity_after", _BLUE, "deformable"),
    ):
        values = [_value(getattr(frame, name)) for frame in report.frames]
        axes.plot(range(len(values)), values, color=color, marker="o", markersize=3.5, label=label)
    axes.set_title("Local correlation (NCC) with the reference")
    _finish(axes)


def _finish(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)


def _value(value: float | None) -> float:
    return np.nan if value is None else value
