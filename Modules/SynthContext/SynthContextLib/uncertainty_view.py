"""Uncertainty of a prediction in colours over the image, and its colour bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _
from SynthRegLib.results import Loaded
from vtk.util.numpy_support import vtk_to_numpy

LOW, HIGH = 0.72, 1.0
"""Bits of entropy between which the colours run. Below, the overlay is clear: the answer is at least four fifths sure.
A network is never wholly sure, of air neither, which would be painted otherwise."""
NEAR_MM = 8.0
"""Distance from the labels beyond which the volume shows no uncertainty; the worker's file is complete."""
WINDOW = HIGH - LOW, (HIGH + LOW) / 2
_ANY = 100.0
_BAR = 240, 12
"""Pixels, width and height."""


def hide_far(loaded: Loaded) -> None:
    """Set the uncertainty further than NEAR_MM from every label to 0, if there are labels: uncertainty in air and in
    regions outside of the examples would cover the image."""
    if "uncertainty" not in loaded.arrays or "labels" not in loaded.arrays:
        return
    placed = loaded.report["placement"]["uncertainty"]
    shape = tuple(placed["shape"])[::-1]
    found = vtk_to_numpy(loaded.arrays["labels"]).reshape(shape) != 0
    if found.any():
        spacing = np.linalg.norm(np.array(placed["affine"])[:3, :3], axis=0)[::-1]
        reach = [int(NEAR_MM / mm) for mm in spacing]
        vtk_to_numpy(loaded.arrays["uncertainty"]).reshape(shape)[~near(found, reach)] = 0


def near(found: np.ndarray, reach: Sequence[int]) -> np.ndarray:
    """Return the voxels with a non-zero voxel of `found` in the box of this size around them."""
    for axis, steps in enumerate(reach):
        count = found.shape[axis]
        until = np.cumsum(found, axis=axis, dtype=np.int32)
        until = np.insert(until, 0, 0, axis=axis)
        here = np.arange(count)
        last, first = np.minimum(here + steps + 1, count), np.maximum(here - steps, 0)
        found = np.take(until, last, axis=axis) > np.take(until, first, axis=axis)
    return found


def show_in_colours(uncertainty: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Show the volume `uncertainty` (bits) in WINDOW."""
    display = uncertainty.GetDisplayNode()
    if display is not None:
        display.SetAndObserveColorNodeID(slicer.vtkMRMLColorLogic.GetColorTableNodeID(_table()))
        display.SetAutoThreshold(False)
        display.SetThreshold(LOW, _ANY)
        display.SetApplyThreshold(True)


def words() -> str:
    """Return the explanation of the colour bar."""
    return _(
        "Uncertainty (entropy): red {low:.2f} bit (about one in five voxels wrong) to yellow {high:.0f} bit or more "
        "(wrong as often as right). Transparent below, and beyond {near:.0f} mm from the labels."
    ).format(low=LOW, high=HIGH, near=NEAR_MM)


def colour_bar() -> Any:
    """Return the colour bar as a QPixmap, low values on the left."""
    width, height = _BAR
    picture = qt.QPixmap(width, height)
    colours = slicer.mrmlScene.GetNodeByID(slicer.vtkMRMLColorLogic.GetColorTableNodeID(_table()))
    count, rgba = colours.GetNumberOfColors(), [0.0, 0.0, 0.0, 1.0]
    painter = qt.QPainter(picture)
    for x in range(width):
        colours.GetColor(x * count // width, rgba)
        painter.setPen(qt.QPen(qt.QColor("#" + "".join(f"{round(255 * one):02x}" for one in rgba[:3]))))
        painter.drawLine(x, 0, x, height)
    painter.end()
    return picture


def _table() -> int:
    return slicer.vtkMRMLColorTableNode.Iron
