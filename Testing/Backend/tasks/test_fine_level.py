"""Scans of one contrast whose voxels are finer than the comparison's are compared once more at half its voxel size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("nilearn", reason="the template comes with nilearn (extra 'demo')")

from SlicerSynthReg.demo import make_pair
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Velocity, resample
from SlicerSynthReg.tasks.alignment import Alignment, AlignmentConfig, align
from SlicerSynthReg.tasks.deforming import DeformingConfig, toned
from SlicerSynthReg.tasks.prepare import Side
from SlicerSynthReg.volume.volume import Volume

COMPARED_MM = 6.0


@pytest.fixture(scope="module")
def a_head_of_3_mm() -> Volume:
    return make_pair(spacing=3.0).fixed


@pytest.fixture(scope="module")
def a_bend_of_a_few_voxels(a_head_of_3_mm) -> Velocity:
    grid = a_head_of_3_mm.grid
    axes = [torch.linspace(0, 3 * np.pi, n) for n in grid.shape]
    i, j, k = torch.meshgrid(*axes, indexing="ij")
    return Velocity(torch.stack([j.sin() * k.cos(), k.sin() * i.cos(), i.sin() * j.cos()]) * 1.2, grid)


@pytest.fixture(scope="module")
def aligned(a_head_of_3_mm, a_bend_of_a_few_voxels):
    """`a_head` with its bent copy, compared at 6 mm; fine: as AlignmentConfig.fine."""
    head, bend = a_head_of_3_mm, a_bend_of_a_few_voxels
    copy = Volume(resample(head.data, head.grid, head.grid, bend.inverse()), head.grid)

    def build(fine: float) -> Alignment:
        return align(None, COMPARED_MM, head, copy, AlignmentConfig(fine=fine))

    return build


def error_mm(found: Alignment, truth: Velocity, head: Volume) -> float:
    inside = head.grid.index_to_world((head.data[0] > head.data.mean()).nonzero()[::50].numpy())
    return float(np.linalg.norm(found.transform.map_points(inside) - truth.map_points(inside), axis=1).mean())


def test_the_known_bend_is_met_closer_with_the_fine_level(aligned, a_bend_of_a_few_voxels, a_head_of_3_mm):
    coarse, fine = (error_mm(aligned(share), a_bend_of_a_few_voxels, a_head_of_3_mm) for share in (0.1, 0.75))
    assert fine < 0.9 * coarse
    assert fine < 1.5, "half a voxel of the scans"


def test_the_fine_level_lies_on_blocks_of_the_comparison_s_grid(aligned):
    coarse, fine = (aligned(share).velocity.grid for share in (0.1, 0.75))
    assert np.allclose(fine.spacing, COMPARED_MM / 2) and fine.scaled_down(2).same_as(coarse, 1e-6)


def test_tone_does_not_change_with_gain_and_offset_of_the_scan():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((6, 6, 6), generator=generator)
    weight = (torch.rand((6, 6, 6), generator=generator) > 0.3).float()
    plain = torch.zeros((2, 6, 6, 6))
    one, two = (toned(plain, Side(im, weight, None), DeformingConfig())[2] for im in (image * 40, image * 120 - 7))
    assert torch.allclose(one, two, atol=5e-3) and float(one.std()) > 0.3


def test_a_large_field_of_view_is_left_at_the_comparison_s_voxel_size(a_head_of_3_mm):
    config = AlignmentConfig(most_voxels=1000)
    found = align(None, COMPARED_MM, a_head_of_3_mm, a_head_of_3_mm, config)
    assert isinstance(found.velocity.grid, Grid) and np.allclose(found.velocity.grid.spacing, COMPARED_MM)
