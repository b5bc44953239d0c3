"""The picture of a registration: before and after, three planes, checkerboard and contours of the fixed image."""

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

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.report.record import DISCLAIMER
from SlicerSynthReg.report.views import (
    PLANES,
    Framing,
    Plane,
    checkerboard,
    display_array,
    display_spacing,
    extract_slice,
    foreground,
    foreground_framing,
    intensity_window,
    max_tilt_degrees,
    otsu_threshold,
    require_one_grid,
    resample_slice,
    subsample_image,
)

WIDTH_PIXELS, DPI = 2200, 110
LEFT, TOP, BOTTOM, GAP = 46, 76, 64, 10
MOVED_TINT = np.array([1.0, 0.84, 0.58])
OUTER, INNER = "#35c9ff", "#ffd21f"
LABEL_COLOURS = (OUTER, INNER, "#ff6f91", "#7be07b", "#c59bff", "#ff9f40")
SMOOTHING_MM, MIN_LENGTH_MM = 1.5, 30.0
TILES = 7
MAX_VOXELS = 2**26
"""Larger images are subsampled: a panel has 360 pixels."""


@dataclass(frozen=True)
class Contour:
    """One contour: paths (N, 2) of pixel positions (column, row), in `colour`."""

    paths: list[np.ndarray]
    colour: str


def registration_picture(fixed: Image, before: Image, after: Image, labels: Image | None = None) -> Figure:
    """Draw six columns (axial, sagittal, coronal; each as checkerboard and contours) and two rows (before, after).

    before, after: the moving image resampled on the fixed grid without and with the transform. labels: label map of the
    fixed image, whose outlines replace its iso-intensity contours. First channels are drawn. Axes are rotated to the
    nearest anatomical axes; slices pass through the centre of the common foreground, or of the labels. Intensity
    windows are robust, and the moving image has the same in both rows. All panels have one scale. Raises GeometryError
    for different grids, ReportError for values that are not finite.
    """
    require_one_grid(fixed, [before, after, *([labels] if labels else [])])
    fixed, before, after = (subsample_image(image, MAX_VOXELS) for image in (fixed, before, after))
    spacing = display_spacing(fixed.grid)
    outlines = None if labels is None else display_array(subsample_image(labels, MAX_VOXELS))
    arrays = [display_array(image).astype(np.float32) for image in (fixed, before, after)]
    views = _Views.of(arrays[0], arrays[1], arrays[2], outlines, spacing)
    layout = _Layout.of(views.frame, spacing)
    figure = Figure(figsize=layout.size_inches, dpi=DPI, facecolor="black")
    FigureCanvasAgg(figure)
    left = float(LEFT)
    for plane in PLANES:
        left = _draw_plane(figure, views, layout, plane, left)
    for row, word in enumerate(("Before", "After")):
        y = TOP + row * (layout.height + GAP) + layout.height / 2
        _text(figure, 26, y, word, ha="center", size=15, rotation=90)
    _captions(figure, fixed, before, labels is not None, layout.pixel_mm)
    return figure


@dataclass(frozen=True, eq=False)
class _Views:
    """Arrays along the anatomical axes: fixed and moving (before, after) in [0, 1], labels or None, and the framing."""

    fixed: np.ndarray
    moving: tuple[np.ndarray, np.ndarray]
    labels: np.ndarray | None
    frame: Framing
    spacing: np.ndarray

    @classmethod
    def of(
        cls, fixed: np.ndarray, before: np.ndarray, after: np.ndarray, labels: np.ndarray | None, spacing: np.ndarray
    ) -> _Views:
        mask, moving_mask = foreground(fixed), foreground(after)
        shared = mask & moving_mask if labels is None else labels != 0
        box = foreground_framing(mask, spacing)
        frame = Framing(foreground_framing(shared, spacing).centre if shared.any() else box.centre, box.low, box.high)
        limits = intensity_window(after, moving_mask)
        moving = _grey(before, limits), _grey(after, limits)
        return cls(_grey(fixed, intensity_window(fixed, mask)), moving, labels, frame, spacing)

    def pixels(self, array: np.ndarray, plane: Plane, pixel_mm: float) -> np.ndarray:
        """Return one slice of `array` in pixels of the picture."""
        return resample_slice(extract_slice(array, plane, self.frame), plane, self.spacing, pixel_mm)

    def contours(self, plane: Plane, pixel_mm: float) -> list[Contour]:
        """Return the outlines of the labels, or the iso-intensity contours of the fixed image."""
        if self.labels is None:
            return _iso_contours(self.pixels(self.fixed, plane, pixel_mm), pixel_mm)
        return _label_contours(extract_slice(self.labels, plane, self.frame), plane, self.spacing, pixel_mm)


@dataclass(frozen=True)
class _Layout:
    """pixel_mm: mm per pixel. height: of a row. tile: of the checkerboard; both in pixels."""

    pixel_mm: float
    height: int
    tile: int

    @classmethod
    def of(cls, frame: Framing, spacing: np.ndarray) -> _Layout:
        extents = np.array([high - low for low, high in zip(frame.low, frame.high)]) * spacing
        across = sum(2 * extents[plane.across] for plane in PLANES)
        pixel_mm = float(across / (WIDTH_PIXELS - LEFT - 6 * GAP))
        height = int(max(extents[plane.down] for plane in PLANES) / pixel_mm)
        return cls(pixel_mm, height, max(2, round(extents.max() / TILES / pixel_mm)))

    @property
    def size_inches(self) -> tuple[float, float]:
        return WIDTH_PIXELS / DPI, (TOP + 2 * self.height + GAP + BOTTOM) / DPI


def _draw_plane(figure: Figure, views: _Views, layout: _Layout, plane: Plane, left: float) -> float:
    """Draw the two columns of `plane` from pixel `left`; return where the next column begins."""
    fixed = views.pixels(views.fixed, plane, layout.pixel_mm)
    contours = views.contours(plane, layout.pixel_mm)
    for kind in ("checkerboard", "contours"):
        for row, array in enumerate(views.moving):
            moving = views.pixels(array, plane, layout.pixel_mm)
            top = TOP + row * (layout.height + GAP) + (layout.height - moving.shape[0]) / 2
            axes = _panel(figure, left, top, moving.shape, f"{plane.name} {kind} {('before', 'after')[row]}")
            if kind == "checkerboard":
                axes.imshow(_mosaic(fixed, moving, layout.tile), interpolation="nearest", aspect="equal")
            else:
                axes.imshow(moving, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
                _draw_contours(axes, contours)
            _orientation_letters(axes, plane)
        _text(figure, left + fixed.shape[1] / 2, TOP - 16, f"{plane.name} · {kind}", ha="center", size=11)
        left += fixed.shape[1] + GAP
    return left


def _grey(array: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    return np.clip((array - limits[0]) / (limits[1] - limits[0]), 0, 1)


def _mosaic(fixed: np.ndarray, moved: np.ndarray, tile: int) -> np.ndarray:
    """Return an RGB checkerboard with tinted tiles of the moving image."""
    mosaic, from_moved = checkerboard(fixed, moved, tile)
    return mosaic[..., None] * np.where(from_moved[..., None], MOVED_TINT, 1.0)


def _iso_contours(view: np.ndarray, pixel_mm: float) -> list[Contour]:
    """Return the outline of the foreground, and the contour between its darker and brighter half (Otsu, twice)."""
    smooth = gaussian_filter(view, SMOOTHING_MM / pixel_mm)
    if np.ptp(smooth) == 0:
        return []
    outer = otsu_threshold(smooth)
    lines = [Contour(_level_set(smooth, outer, MIN_LENGTH_MM / pixel_mm), OUTER)]
    inside = smooth[smooth > outer]
    if np.ptp(inside) > 0:
        lines.append(Contour(_level_set(smooth, otsu_threshold(inside), MIN_LENGTH_MM / pixel_mm), INNER))
    return lines


def _label_contours(view: np.ndarray, plane: Plane, spacing: np.ndarray, pixel_mm: float) -> list[Contour]:
    """Return the outline of each structure, smoothed by half a voxel; in one colour if there are more than colours."""
    labels = np.unique(view[view != 0])
    sd = 0.5 * spacing[[plane.down, plane.across]] / pixel_mm
    lines = []
    for number, label in enumerate(labels):
        soft = gaussian_filter(resample_slice((view == label).astype(np.float32), plane, spacing, pixel_mm), sd)
        colour = LABEL_COLOURS[number] if len(labels) <= len(LABEL_COLOURS) else OUTER
        lines.append(Contour(_level_set(soft, 0.5, 0), colour))
    return lines


def _level_set(height: np.ndarray, level: float, min_length: float) -> list[np.ndarray]:
    """Return the paths along which `height` (rows, columns) is `level`, without those shorter than `min_length`
    pixels."""
    paths = [np.asarray(path) for path in contour_generator(z=height, line_type=LineType.Separate).lines(level)]
    return [path for path in paths if np.linalg.norm(np.diff(path, axis=0), axis=1).sum() >= min_length]


def _draw_contours(axes: Axes, contours: list[Contour]) -> None:
    for contour in contours:
        axes.add_collection(LineCollection(contour.paths, colors=contour.colour, linewidths=0.9), autolim=False)


def _panel(figure: Figure, left: float, top: float, shape: tuple[int, ...], label: str) -> Axes:
    """Return axes in pixels of the picture; left and top in pixels from the upper left corner."""
    width, height = figure.get_size_inches() * figure.dpi
    box = (left / width, 1 - (top + shape[0]) / height, shape[1] / width, shape[0] / height)
    axes = figure.add_axes(box, label=label)
    axes.set_axis_off()
    return axes


def _orientation_letters(axes: Axes, plane: Plane) -> None:
    places = ((0.02, 0.5, "left", "center"), (0.98, 0.5, "right", "center"),
              (0.5, 0.98, "center", "top"), (0.5, 0.02, "center", "bottom"))  # fmt: skip
    for (x, y, ha, va), letter in zip(places, (plane.left, plane.right, plane.top, plane.bottom)):
        axes.text(x, y, letter, transform=axes.transAxes, ha=ha, va=va, color="white", size=11, weight="bold",
                  path_effects=[withStroke(linewidth=2.5, foreground="black")])  # fmt: skip


def _text(figure: Figure, x: float, y: float, text: str, **style: Any) -> None:
    width, height = figure.get_size_inches() * figure.dpi
    style = {"color": "white", "va": "center", **style}
    figure.text(x / width, 1 - y / height, text, **style)


def _captions(figure: Figure, fixed: Image, moving: Image, labelled: bool, pixel_mm: float) -> None:
    width, height = figure.get_size_inches() * figure.dpi
    lines = "outlines of the fixed structures" if labelled else "edges of the fixed image"
    tilt = max_tilt_degrees(fixed.grid)
    tilted = f" Slices are tilted by up to {tilt:.0f}° from the anatomical axes." if tilt > 5 else ""
    names = f"Fixed: {fixed.name or '(unnamed)'} · Moving: {moving.name or '(unnamed)'}"
    _text(figure, LEFT, 22, names, size=13, ha="left")
    _text(figure, LEFT, height - 42, "Radiological convention: the patient's right is on the left of the axial and "
          f"coronal views.{tilted}", size=10.5, ha="left", color="#d8d8d8")  # fmt: skip
    _text(figure, LEFT, height - 20, f"Checkerboard: grey tiles fixed, amber tiles moving. Contours: {lines}, drawn "
          "over the moving image.", size=10.5, ha="left", color="#d8d8d8")  # fmt: skip
    _text(figure, width - GAP, height - 20, DISCLAIMER, size=11, ha="right", color="#ffb347")
    bar = 50 / pixel_mm
    axes = _panel(figure, width - GAP - bar, height - 48, (4, round(bar)), "50 mm")
    axes.imshow(np.ones((4, round(bar))), cmap="gray", vmin=0, vmax=1, aspect="auto")
    _text(figure, width - GAP - bar - 8, height - 46, "50 mm", size=10.5, ha="right", color="#d8d8d8")
