"""Several images of one grid beside each other, in three planes: what a derived image is shown with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from SlicerSynthReg.report.record import DISCLAIMER
from SlicerSynthReg.report.views import PLANES, Framing, cut, to_pixels

WIDTH_INCHES, DPI = 17.0, 100
LEFT, GAP = 0.03, 0.006
MARGIN_INCHES = 0.36
"""Above and below the planes, for titles."""
THINNEST_MM = 25.0
"""A plane in which less than this is seen is left out."""


@dataclass(frozen=True)
class Column:
    """One image shown in each plane. colours: a colour map of matplotlib's; limits: values of its two ends."""

    title: str
    values: np.ndarray
    colours: str
    limits: tuple[float, float]


def columns_picture(columns: Sequence[Column], frame: Framing, spacing: np.ndarray, name: str) -> Figure:
    """Rows axial, coronal, sagittal; marked as synthetic. spacing: (3,) mm of the display arrays; name: below."""
    extents = np.array([high - low for low, high in zip(frame.low, frame.high)]) * spacing
    rows = [plane for plane in (PLANES[n] for n in (0, 2, 1)) if extents[plane.down] > THINNEST_MM] or [PLANES[0]]
    width_mm = max(extents[plane.across] for plane in rows)
    inches_mm = WIDTH_INCHES * (1 - LEFT) / len(columns) / width_mm
    heights = [extents[plane.down] * inches_mm for plane in rows]
    height = (sum(heights) + 2 * MARGIN_INCHES) / (1 - GAP * len(rows))
    margin = MARGIN_INCHES / height
    figure = Figure(figsize=(WIDTH_INCHES, height), dpi=DPI, facecolor="black")
    FigureCanvasAgg(figure)
    pixel_mm = 1 / (inches_mm * DPI)
    step, top = (1 - LEFT) / len(columns), 1 - margin
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
        figure.text(LEFT + (n + 0.5) * step, 1 - margin / 2, column.title, color="white", ha="center", va="center")
    figure.text(LEFT, margin / 2, name or "", color="#d8d8d8", va="center", fontsize=10)
    figure.text(1 - GAP, margin / 2, f"SYNTHETIC. {DISCLAIMER}", color="#ffb347", ha="right", va="center", fontsize=10)
    return figure
