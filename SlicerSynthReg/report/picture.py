"""A registration in one picture: before above after, three planes, checkerboard and contours of the fixed image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from contourpy import LineType, contour_generator
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy.ndimage import gaussian_filter

from SlicerSynthReg.report.record import DISCLAIMER
from SlicerSynthReg.report.views import (
    PLANES,
    Framing,
    Plane,
    checkerboard,
    cut,
    display_array,
    display_spacing,
    foreground,
    framing,
    otsu,
    require_one_grid,
    thinned,
    tilt_degrees,
    to_pixels,
    window,
)
from SlicerSynthReg.volume.volume import Volume

WIDTH_PIXELS, DPI = 2200, 110
LEFT, TOP, BOTTOM, GAP = 46, 76, 64, 10
MOVED_TINT = np.array([1.0, 0.84, 0.58])
OUTER, INNER = "#35c9ff", "#ffd21f"
LABEL_COLOURS = (OUTER, INNER, "#ff6f91", "#7be07b", "#c59bff", "#ff9f40")
SMOOTHING_MM, SHORTEST_MM = 1.5, 30.0
TILES = 7
DRAWN_VOXELS = 2**26
"""Of larger images only every second or third voxel is drawn: a panel has 360 pixels."""


@dataclass(frozen=True)
class Line:
    """One contour to draw: paths (N, 2) of pixel positions (column, row), in `colour`."""

    paths: list[np.ndarray]
    colour: str


def registration_picture(fixed: Volume, before: Volume, after: Volume, labels: Volume | None = None) -> Figure:
    """Six columns (axial, sagittal, coronal; each as checkerboard and as contours), two rows (before, after).

    fixed; before and after: the moving image resampled on the fixed grid without and with the transform; labels: label
    map of the fixed image, whose outlines then replace its iso-intensity lines. First channels are shown. Axes are
    turned to the nearest patient's axes; slices go through the centre of what fixed and moved image both show (of the
    labels where given); grey windows are robust, and the moving image keeps one in both rows. Panels share one scale.
    Errors: GeometryError where grids differ; ReportError for values that are no numbers.
    """
    require_one_grid(fixed, [before, after, *([labels] if labels else [])])
    fixed, before, after = (thinned(volume, DRAWN_VOXELS) for volume in (fixed, before, after))
    labels = thinned(labels, DRAWN_VOXELS) if labels else None
    spacing = display_spacing(fixed.grid)
    still = display_array(fixed).astype(np.float32)
    moved = [display_array(volume).astype(np.float32) for volume in (before, after)]
    outlines = None if labels is None else display_array(labels)
    mask, moving_mask = foreground(still), foreground(moved[1])
    shared = mask & moving_mask if outlines is None else outlines != 0
    box = framing(mask, spacing)
    frame = Framing(framing(shared, spacing).centre if shared.any() else box.centre, box.low, box.high)
    still = _grey(still, window(still, mask))
    moving_window = window(moved[1], moving_mask)
    moved = [_grey(array, moving_window) for array in moved]

    extents = np.array([high - low for low, high in zip(frame.low, frame.high)]) * spacing
    across = sum(2 * extents[plane.across] for plane in PLANES)
    pixel_mm = float(across / (WIDTH_PIXELS - LEFT - 6 * GAP))
    height = int(max(extents[plane.down] for plane in PLANES) / pixel_mm)
    tile = max(2, round(extents.max() / TILES / pixel_mm))
    figure = Figure(figsize=(WIDTH_PIXELS / DPI, (TOP + 2 * height + GAP + BOTTOM) / DPI), dpi=DPI, facecolor="black")
    FigureCanvasAgg(figure)
    left = float(LEFT)
    for plane in PLANES:
        base = to_pixels(cut(still, plane, frame), plane, spacing, pixel_mm)
        lines = (
            _iso_lines(base, pixel_mm)
            if outlines is None
            else _label_lines(cut(outlines, plane, frame), plane, spacing, pixel_mm)
        )
        for kind in ("checkerboard", "contours"):
            for row, array in enumerate(moved):
                view = to_pixels(cut(array, plane, frame), plane, spacing, pixel_mm)
                top = TOP + row * (height + GAP) + (height - view.shape[0]) / 2
                axes = _panel(figure, left, top, view.shape, f"{plane.name} {kind} {('before', 'after')[row]}")
                if kind == "checkerboard":
                    axes.imshow(_mosaic(base, view, tile), interpolation="nearest", aspect="equal")
                else:
                    axes.imshow(view, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
                    _draw(axes, lines)
                _letter(axes, plane)
            _text(figure, left + base.shape[1] / 2, TOP - 16, f"{plane.name} · {kind}", ha="center", size=11)
            left += base.shape[1] + GAP
    for row, word in enumerate(("Before", "After")):
        _text(figure, 26, TOP + row * (height + GAP) + height / 2, word, ha="center", size=15, rotation=90)
    _captions(figure, fixed, before, labels is not None, pixel_mm)
    return figure


def _grey(array: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    return np.clip((array - limits[0]) / (limits[1] - limits[0]), 0, 1)


def _mosaic(fixed: np.ndarray, moved: np.ndarray, tile: int) -> np.ndarray:
    """RGB checkerboard; moved tiles are tinted."""
    mosaic, from_moved = checkerboard(fixed, moved, tile)
    return mosaic[..., None] * np.where(from_moved[..., None], MOVED_TINT, 1.0)


def _iso_lines(view: np.ndarray, pixel_mm: float) -> list[Line]:
    """Outline of the foreground, and the line that parts its darker from its brighter half (Otsu, twice)."""
    smooth = gaussian_filter(view, SMOOTHING_MM / pixel_mm)
    if np.ptp(smooth) == 0:
        return []
    outer = otsu(smooth)
    lines = [Line(_level_set(smooth, outer, SHORTEST_MM / pixel_mm), OUTER)]
    inside = smooth[smooth > outer]
    if np.ptp(inside) > 0:
        lines.append(Line(_level_set(smooth, otsu(inside), SHORTEST_MM / pixel_mm), INNER))
    return lines


def _label_lines(view: np.ndarray, plane: Plane, spacing: np.ndarray, pixel_mm: float) -> list[Line]:
    """Outline of each structure, smoothed by half a voxel; one colour where there are too many to tell apart."""
    labels = np.unique(view[view != 0])
    sd = 0.5 * spacing[[plane.down, plane.across]] / pixel_mm
    lines = []
    for number, label in enumerate(labels):
        soft = gaussian_filter(to_pixels((view == label).astype(np.float32), plane, spacing, pixel_mm), sd)
        colour = LABEL_COLOURS[number] if len(labels) <= len(LABEL_COLOURS) else OUTER
        lines.append(Line(_level_set(soft, 0.5, 0), colour))
    return lines


def _level_set(height: np.ndarray, level: float, shortest: float) -> list[np.ndarray]:
    """Paths along which `height` (rows, columns) is `level`, those shorter than `shortest` pixels left out."""
    paths = [np.asarray(path) for path in contour_generator(z=height, line_type=LineType.Separate).lines(level)]
    return [path for path in paths if np.linalg.norm(np.diff(path, axis=0), axis=1).sum() >= shortest]


def _draw(axes: Axes, lines: list[Line]) -> None:
    for line in lines:
        axes.add_collection(LineCollection(line.paths, colors=line.colour, linewidths=0.9), autolim=False)


def _panel(figure: Figure, left: float, top: float, shape: tuple[int, ...], label: str) -> Axes:
    """Axes whose pixels are the picture's; left and top in pixels from the figure's upper left corner."""
    width, height = figure.get_size_inches() * figure.dpi
    box = (left / width, 1 - (top + shape[0]) / height, shape[1] / width, shape[0] / height)
    axes = figure.add_axes(box, label=label)
    axes.set_axis_off()
    return axes


def _letter(axes: Axes, plane: Plane) -> None:
    places = ((0.02, 0.5, "left", "center"), (0.98, 0.5, "right", "center"),
              (0.5, 0.98, "center", "top"), (0.5, 0.02, "center", "bottom"))  # fmt: skip
    for (x, y, ha, va), letter in zip(places, (plane.left, plane.right, plane.top, plane.bottom)):
        axes.text(x, y, letter, transform=axes.transAxes, ha=ha, va=va, color="white", size=11, weight="bold",
                  path_effects=[withStroke(linewidth=2.5, foreground="black")])  # fmt: skip


def _text(figure: Figure, x: float, y: float, text: str, **style: Any) -> None:
    width, height = figure.get_size_inches() * figure.dpi
    style = {"color": "white", "va": "center", **style}
    figure.text(x / width, 1 - y / height, text, **style)


def _captions(figure: Figure, fixed: Volume, moving: Volume, labelled: bool, pixel_mm: float) -> None:
    width, height = figure.get_size_inches() * figure.dpi
    lines = "outlines of the fixed structures" if labelled else "edges of the fixed image"
    tilt = tilt_degrees(fixed.grid)
    tilted = f" Slices lie up to {tilt:.0f}° off the patient's axes." if tilt > 5 else ""
    names = f"Fixed {fixed.name or '(unnamed)'} · moving {moving.name or '(unnamed)'}"
    _text(figure, LEFT, 22, names, size=13, ha="left")
    _text(figure, LEFT, height - 42, "Radiological convention: the patient's right is on the left of the axial and "
          f"coronal views.{tilted}", size=10.5, ha="left", color="#d8d8d8")  # fmt: skip
    _text(figure, LEFT, height - 20, f"Checkerboard: grey tiles fixed, amber tiles moving. Lines: {lines}, drawn over "
          "the moving image.", size=10.5, ha="left", color="#d8d8d8")  # fmt: skip
    _text(figure, width - GAP, height - 20, DISCLAIMER, size=11, ha="right", color="#ffb347")
    bar = 50 / pixel_mm
    axes = _panel(figure, width - GAP - bar, height - 48, (4, round(bar)), "50 mm")
    axes.imshow(np.ones((4, round(bar))), cmap="gray", vmin=0, vmax=1, aspect="auto")
    _text(figure, width - GAP - bar - 8, height - 46, "50 mm", size=10.5, ha="right", color="#d8d8d8")
