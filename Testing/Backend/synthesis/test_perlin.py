from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.synthesis.perlin import perlin


def test_the_noise_is_zero_at_nodes_and_rises_along_their_vectors():
    """One voxel across two cells lies on the lattice: along that edge the noise near a corner is vector . way."""
    vectors = torch.randn((3, 3, 3, 3), generator=torch.Generator().manual_seed(3))
    vector = vectors[:, 1, 1, 1] / vectors[:, 1, 1, 1].norm()
    for axis in range(3):
        shape = [1, 1, 1]
        shape[axis] = 2000
        line = perlin([3], tuple(shape), (2, 2, 2)).flatten().double()
        assert abs(float(line[999] + line[1000])) / 2 < 1e-5
        assert float((line[1001] - line[998]) / 3e-3) == pytest.approx(float(vector[axis]), abs=1e-3)


def test_value_and_slope_are_continuous_from_cell_to_cell():
    field = perlin([5], (900, 3, 3), (3, 2, 2))[0, :, 1, 1].double()
    slope = field.diff() * 300
    bend = slope.diff() * 300
    assert float(slope.abs().max()) < 3
    assert float(bend.abs().max()) < 25  # a corner in the curve would show as a bend of slope x 300
    assert float(bend.diff().abs().max()) < 5


def test_more_cells_give_finer_noise():
    few, many = (perlin([1], (48, 48, 48), (n,) * 3)[0] for n in (2, 8))
    roughness = [float(f.diff(dim=0).square().mean() / f.square().mean()) for f in (few, many)]
    assert 8 < roughness[1] / roughness[0] < 32  # squared slope goes with the square of the count: 16


def test_a_row_depends_on_its_seed_only():
    both = perlin([7, 8], (12, 14, 16), (2, 3, 2))
    assert torch.equal(both[1], perlin([8], (12, 14, 16), (2, 3, 2))[0])
    assert float((both[0] - both[1]).abs().max()) > 0.1
