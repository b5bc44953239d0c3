"""Uncertainty is kept near what was found, and only there; where nothing was found, all of it stays."""

from __future__ import annotations

import numpy as np
import pytest
from slicerhost import opened
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

SHAPE = (7, 9, 20)
"""(K, J, I); voxels of 9, 4 and 2 mm."""


@pytest.fixture
def panel():
    with opened("SynthContext") as panel:
        yield panel


def remaining_uncertainty(found: tuple[int, int, int] | None) -> np.ndarray:
    """Of 0.5 everywhere, when one voxel (k, j, i) or nothing was found: where some is left, (K, J, I)."""
    from SynthContextLib.uncertainty_view import hide_far
    from SynthRegLib.results import Loaded

    labels, uncertainty = np.zeros(SHAPE, np.uint8), np.full(SHAPE, 0.5, np.float32)
    if found is not None:
        labels[found] = 3
    place = {"shape": list(SHAPE[::-1]), "affine": np.diag([-2.0, 4.0, 9.0, 1.0]).tolist(), "in_world": True}
    arrays = {
        "labels": numpy_to_vtk(labels.ravel(), deep=True),
        "uncertainty": numpy_to_vtk(uncertainty.ravel(), deep=True),
    }
    hide_far(Loaded(arrays, {"placement": {"uncertainty": place}}, [], ""))
    return vtk_to_numpy(arrays["uncertainty"]).reshape(SHAPE) > 0


def test_uncertainty_reaches_as_many_millimetres_along_each_axis(panel):
    expected = np.zeros(SHAPE, bool)
    expected[3, 2:7, 6:15] = True
    np.testing.assert_array_equal(remaining_uncertainty((3, 4, 10)), expected)


def test_it_ends_with_the_image_and_does_not_come_round(panel):
    expected = np.zeros(SHAPE, bool)
    expected[0, 6:9, 0:5] = True
    np.testing.assert_array_equal(remaining_uncertainty((0, 8, 0)), expected)


def test_where_nothing_was_found_it_all_stays(panel):
    assert remaining_uncertainty(None).all()


def test_the_bar_runs_from_red_to_yellow(panel):
    from SynthContextLib.uncertainty_view import colour_bar

    picture = colour_bar().toImage()
    left, right = (picture.pixelColor(x, 5) for x in (0, picture.width() - 1))
    assert left.red() > 200 and left.green() < 40 and right.red() > 200 and right.green() > 180
