from __future__ import annotations

import numpy as np
import pytest
import torch

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.report.views import (
    PLANES,
    Framing,
    checkerboard,
    display_array,
    display_spacing,
    extract_slice,
    foreground,
    foreground_framing,
    intensity_window,
    max_tilt_degrees,
    otsu_threshold,
    resample_slice,
    subsample_image,
)
from SlicerSynthReg.spatial.grid import Grid


def test_voxel_is_displayed_at_its_orientation_letters():
    """Single voxels left, anterior and superior of the centre, in each plane."""
    shape = (5, 7, 9)
    whole = Framing((2, 3, 4), (0, 0, 0), shape)
    seen = {}
    for name, index in {"L": (0, 3, 4), "A": (2, 6, 4), "S": (2, 3, 8)}.items():
        values = np.zeros(shape)
        values[index] = 1
        for plane in PLANES:
            seen[plane.name, name] = np.argwhere(extract_slice(values, plane, whole)).tolist()
    assert seen["Axial", "L"] == [[3, 4]] and seen["Axial", "A"] == [[0, 2]] and seen["Axial", "S"] == []
    assert seen["Coronal", "L"] == [[4, 4]] and seen["Coronal", "S"] == [[0, 2]] and seen["Coronal", "A"] == []
    assert seen["Sagittal", "A"] == [[4, 0]] and seen["Sagittal", "S"] == [[0, 3]] and seen["Sagittal", "L"] == []


def test_letters_are_opposite_and_radiological():
    assert [(p.name, p.left, p.right, p.top, p.bottom) for p in PLANES] == [
        ("Axial", "R", "L", "A", "P"),
        ("Sagittal", "A", "P", "S", "I"),
        ("Coronal", "R", "L", "S", "I"),
    ]


def test_display_array_of_permuted_and_flipped_axes_is_ras():
    values = torch.arange(24.0).reshape(1, 2, 3, 4)
    affine = np.eye(4)
    affine[:3, :3] = [[0, -2, 0], [0, 0, 3], [-5, 0, 0]]  # i runs down at 5 mm, j to the left at 2, k forward at 3
    volume = Image(values, Grid((2, 3, 4), affine))
    shown = display_array(volume)
    assert shown.shape == (3, 4, 2)
    assert shown[0, 3, 1] == values[0, 0, 2, 3]
    assert display_spacing(volume.grid).tolist() == [2, 3, 5]
    assert max_tilt_degrees(volume.grid) == pytest.approx(0, abs=1e-5)


def test_subsampled_image_keeps_its_position():
    """Voxel values are their positions, on an oblique, left-handed grid."""
    affine = np.array([[-0.8, 0.1, 0, 5.0], [0.1, 0.9, 0.2, -3.0], [0, -0.2, 2.0, 7.0], [0, 0, 0, 1]])
    grid = Grid((20, 17, 9), affine)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1).reshape(-1, 3)
    world = grid.index_to_world(index).T.reshape(3, *grid.shape)
    small = subsample_image(Image(torch.from_numpy(world).float(), grid), 500)
    assert small.grid.shape == (10, 9, 5)
    index = small.data.flatten(1).T.double().numpy()
    own = np.stack(np.meshgrid(*(np.arange(n) for n in small.grid.shape), indexing="ij"), -1).reshape(-1, 3)
    assert np.allclose(index, small.grid.index_to_world(own), atol=1e-5)
    same = Image(torch.zeros(1, 20, 17, 9), grid)
    assert subsample_image(same, 20 * 17 * 9) is same


def test_tilt():
    affine = np.eye(4)
    angle = np.radians(12)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    assert max_tilt_degrees(Grid((3, 3, 3), affine @ np.diag([-1, 1, 4, 1]))) == pytest.approx(12)


def test_pixels_are_square_in_millimetres():
    view = np.zeros((10, 40))  # 10 slices of 4 mm, 40 columns of 1 mm
    coronal = PLANES[2]
    assert resample_slice(view, coronal, np.array([1.0, 1.0, 4.0]), 0.5).shape == (80, 80)


def test_checkerboard_alternates():
    mosaic, from_moved = checkerboard(np.full((8, 8), 1), np.full((8, 8), 2), 2)
    row = [1, 1, 2, 2, 1, 1, 2, 2]
    other = [2, 2, 1, 1, 2, 2, 1, 1]
    assert mosaic.tolist() == [row, row, other, other, row, row, other, other]
    assert (from_moved == (mosaic == 2)).all()


def test_checkerboard_keeps_positions():
    fixed, moved = np.arange(35).reshape(5, 7), -np.arange(35).reshape(5, 7)
    mosaic, from_moved = checkerboard(fixed, moved, 2)
    assert (mosaic == np.where(from_moved, moved, fixed)).all()
    assert 0 < from_moved.mean() < 1


def test_otsu_separates_two_clusters_of_unequal_size():
    values = np.concatenate([np.linspace(0, 1, 900), np.linspace(8, 10, 100)])
    assert 1 < otsu_threshold(values) < 8  # the mean is 1.35, the median 0.55


def test_foreground_of_ct_is_the_body_not_the_air():
    image = np.full((20, 20, 20), -1000.0)
    image[4:16, 4:16, 4:16] = 40
    image[0, 0, 0] = 30000  # a metal speck must not set the threshold
    assert foreground(image).sum() == 12**3 + 1
    assert foreground(np.zeros((3, 3, 3))).all()


def test_window_ignores_a_bright_rim():
    image = np.zeros((40, 40, 40))
    image[4:36, 4:36, 4:36] = 1000
    image[6:34, 6:34, 6:34] = np.random.default_rng(0).uniform(80, 120, (28, 28, 28))
    low, high = intensity_window(image, image > 0)
    assert 115 < high < 125
    assert 35 < low < 81


def test_homogeneous_organ_is_bright_on_a_dark_background():
    image = np.zeros((20, 20, 20))
    image[5:15, 5:15, 5:15] = 50
    assert intensity_window(image, image > 0) == (0, 50)


def test_framing_is_centred_on_the_anatomy_and_ignores_a_speck():
    mask = np.zeros((60, 60, 60), dtype=bool)
    mask[10:31, 20:41, 30:51] = True
    mask[59, 59, 59] = True
    frame = foreground_framing(mask, np.array([1.0, 2.0, 4.0]))
    assert frame.centre == (20, 30, 40)
    assert frame.low == (10 - 8, 20 - 4, 30 - 2)
    assert frame.high == (31 + 8, 41 + 4, 51 + 2)
