"""Feature images: pooling, centroid, bounding box, resampling."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.spatial.grid import Grid


def test_pooling_is_a_weighted_mean():
    values, weight = torch.zeros(1, 2, 2, 2), torch.zeros(2, 2, 2)
    values[0, 0, 0, 0], weight[0, 0, 0] = 3.0, 1.0
    values[0, 1, 0, 0], weight[1, 0, 0] = 9.0, 0.5
    values[0, 1, 1, 1] = 1000.0  # weight 0: a plain mean would be 126.5
    pooled = FeatureImage(values, weight, Grid((2, 2, 2), np.eye(4))).pooled(2)
    assert pooled.values.item() == pytest.approx((3 + 4.5) / 1.5, rel=1e-4)
    assert pooled.weight.item() == pytest.approx(1.5 / 8)
    assert pooled.grid.affine[:3, 3].tolist() == [0.5, 0.5, 0.5]


def test_pooling_without_weight_is_finite():
    pooled = FeatureImage(torch.ones(2, 4, 4, 4), torch.zeros(4, 4, 4), Grid((4, 4, 4), np.eye(4))).pooled(2)
    assert pooled.values.abs().max() == 0


def test_centroid_is_weighted_and_in_mm(an_oblique_anisotropic_left_handed_grid):
    grid = an_oblique_anisotropic_left_handed_grid
    weight = torch.zeros(grid.shape)
    weight[2, 3, 4], weight[6, 3, 8] = 0.75, 0.25
    found = FeatureImage(torch.zeros(1, *grid.shape), weight, grid).centroid_mm()
    assert found == pytest.approx(grid.index_to_world(np.array([[3, 3, 5]]))[0])


def test_bounding_box_has_a_margin_in_mm_and_ends_at_the_image(a_grid_of):
    grid = a_grid_of((20, 20, 20), (1.0, 2.0, 4.0))
    weight = torch.zeros(grid.shape)
    weight[5:9, 5:9, 1:4] = 1
    box = FeatureImage(torch.zeros(1, *grid.shape), weight, grid).bounding_box(margin_mm=4.0)
    assert box.shape == (12, 8, 5)  # four voxels, two, one; below k = 0 the image ends
    assert np.allclose(box.affine[:3, 3], grid.index_to_world(np.array([[1, 3, 0]])))
    assert FeatureImage(torch.zeros(1, *grid.shape), 0 * weight, grid).bounding_box() is grid


def test_weight_is_zero_outside_the_resampled_image(a_grid_of, a_ramp_on):
    grid, wide = a_grid_of((5, 5, 5), (2.0, 2.0, 2.0)), a_grid_of((9, 9, 9), (2.0, 2.0, 2.0))
    shift = np.eye(4)
    shift[0, 3] = 2.0
    resampled = FeatureImage(a_ramp_on(grid), torch.ones(grid.shape), grid).on(wide, shift)
    assert resampled.weight[0].max() < 1e-6 and resampled.weight[3, 4, 4] == pytest.approx(1)
    assert resampled.values[0, 3, 4, 4] == pytest.approx(float(a_ramp_on(wide)[0, 3, 4, 4]) + 0.7 * 2, abs=1e-3)
