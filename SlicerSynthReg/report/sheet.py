"""Contact sheet of a case: axial, sagittal and coronal slices of each image through one location."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.report.quality import WorstLocation
from SlicerSynthReg.report.record import DISCLAIMER
from SlicerSynthReg.report.views import (
    PLANES,
    Framing,
    Plane,
    display_array,
    display_index,
    display_spacing,
    extract_slice,
    foreground,
    foreground_framing,
    intensity_window,
    require_one_grid,
    resample_slice,
)

WIDTH_PIXELS, DPI = 1500, 110
LEFT, TOP, BOTTOM, GAP, BAR = 60, 64, 40, 8, 110
GREY, DIFFERENCE, JACOBIAN, HEAT = "grey", "difference", "jacobian", "heat"
MARK = "#ffd21f"


@dataclass(frozen=True, eq=False)
class SheetRow:
    """One image. kind: "grey"; "difference" (0 white, negative blue, positive red); "jacobian" (1 white, compression
    red, expansion blue, folding black); "heat" (0 black, maximum white). limits: black and white, or 0 and the largest
    difference; None: from the image."""

    name: str
    volume: Image
    kind: str = GREY
    limits: tuple[float, float] | None = None
    unit: str = ""


def contact_sheet(rows: Sequence[SheetRow], title: str, place: WorstLocation | None = None) -> Figure:
    """Return a figure of all rows, slices through `place` (default: the centre of the first image's foreground).

    All images on one grid. Grey rows without limits share those of the first grey one. Raises GeometryError for
    different grids, ReportError for non-finite values.
    """
    first = rows[0].volume
    require_one_grid(first, [row.volume for row in rows[1:]])
    spacing = display_spacing(first.grid)
    arrays = [display_array(row.volume).astype(np.float32) for row in rows]
    mask = foreground(arrays[0])
    frame = foreground_framing(mask, spacing)
    if place is not None:
        frame = _through(frame, display_index(first.grid, place.ras_mm), arrays[0].shape)
    shared = next((row.limits for row in rows if row.limits and row.kind == GREY), None) or intensity_window(
        arrays[0], mask
    )
    extents = np.array([high - low for low, high in zip(frame.low, frame.high)]) * spacing
    across = sum(extents[plane.across] for plane in PLANES)
    pixel_mm = float(across / (WIDTH_PIXELS - LEFT - BAR - 3 * GAP))
    height = int(max(extents[plane.down] for plane in PLANES) / pixel_mm)
    size = (WIDTH_PIXELS / DPI, (TOP + len(rows) * (height + GAP) + BOTTOM) / DPI)
    figure = Figure(figsize=size, dpi=DPI, facecolor="black")
    FigureCanvasAgg(figure)
    for number, (row, array) in enumerate(zip(rows, arrays)):
        top = TOP + number * (height + GAP)
        limits, colours = _display(row, array, mask, shared)
        left = float(LEFT)
        for plane in PLANES:
            view = resample_slice(extract_slice(array, plane, frame), plane, spacing, pixel_mm)
            axes = _panel(figure, left, top + (height - view.shape[0]) / 2, view.shape)
            shown = axes.imshow(view, cmap=colours, vmin=limits[0], vmax=limits[1], interpolation="nearest")
            _letters(axes, plane)
            if place is not None:
                _mark(axes, plane, frame, spacing, pixel_mm, view.shape)
            left += view.shape[1] + GAP
        _text(figure, 24, top + height / 2, row.name, size=12, ha="center", rotation=90)
        scale = _panel(figure, left + 4, top + height * 0.15, (int(height * 0.7), 14))
        scale.set_axis_on()
        bar = figure.colorbar(shown, cax=scale)
        bar.ax.tick_params(colors="white", labelsize=8)
        bar.outline.set_edgecolor("#808080")
        bar.ax.set_title(row.unit, color="white", fontsize=8)
    _captions(figure, title, place)
    return figure


def _display(
    row: SheetRow, array: np.ndarray, mask: np.ndarray, shared: tuple[float, float]
) -> tuple[tuple[float, float], str | Colormap]:
    """Return limits and colour map of a row."""
    if row.kind == DIFFERENCE:
        most = row.limits[1] if row.limits else float(np.percentile(np.abs(array[mask]), 99.5)) or 1.0
        return (-most, most), "RdBu_r"
    if row.kind == JACOBIAN:
        return row.limits or (0.0, 2.0), colormaps["RdBu"].with_extremes(under="black")
    if row.kind == HEAT:
        return row.limits or (0.0, float(array.max()) or 1.0), "inferno"
    return row.limits or shared, "gray"


def _through(frame: Framing, index: np.ndarray, shape: tuple[int, ...]) -> Framing:
    """Return the framing with slices at `index`, extended to include it."""
    centre = tuple(int(np.clip(round(x), 0, n - 1)) for x, n in zip(index, shape))
    low = tuple(min(a, c) for a, c in zip(frame.low, centre))
    high = tuple(max(b, c + 1) for b, c in zip(frame.high, centre))
    return replace(frame, centre=centre, low=low, high=high)


def _mark(
    axes: Axes, plane: Plane, frame: Framing, spacing: np.ndarray, pixel_mm: float, shape: tuple[int, ...]
) -> None:
    """Draw four short lines that point at the slices' common location."""

    def along(axis: int) -> float:
        return float((frame.high[axis] - frame.centre[axis] - 0.5) * spacing[axis] / pixel_mm - 0.5)

    x, y = along(plane.across), along(plane.down)
    near, far = 9, 22  # pixels
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        line = ([x + near * dx, x + far * dx], [y + near * dy, y + far * dy])
        axes.plot(*line, color=MARK, linewidth=1.6, path_effects=[withStroke(linewidth=3, foreground="black")])
    axes.set_xlim(-0.5, shape[1] - 0.5)
    axes.set_ylim(shape[0] - 0.5, -0.5)


def _panel(figure: Figure, left: float, top: float, shape: tuple[int, ...]) -> Axes:
    width, height = figure.get_size_inches() * figure.dpi
    axes = figure.add_axes((left / width, 1 - (top + shape[0]) / height, shape[1] / width, shape[0] / height))
    axes.set_axis_off()
    return axes


def _letters(axes: Axes, plane: Plane) -> None:
    places = ((0.02, 0.5, "left", "center"), (0.98, 0.5, "right", "center"),
              (0.5, 0.98, "center", "top"), (0.5, 0.02, "center", "bottom"))  # fmt: skip
    for (x, y, ha, va), letter in zip(places, (plane.left, plane.right, plane.top, plane.bottom)):
        axes.text(x, y, letter, transform=axes.transAxes, ha=ha, va=va, color="white", size=10, weight="bold",
                  path_effects=[withStroke(linewidth=2.5, foreground="black")])  # fmt: skip


def _text(figure: Figure, x: float, y: float, text: str, **style: Any) -> None:
    width, height = figure.get_size_inches() * figure.dpi
    style = {"color": "white", "va": "center", **style}
    figure.text(x / width, 1 - y / height, text, **style)


def _captions(figure: Figure, title: str, place: WorstLocation | None) -> None:
    width, height = figure.get_size_inches() * figure.dpi
    _text(figure, 12, 20, title, size=14, ha="left", weight="bold")
    if place is not None:
        _text(figure, 12, 44, f"Slices at {place}: {place.reason}", size=11, ha="left", color=MARK)
    _text(figure, 12, height - 18, "Radiological convention: the patient's right is on the left of axial and coronal "
          "views.", size=9.5, ha="left", color="#d8d8d8")  # fmt: skip
    _text(figure, width - 12, height - 18, DISCLAIMER, size=9.5, ha="right", color="#ffb347")
