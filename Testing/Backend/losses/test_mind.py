from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.losses.mind import NEIGHBOURS, PAIRS, mind_ssc
from SlicerSynthReg.spatial.smoothing import gaussian


@pytest.fixture
def smooth_image(seeded) -> torch.Tensor:
    return gaussian(torch.randn((1, 1, 16, 17, 18), generator=seeded(0)), 1.5)


def test_the_twelve_pairs_are_the_edges_of_an_octahedron():
    apart = [sum((p - q) ** 2 for p, q in zip(NEIGHBOURS[a], NEIGHBOURS[b])) for a, b in PAIRS]
    assert apart == [2] * 12 and len(set(PAIRS)) == 12


def test_mind_is_invariant_to_gain_offset_and_inversion(smooth_image, seeded):
    here = mind_ssc(smooth_image)
    assert here.shape == (1, 12, 16, 17, 18)
    assert here.min() >= 0 and torch.allclose(here.amax(1), torch.ones(1, 16, 17, 18))
    for changed in (3 * smooth_image + 2, 0.5 - smooth_image):
        assert torch.allclose(mind_ssc(changed), here, atol=1e-3)
    other = mind_ssc(gaussian(torch.randn(smooth_image.shape, generator=seeded(1)), 1.5))
    assert (other - here).abs().mean() > 0.1


def test_mind_is_equivariant_to_shifts(smooth_image):
    rolled = mind_ssc(smooth_image.roll(3, 2)).roll(-3, 2)
    inner = (..., slice(4, -8), slice(4, -4), slice(4, -4))
    assert torch.allclose(rolled[inner], mind_ssc(smooth_image)[inner], atol=0.02)


def test_each_channel_compares_its_own_pair_of_neighbours(smooth_image):
    """An image that changes along k only: neighbours in the i-j plane are equal, so their pairs are the most alike."""
    flat = smooth_image[:, :, 5:6, 5:6].expand(1, 1, 12, 12, 18)
    found = mind_ssc(flat, dilation=1)
    for n, (a, b) in enumerate(PAIRS):
        in_plane = NEIGHBOURS[a][2] == 0 and NEIGHBOURS[b][2] == 0
        assert bool((found[:, n] > 0.999).all()) == in_plane
