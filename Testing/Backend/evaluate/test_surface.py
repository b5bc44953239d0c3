from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from SlicerSynthReg.evaluate.surface import surface_distance
from SlicerSynthReg.space.grid import GeometryError, Grid
from SlicerSynthReg.volume.volume import Volume, VolumeError


def point(shape, *index):
    values = torch.zeros(shape)
    values[index] = 1
    return values


def test_one_voxel_from_another_along_each_axis_of_an_anisotropic_grid(labels_of):
    spacing, start = (0.5, 2.0, 3.0), (1, 1, 1)
    for axis, steps in ((0, 3), (1, 2), (2, 1)):
        end = [1, 1, 1]
        end[axis] += steps
        found = surface_distance(
            labels_of(point((6, 6, 6), *start), spacing), labels_of(point((6, 6, 6), *end), spacing), 1
        )
        assert found.mean_mm == found.hausdorff_mm == found.hausdorff_95_mm == pytest.approx(steps * spacing[axis])


def test_the_nearest_voxel_by_millimetres_not_by_count(labels_of):
    moved = point((6, 1, 6), 3, 0, 0) + point((6, 1, 6), 0, 0, 2)  # 3 steps of 1 mm, or 2 steps of 4 mm
    found = surface_distance(labels_of(point((6, 1, 6), 0, 0, 0), (1, 1, 4)), labels_of(moved, (1, 1, 4)), 1)
    # directed: {3} and {3, 8}
    assert found.mean_mm == pytest.approx((3 + 3 + 8) / 3)
    assert found.hausdorff_mm == 8
    assert found.hausdorff_95_mm == pytest.approx(np.percentile([3, 8], 95))


def test_both_directions_count(labels_of):
    small = point((1, 1, 9), 0, 0, 0)
    large = small + point((1, 1, 9), 0, 0, 8)
    forth = surface_distance(labels_of(small), labels_of(large), 1)
    back = surface_distance(labels_of(large), labels_of(small), 1)
    assert forth == back
    assert forth.hausdorff_mm == 8  # from the small one alone it would be 0


def test_the_inside_of_a_structure_is_not_its_surface(labels_of):
    solid = torch.zeros(9, 9, 9)
    solid[1:8, 1:8, 1:8] = 1
    hollow = solid.clone()
    hollow[3:6, 3:6, 3:6] = 0
    found = surface_distance(labels_of(solid), labels_of(hollow), 1)
    # hollow's inner wall (the voxels of [2:7]^3 that touch the hole by a face: 6 x 9) lies 1 from solid's shell
    outer, inner = 7**3 - 5**3, 6 * 9
    assert found.hausdorff_mm == 1
    assert found.mean_mm == pytest.approx(inner / (outer + outer + inner))


def test_the_other_labels_do_not_matter_and_oblique_grids_agree(labels_of):
    turn = np.eye(4)
    turn[:3, :3] = np.array([[0, -1, 0], [1, 0, 0], [0, 0, -1]]) @ np.diag([1, 2, 4])
    grid = Grid((4, 4, 4), turn)
    fixed, moved = (Volume(7 * point((4, 4, 4), 1, 1, k)[None].int(), grid, "labels") for k in (0, 2))
    fixed.data[0, 3, 3, 3] = 2
    assert surface_distance(fixed, moved, 7).hausdorff_mm == 8


def test_a_missing_structure_is_infinitely_far_and_an_unknown_one_an_error(labels_of):
    none, one = labels_of(torch.zeros(3, 3, 3)), labels_of(point((3, 3, 3), 1, 1, 1))
    assert surface_distance(one, none, 1).mean_mm == math.inf
    with pytest.raises(VolumeError, match="neither"):
        surface_distance(one, none, 2)


def test_a_sheared_grid_is_refused():
    affine = np.eye(4)
    affine[0, 2] = 0.4
    volume = Volume(torch.ones(1, 3, 3, 3).int(), Grid((3, 3, 3), affine), "labels")
    with pytest.raises(GeometryError, match="slanted"):
        surface_distance(volume, volume, 1)
