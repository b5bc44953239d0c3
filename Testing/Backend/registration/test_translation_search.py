"""Translation search between partly overlapping fields of view."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from SlicerSynthReg.registration.feature_image import FeatureImage
from SlicerSynthReg.registration.global_search import translation_search
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.smoothing import gaussian


def field_of_view(
    low: tuple[int, int, int], high: tuple[int, int, int], at_mm: tuple[float, float, float]
) -> FeatureImage:
    """Return a part of one body's classes whose header places its first voxel at `at_mm`."""
    noise = torch.randn((1, 3, 24, 24, 40), generator=torch.Generator().manual_seed(0))
    classes = (gaussian(noise, 1.5)[0] > 0.1).float()
    part = classes[:, low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    affine = np.diag([10.0, 10.0, 10.0, 1.0])
    affine[:3, 3] = at_mm
    return FeatureImage(part, torch.ones(part.shape[1:]), Grid(tuple(part.shape[1:]), affine))


@pytest.mark.parametrize("at_mm", [(0, 0, 0), (500, -300, 1200)])
def test_partial_overlap_is_found_for_any_header(at_mm):
    """The lower 26 and the upper 26 of 40 planes share 12; larger overlaps fit worse."""
    fixed, moving = field_of_view((0, 0, 0), (24, 24, 26), (0, 0, 0)), field_of_view((2, 1, 14), (24, 24, 40), at_mm)
    shift = translation_search(fixed, moving)[0]
    assert np.allclose(shift[:3, :3], np.eye(3))
    assert np.allclose(shift[:3, 3], np.array(at_mm) - [20, 10, 140])


def test_exchanged_images_give_the_opposite_translation():
    one, other = field_of_view((0, 0, 0), (24, 24, 26), (0, 0, 0)), field_of_view((0, 3, 10), (20, 24, 40), (7, 8, 9))
    assert np.allclose(translation_search(one, other)[0][:3, 3], -translation_search(other, one)[0][:3, 3])


def test_small_overlaps_are_excluded():
    fixed, moving = (
        field_of_view((0, 0, 0), (24, 24, 22), (0, 0, 0)),
        field_of_view((0, 0, 20), (24, 24, 40), (0, 0, 0)),
    )
    lag = translation_search(fixed, moving, min_shared=0.4)[0][:3, 3]
    assert abs(lag[2] + 200) > 30


def test_further_translations_are_distinct():
    image = field_of_view((0, 0, 0), (24, 24, 40), (0, 0, 0))
    shifts = translation_search(image, image)
    assert np.allclose(shifts[0], np.eye(4))
    assert min(np.abs(one[:3, 3]).max() for one in shifts[1:]) >= 40
