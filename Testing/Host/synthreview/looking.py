"""What the tests look for in the views."""

from __future__ import annotations

import numpy as np
import slicer
from slicerhost import views

GREY_A, GREY_B = 63, 191
"""Of 100 and 300 in a window of 0 to 400."""


def grey(name: str, ras: tuple[float, float, float]) -> int:
    return int(colour(name, ras).mean())


def colour(name: str, ras: tuple[float, float, float]) -> np.ndarray:
    x, y = views.pixel_of(name, ras)
    return views.pixels(name)[y, x].astype(int)


def node_count() -> int:
    return slicer.mrmlScene.GetNumberOfNodes()
