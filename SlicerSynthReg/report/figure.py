"""Figures: columns of images in three planes, and PNG output."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from SlicerSynthReg.io.files import atomic_write
from SlicerSynthReg.report.record import DISCLAIMER
from SlicerSynthReg.report.views import PLANES, Framing, extract_slice, resample_slice

WIDTH_INCHES, DPI = 17.0, 100
LEFT, GAP = 0.03, 0.006
MARGIN_INCHES = 0.36
"""Space for titles above and below the planes."""
MIN_EXTENT_MM = 25.0
"""Planes with a smaller extent are left out."""


@dataclass(frozen=True)
class ImageColumn:
    """One image, shown in each plane. colours: name of a matplotlib colour map; limits: values of its two ends."""

    title: str
    values: np.ndarray
    colours: str
    limits: tuple[float, float]


def column_figure(columns: Sequence[ImageColumn], frame: Framing, spacing: np.ndarray, name: str) -> Figure:
    """Return a figure with rows axial, coronal, sagittal, marked as synthetic.

    spacing: (3,) mm of the display arrays. name: of the case, shown below.
    """
    extents = np.array([high - low for low, high in zip(frame.low, frame.high)]) * spacing
    rows = [plane for plane in (PLANES[n] for n in (0, 2, 1)) if extents[plane.down] > MIN_EXTENT_MM] or [PLANES[0]]
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
            view = resample_slice(extract_slice(column.values, plane, frame), plane, spacing, pixel_mm)
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


def png_bytes(figure: Figure) -> bytes:
    """Return the figure as PNG."""
    buffer = io.BytesIO()
    fast = {"compress_level": 1}
    figure.savefig(buffer, format="png", dpi=figure.dpi, facecolor=figure.get_facecolor(), pil_kwargs=fast)
    return buffer.getvalue()


def write_picture(figure: Figure, path: Path) -> Path:
    """Write the figure as PNG to `path`, completely or not at all. Raises OSError."""
    with atomic_write(Path(path), ".png") as partial:
        partial.write_bytes(png_bytes(figure))
    return Path(path)
