from __future__ import annotations

import numpy as np
import pytest
import torch

from SlicerSynthReg.methods.instance.channels import Channels
from SlicerSynthReg.methods.instance.shifts import best_shifts
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.smoothing import gaussian


def seen_from(low: tuple[int, int, int], high: tuple[int, int, int], at_mm: tuple[float, float, float]) -> Channels:
    """Part of one body's classes, its first voxel told to lie at `at_mm`."""
    noise = torch.randn((1, 3, 24, 24, 40), generator=torch.Generator().manual_seed(0))
    classes = (gaussian(noise, 1.5)[0] > 0.1).float()
    part = classes[:, low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    affine = np.diag([10.0, 10.0, 10.0, 1.0])
    affine[:3, 3] = at_mm
    return Channels(part, torch.ones(part.shape[1:]), Grid(tuple(part.shape[1:]), affine))


@pytest.mark.parametrize("at_mm", [(0, 0, 0), (500, -300, 1200)])
def test_a_partial_overlap_is_found_wherever_the_headers_put_it(at_mm):
    """The lower 26 and the upper 26 of 40 planes share 12; more overlap elsewhere fits worse."""
    fixed, moving = seen_from((0, 0, 0), (24, 24, 26), (0, 0, 0)), seen_from((2, 1, 14), (24, 24, 40), at_mm)
    shift = best_shifts(fixed, moving)[0]
    assert np.allclose(shift[:3, :3], np.eye(3))
    assert np.allclose(shift[:3, 3], np.array(at_mm) - [20, 10, 140])


def test_the_images_that_change_places_find_the_opposite_shift():
    one, other = seen_from((0, 0, 0), (24, 24, 26), (0, 0, 0)), seen_from((0, 3, 10), (20, 24, 40), (7, 8, 9))
    assert np.allclose(best_shifts(one, other)[0][:3, 3], -best_shifts(other, one)[0][:3, 3])


def test_an_overlap_of_a_few_voxels_is_no_answer_however_well_it_fits():
    fixed, moving = seen_from((0, 0, 0), (24, 24, 22), (0, 0, 0)), seen_from((0, 0, 20), (24, 24, 40), (0, 0, 0))
    lag = best_shifts(fixed, moving, least=0.4)[0][:3, 3]
    assert abs(lag[2] + 200) > 30


def test_further_answers_lie_apart():
    shifts = best_shifts(seen_from((0, 0, 0), (24, 24, 40), (0, 0, 0)), seen_from((0, 0, 0), (24, 24, 40), (0, 0, 0)))
    assert np.allclose(shifts[0], np.eye(4))
    assert min(np.abs(one[:3, 3]).max() for one in shifts[1:]) >= 40
