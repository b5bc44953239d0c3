"""Contact sheets: slices and marks at the location, verified in the pixels."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import torch

from SlicerSynthReg.errors import GeometryError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.report.figure import png_bytes
from SlicerSynthReg.report.quality import WorstLocation
from SlicerSynthReg.report.sheet import DIFFERENCE, JACOBIAN, SheetRow, contact_sheet
from SlicerSynthReg.report.views import display_array, display_index
from Testing.Backend.report.conftest import anatomy, ball, straight

SPOT = (-20.0, 16.0, 12.0)
"""Centre of the bright ball: left, anterior, superior."""


def pixels(figure) -> np.ndarray:
    return np.asarray(PIL.Image.open(io.BytesIO(png_bytes(figure))).convert("RGB")).astype(int)


def marks(image: np.ndarray) -> np.ndarray:
    """Return rows and columns (N, 2) of the yellow marks, without captions."""
    yellow = (image[..., 0] > 200) & (image[..., 1] > 170) & (image[..., 2] < 90)
    yellow[:62] = yellow[-40:] = False
    return np.argwhere(yellow)


def test_display_index_of_a_point(grid):
    head = anatomy(grid)
    index = display_index(grid, SPOT)
    assert display_array(head)[tuple(np.round(index).astype(int))] == 200
    voxel = np.array([3.0, 5.0, 7.0])
    marked = torch.zeros(1, *grid.shape)
    marked[0, 3, 5, 7] = 1
    shown = np.argwhere(display_array(replace(head, data=marked)) == 1)[0]
    assert display_index(grid, grid.index_to_world(voxel[None])[0]) == pytest.approx(shown, abs=1e-6)


def test_marks_surround_the_location_in_every_view(head):
    """The bright ball is at the centre of the marks in all three views."""
    image = pixels(contact_sheet([SheetRow("image", head, limits=(0, 400))], "Case 1", WorstLocation(SPOT, "here")))
    columns = np.unique(marks(image)[:, 1])
    groups = np.split(columns, np.flatnonzero(np.diff(columns) > 60) + 1)
    assert len(groups) == 3
    for group in groups:
        mine = marks(image)[np.isin(marks(image)[:, 1], group)]
        row, column = np.round((mine.min(axis=0) + mine.max(axis=0)) / 2).astype(int)
        patch = image[row - 4 : row + 5, column - 4 : column + 5]
        assert np.allclose(patch, 127, atol=4), "200 of 400: the ball's grey, free of marks"
        ring = image[row - 60 : row + 61, column - 60 : column + 61, 0]
        assert (np.abs(ring - 32) < 5).mean() > 0.1, "and the head's 50 around it"


def test_no_marks_without_a_location(plain_head):
    image = pixels(contact_sheet([SheetRow("image", plain_head)], "Case 1"))
    assert len(marks(image)) == 0


def test_grey_rows_share_their_window_and_zero_difference_is_white(plain_head):
    brighter = replace(plain_head, data=plain_head.data + 30)
    apart = replace(plain_head, data=torch.from_numpy(30.0 * ball(plain_head.grid, SPOT, 9)).float()[None] - 1e-3)
    rows = [
        SheetRow("a", plain_head),
        SheetRow("b", brighter),
        SheetRow("b − a", apart, DIFFERENCE, (0, 30)),
    ]
    figure = contact_sheet(rows, "Case 1", WorstLocation(SPOT, "differs"))
    limits = [axes.images[0].get_clim() for axes in figure.axes if axes.images and axes.images[0].get_array().ndim == 2]
    assert limits[0] == limits[3] and limits[6] == (-30, 30)
    image = pixels(figure)
    red = (image[..., 0] > 90) & (image[..., 1] < 20) & (image[..., 2] < 60)
    assert red[: image.shape[0] * 3 // 5, :1380].sum() == 0 and red[image.shape[0] * 2 // 3 :, :1380].sum() > 500


def test_folding_is_black_and_compression_red(plain_head):
    values = torch.ones_like(plain_head.data)
    values[0, 20:30] = 0.2
    values[0, 5:10] = -0.5
    jacobian = SheetRow("Jacobian", replace(plain_head, data=values), JACOBIAN)
    figure = contact_sheet([SheetRow("head", plain_head), jacobian], "Case 1")
    axial = figure.axes[4].images[0]
    shades = {value: axial.cmap(axial.norm(value))[:3] for value in (-0.5, 0.2, 1.0, 1.8)}
    assert shades[-0.5] == (0, 0, 0)
    assert shades[0.2][0] > 2 * shades[0.2][2] and shades[1.8][2] > 2 * shades[1.8][0] and min(shades[1.0]) > 0.95


def test_different_grids_are_refused(plain_head):
    other = Image(plain_head.data[:, :-1], straight((2, 2, 2)).cropped((0, 0, 0), (49, 50, 50)))
    with pytest.raises(GeometryError):
        contact_sheet([SheetRow("a", plain_head), SheetRow("b", other)], "Case 1")
