"""DeepSim by hand, and its two orders of warp and extraction against each other."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.losses.deepsim import cosine_similarity, deepsim, deepsim_loss, warp_features
from SlicerSynthReg.networks.extractor import Extractor, ExtractorConfig
from SlicerSynthReg.networks.unet import UNetConfig
from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.spatial.sampling import sample_displaced

LEVELS = (1, 2)


@pytest.fixture
def extractor() -> Extractor:
    """Without norms, which would let every voxel see every other."""
    torch.manual_seed(0)
    return Extractor(ExtractorConfig(UNetConfig(1, 4, (4, 6, 8), norm="none"), LEVELS)).eval()


def test_deepsim_of_two_levels_by_hand():
    """cos: level one 0.6; level two 1 and 0, mean 0.5; DeepSim is the mean of the levels' means, 0.55."""
    one = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1, 1), torch.tensor([3.0, 4.0]).view(1, 2, 1, 1, 1)
    two = (
        torch.tensor([[2.0, 0.0], [0.0, 2.0]]).view(1, 2, 2, 1, 1),
        torch.tensor([[5.0, 7.0], [0.0, 0.0]]).view(1, 2, 2, 1, 1),
    )
    assert float(deepsim([one[0], two[0]], [one[1], two[1]])) == pytest.approx(0.55)
    over_voxels = (0.6 + 1.0 + 0.0) / 3  # pooled over all voxels, fine levels would outweigh coarse ones
    assert abs(float(deepsim([one[0], two[0]], [one[1], two[1]])) - over_voxels) > 0.01


def test_deepsim_depends_on_the_features_direction_only(seeded):
    a = torch.randn((1, 5, 4, 4, 4), generator=seeded(0))
    assert float(deepsim_loss([a], [3 * a])) == pytest.approx(0.0, abs=1e-6)
    assert float(deepsim_loss([a], [-a])) == pytest.approx(2.0, abs=1e-6)


def test_zero_features_have_zero_similarity_and_a_finite_gradient():
    a = torch.zeros((1, 3, 2, 2, 2), requires_grad=True)
    assert cosine_similarity(a, torch.ones(1, 3, 2, 2, 2)).abs().max() == 0
    deepsim_loss([a], [torch.ones(1, 3, 2, 2, 2)]).backward()
    assert a.grad is not None and torch.isfinite(a.grad).all()


def test_both_orders_of_warp_and_extraction_agree_for_a_shift_by_whole_blocks(extractor, seeded):
    """By 8 voxels along the second axis: a displacement that were not resized with its level would disagree."""
    image = F.interpolate(torch.rand((1, 1, 12, 12, 12), generator=seeded(0)), (48, 48, 48), mode="trilinear")
    u = torch.zeros((1, 3, 24, 24, 24))
    u[:, 1] = 4.0  # of half the resolution
    full = torch.zeros((1, 3, 48, 48, 48))
    full[:, 1] = 8.0
    with torch.no_grad():
        before = extractor.levels(sample_displaced(image, full, index_lattice((48, 48, 48))))
        after = warp_features(extractor.levels(image), u)
    for one, other, level in zip(before, after, LEVELS):
        inner = (..., slice(4, -4), slice(4, -(4 + 8 // 2**level)), slice(4, -4))
        assert torch.allclose(one[inner], other[inner], atol=1e-4)
        assert one[inner].std() > 1e-3


@pytest.mark.parametrize(("levels", "within"), [((0,), 1e-3), ((0, 1, 2), 0.15)])
def test_the_squared_difference_of_extractor_channels_is_twice_the_loss(levels, within, seeded):
    """Exactly, where nothing is interpolated; between coarse voxels unit vectors are shortened a little."""
    torch.manual_seed(0)
    extractor = Extractor(ExtractorConfig(UNetConfig(1, 4, (4, 6, 8), norm="none"), levels)).eval()
    a, b = (
        F.interpolate(torch.rand((1, 1, 3, 3, 3), generator=seeded(n)), (32, 32, 32), mode="trilinear") for n in (1, 2)
    )
    difference = (extractor(a) - extractor(b)).square().sum(0).mean()
    with torch.no_grad():
        loss = deepsim_loss(extractor.levels(a), extractor.levels(b))
    assert float(difference) == pytest.approx(2 * float(loss), rel=within) and float(loss) > 1e-4


def test_the_loss_decreases_towards_the_true_shift(extractor, seeded):
    image = F.interpolate(torch.rand((1, 1, 10, 10, 10), generator=seeded(3)), (40, 40, 40), mode="trilinear")
    lattice = index_lattice((40, 40, 40))

    def loss(shift: float) -> float:
        u = torch.zeros((1, 3, 40, 40, 40))
        u[:, 0] = shift
        with torch.no_grad():
            moved = extractor.levels(sample_displaced(image, u, lattice))
            return float(deepsim_loss(moved, extractor.levels(image)))

    assert loss(0.0) == pytest.approx(0.0, abs=1e-5) and loss(0.0) < loss(1.0) < loss(3.0)
