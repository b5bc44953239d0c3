"""SynthReview's panel ready to be clicked, with two images of known values."""

from __future__ import annotations

import numpy as np
import pytest

SHOTS = "SYNTHREG_TEST_SHOTS"
"""A folder, where the pictures that the tests take are wanted."""


@pytest.fixture
def panel():
    from slicerhost import opened

    with opened("SynthReview") as panel:
        yield panel


@pytest.fixture
def a_block():
    """A uniform image of 200 mm x 200 mm x 120 mm around the origin, seen in a window of 0 to 400."""

    def build(name, value, spacing=(4.0, 4.0, 5.0), size_mm=(200.0, 200.0, 120.0)):
        import slicer

        shape = [round(mm / step) for mm, step in zip(size_mm, spacing)]
        affine = np.diag([*spacing, 1.0])
        affine[:3, 3] = -(np.array(shape) - 1) * spacing / 2
        node = slicer.util.addVolumeFromArray(np.full(shape[::-1], value, np.int16), affine, name)
        node.GetDisplayNode().SetAutoWindowLevel(False)
        node.GetDisplayNode().SetWindowLevel(400, 200)
        return node

    return build


@pytest.fixture
def pair(panel, a_block):
    """A of 100 and B of 300, on grids that have nothing in common, chosen in the panel."""
    first, second = a_block("A", 100), a_block("B", 300, (3.0, 5.0, 2.5))
    panel.select("firstSelector", first)
    panel.select("secondSelector", second)
    return first, second


@pytest.fixture
def shot(tmp_path):
    """Writes the three views, and keeps the picture where SYNTHREG_TEST_SHOTS says."""
    import os
    from pathlib import Path

    from slicerhost import views

    def take(name, names=("Red", "Yellow", "Green")):
        return views.screenshot(Path(os.environ.get(SHOTS, tmp_path)) / f"{name}.png", names)

    return take
