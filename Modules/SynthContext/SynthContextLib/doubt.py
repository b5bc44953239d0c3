"""The doubt about an answer as colours over the image, and what the colours mean."""

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
"""Further than this from everything that was found, the volume holds no doubt; the worker's own file holds it all."""
WINDOW = HIGH - LOW, (HIGH + LOW) / 2
_ANY = 100.0
_BAR = 240, 12
"""Pixels, width and height."""


def clear_far(loaded: Loaded) -> None:
    """Doubt further than NEAR_MM from every label becomes 0, where there are labels: what an answer says of air and of
    parts of the body that no example shows would hide the rest. Where nothing was found, it stays."""
    if "doubt" not in loaded.arrays or "labels" not in loaded.arrays:
        return
    placed = loaded.report["placement"]["doubt"]
    shape = tuple(placed["shape"])[::-1]
    found = vtk_to_numpy(loaded.arrays["labels"]).reshape(shape) != 0
    if found.any():
        spacing = np.linalg.norm(np.array(placed["affine"])[:3, :3], axis=0)[::-1]
        reach = [int(NEAR_MM / mm) for mm in spacing]
        vtk_to_numpy(loaded.arrays["doubt"]).reshape(shape)[~near(found, reach)] = 0


def near(found: np.ndarray, reach: Sequence[int]) -> np.ndarray:
    """Voxels with one of `found` in the box that reaches so many voxels along each axis to either side."""
    for axis, steps in enumerate(reach):
        count = found.shape[axis]
        until = np.cumsum(found, axis=axis, dtype=np.int32)
        until = np.insert(until, 0, 0, axis=axis)
        here = np.arange(count)
        last, first = np.minimum(here + steps + 1, count), np.maximum(here - steps, 0)
        found = np.take(until, last, axis=axis) > np.take(until, first, axis=axis)
    return found


def show_in_colours(doubt: slicer.vtkMRMLScalarVolumeNode) -> None:
    """doubt: a volume in bits, whose window is WINDOW."""
    display = doubt.GetDisplayNode()
    if display is not None:
        display.SetAndObserveColorNodeID(slicer.vtkMRMLColorLogic.GetColorTableNodeID(_table()))
        display.SetAutoThreshold(False)
        display.SetThreshold(LOW, _ANY)
        display.SetApplyThreshold(True)


def words() -> str:
    """What the colours of the bar mean, from left to right."""
    return _(
        "Doubt, from red ({low:.2f} bit of entropy: about one in five is wrong) to yellow ({high:.0f} bit and more: as "
        "likely wrong as right). Clear where the answer is surer, and beyond {near:.0f} mm of what was found."
    ).format(low=LOW, high=HIGH, near=NEAR_MM)


def colour_bar() -> Any:
    """The colours as the overlay has them, LOW on the left, as a QPixmap."""
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
