"""Looking at the slice views, and the mouse over them: `from slicerhost import views`."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
from PySide6 import QtGui

from slicerhost.sliceview import SliceView

_BUTTONS = {"left": "LeftButton", "middle": "MiddleButton", "right": "RightButton"}


def _view(name: str) -> SliceView:
    return slicer.app.layoutManager().view(name)


def pixels(name: str = "Red") -> np.ndarray:
    """(H, W, 3) uint8 as rendered now, the first row on top."""
    return _view(name).pixels()


def screenshot(path: Any, names: tuple[str, ...] = ("Red", "Yellow", "Green")) -> np.ndarray:
    """Write the named views side by side as PNG and give their pixels."""
    gap = 4
    shots = [pixels(name) for name in names]
    height, width = max(shot.shape[0] for shot in shots), sum(shot.shape[1] + gap for shot in shots) - gap
    sheet = np.full((height, width, 3), 255, np.uint8)
    left = 0
    for shot in shots:
        sheet[: shot.shape[0], left : left + shot.shape[1]] = shot
        left += shot.shape[1] + gap
    image = QtGui.QImage(sheet.data, width, height, 3 * width, QtGui.QImage.Format_RGB888)
    if not image.save(str(path)):
        raise OSError(f"Could not write {path}")
    return sheet


def pixel_of(name: str, ras: Any) -> tuple[int, int]:
    """Where the view shows a point, RAS mm: (x, y) counted from the top left."""
    return _view(name).pixel_of(ras)


def move(name: str, x: int, y: int, shift: bool = False) -> None:
    """The mouse goes over the view; with shift the crosshair follows."""
    view = _view(name)
    view.mouse("EnterEvent", x, y, shift)
    view.mouse("MouseMoveEvent", x, y, shift)


def wheel(name: str, steps: int) -> None:
    """Turn the wheel over the middle of the view, forward for positive steps."""
    view = _view(name)
    x, y = (side // 2 for side in view.window.GetSize())
    view.mouse("EnterEvent", x, y)
    for _ in range(abs(steps)):
        view.mouse("MouseWheelForwardEvent" if steps > 0 else "MouseWheelBackwardEvent", x, y)


def drag(
    name: str, start: tuple[int, int], end: tuple[int, int], button: str = "left", shift: bool = False, steps: int = 10
) -> None:
    """Press at `start`, move in steps, let go at `end`: pixels counted from the top left."""
    view = _view(name)
    view.mouse("EnterEvent", *start, shift)
    view.mouse("MouseMoveEvent", *start, shift)
    view.mouse(f"{_BUTTONS[button]}PressEvent", *start, shift)
    for step in range(1, steps + 1):
        x, y = (round(a + (b - a) * step / steps) for a, b in zip(start, end))
        view.mouse("MouseMoveEvent", x, y, shift)
    view.mouse(f"{_BUTTONS[button]}ReleaseEvent", *end, shift)
