"""Three planes of a CT and of the synthetic one, their difference in HU, and the cycle error, in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from SlicerSynthReg.report.record import DISCLAIMER
from SlicerSynthReg.report.views import (
    PLANES,
    Framing,
    cut,
    display_array,
    display_spacing,
    framing,
    require_one_grid,
    to_pixels,
)
from SlicerSynthReg.volume.volume import Volume

ABDOMEN_HU = (-160.0, 240.0)
CHANGE_HU, CYCLE_HU = 200.0, 60.0
BODY_HU = -300.0
WIDTH_INCHES, DPI = 17.0, 100
LEFT, TOP, BOTTOM, GAP = 0.03, 0.055, 0.055, 0.006


@dataclass(frozen=True)
class Column:
    """One image shown in each plane. colours: a colour map of matplotlib's; limits: HU of its two ends."""

    title: str
    values: np.ndarray
    colours: str
    limits: tuple[float, float]


def contrast_picture(scan: Volume, made: Volume, to: str, cycle: Volume | None = None) -> Figure:
    """Rows axial, coronal, sagittal; columns scan, synthetic, difference and, where given, cycle error.

    All on one grid, HU. Slices go through the middle of where most is changed, within the body.
    """
    require_one_grid(scan, [made, *([cycle] if cycle else [])])
    before, after = (display_array(volume).astype(np.float32) for volume in (scan, made))
    columns = [
        Column("Scan", before, "gray", ABDOMEN_HU),
        Column(f"Synthetic {to}", after, "gray", ABDOMEN_HU),
        Column(f"Difference, ±{CHANGE_HU:.0f} HU", after - before, "RdBu_r", (-CHANGE_HU, CHANGE_HU)),
    ]
    if cycle:
        columns.append(Column(f"Cycle error, 0 to {CYCLE_HU:.0f} HU", display_array(cycle), "inferno", (0, CYCLE_HU)))
    return _drawn(columns, _framed(before, after, display_spacing(scan.grid)), display_spacing(scan.grid), scan.name)


def _framed(before: np.ndarray, after: np.ndarray, spacing: np.ndarray) -> Framing:
    """The body's box; slices where the change is greatest."""
    body = before > BODY_HU
    box = framing(body if body.any() else np.ones(before.shape, dtype=bool), spacing)
    change = np.abs(after - before) * body
    centre = tuple(
        int(np.argmax(change.sum(axis=tuple(other for other in range(3) if other != axis)))) if change.any() else middle
        for axis, middle in enumerate(box.centre)
    )
    return Framing(centre, box.low, box.high)


def _drawn(columns: Sequence[Column], frame: Framing, spacing: np.ndarray, name: str) -> Figure:
    extents = np.array([high - low for low, high in zip(frame.low, frame.high)]) * spacing
    rows = [PLANES[n] for n in (0, 2, 1)]
    width_mm = max(extents[plane.across] for plane in rows)
    inches_mm = WIDTH_INCHES * (1 - LEFT) / len(columns) / width_mm
    heights = [extents[plane.down] * inches_mm for plane in rows]
    height = sum(heights) / (1 - TOP - BOTTOM - GAP * len(rows))
    figure = Figure(figsize=(WIDTH_INCHES, height), dpi=DPI, facecolor="black")
    FigureCanvasAgg(figure)
    pixel_mm = 1 / (inches_mm * DPI)
    step, top = (1 - LEFT) / len(columns), 1 - TOP
    for plane, tall in zip(rows, heights):
        share = tall / height
        for n, column in enumerate(columns):
            wide = extents[plane.across] * inches_mm / WIDTH_INCHES
            axes = figure.add_axes((LEFT + n * step + (step - wide) / 2, top - share, wide - GAP, share))
            view = to_pixels(cut(column.values, plane, frame), plane, spacing, pixel_mm)
            low, high = column.limits
            axes.imshow(view, cmap=column.colours, vmin=low, vmax=high, interpolation="nearest", aspect="auto")
            axes.set_axis_off()
        figure.text(LEFT / 2, top - share / 2, plane.name, color="white", rotation=90, va="center", ha="center")
        top -= share + GAP
    for n, column in enumerate(columns):
        figure.text(LEFT + (n + 0.5) * step, 1 - TOP / 2, column.title, color="white", ha="center", va="center")
    figure.text(LEFT, BOTTOM / 2, name or "", color="#d8d8d8", va="center", fontsize=10)
    figure.text(1 - GAP, BOTTOM / 2, f"SYNTHETIC. {DISCLAIMER}", color="#ffb347", ha="right", va="center", fontsize=10)
    return figure
