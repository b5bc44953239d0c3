"""DeepSim by hand, and its two orders of warp and extraction against each other."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.losses.semantic import SemanticSimilarity, cosine, deepsim, deepsim_loss, moved_levels
from SlicerSynthReg.nets.extractor import Extractor, ExtractorConfig
from SlicerSynthReg.nets.unet import UNetConfig
from SlicerSynthReg.space.grid import index_lattice
from SlicerSynthReg.space.sampling import sample_displaced

LEVELS = (1, 2)


@pytest.fixture
def an_extractor() -> Extractor:
    """Without norms, which would let every voxel see every other."""
    torch.manual_seed(0)
    return Extractor(ExtractorConfig(UNetConfig(1, 4, (4, 6, 8), norm="none"), LEVELS)).eval()


def test_by_hand_two_levels_of_one_and_two_voxels():
    """cos: level one 0.6; level two 1 and 0, mean 0.5; DeepSim is the mean of the levels' means, 0.55."""
    one = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1, 1), torch.tensor([3.0, 4.0]).view(1, 2, 1, 1, 1)
    two = (
        torch.tensor([[2.0, 0.0], [0.0, 2.0]]).view(1, 2, 2, 1, 1),
        torch.tensor([[5.0, 7.0], [0.0, 0.0]]).view(1, 2, 2, 1, 1),
    )
    assert float(deepsim([one[0], two[0]], [one[1], two[1]])) == pytest.approx(0.55)
    over_voxels = (0.6 + 1.0 + 0.0) / 3  # pooled over all voxels, fine levels would outweigh coarse ones
    assert abs(float(deepsim([one[0], two[0]], [one[1], two[1]])) - over_voxels) > 0.01


def test_brightness_of_features_does_not_count_their_direction_does(seeded):
    a = torch.randn((1, 5, 4, 4, 4), generator=seeded(0))
    assert float(deepsim_loss([a], [3 * a])) == pytest.approx(0.0, abs=1e-6)
    assert float(deepsim_loss([a], [-a])) == pytest.approx(2.0, abs=1e-6)


def test_silent_features_are_like_nothing_and_have_a_gradient():
    a = torch.zeros((1, 3, 2, 2, 2), requires_grad=True)
    assert cosine(a, torch.ones(1, 3, 2, 2, 2)).abs().max() == 0
    deepsim_loss([a], [torch.ones(1, 3, 2, 2, 2)]).backward()
    assert a.grad is not None and torch.isfinite(a.grad).all()


def test_both_orders_agree_where_the_warp_is_a_shift_of_whole_blocks(an_extractor, seeded):
    """By 8 voxels along the second axis: a displacement that were not resized with its level would disagree."""
    image = F.interpolate(torch.rand((1, 1, 12, 12, 12), generator=seeded(0)), (48, 48, 48), mode="trilinear")
    u = torch.zeros((1, 3, 24, 24, 24))
    u[:, 1] = 4.0  # of half the resolution
    full = torch.zeros((1, 3, 48, 48, 48))
    full[:, 1] = 8.0
    with torch.no_grad():
        before = an_extractor.levels(sample_displaced(image, full, index_lattice((48, 48, 48))))
        after = moved_levels(an_extractor.levels(image), u)
    for one, other, level in zip(before, after, LEVELS):
        inner = (..., slice(4, -4), slice(4, -(4 + 8 // 2**level)), slice(4, -4))
        assert torch.allclose(one[inner], other[inner], atol=1e-4)
        assert one[inner].std() > 1e-3


@pytest.mark.parametrize(("levels", "within"), [((0,), 1e-3), ((0, 1, 2), 0.15)])
def test_squared_difference_of_an_extractors_channels_is_twice_the_loss(levels, within, seeded):
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


def test_the_loss_falls_towards_the_right_shift(an_extractor, seeded):
    image = F.interpolate(torch.rand((1, 1, 10, 10, 10), generator=seeded(3)), (40, 40, 40), mode="trilinear")
    lattice = index_lattice((40, 40, 40))

    def loss(shift: float) -> float:
        u = torch.zeros((1, 3, 40, 40, 40))
        u[:, 0] = shift
        with torch.no_grad():
            moved = an_extractor.levels(sample_displaced(image, u, lattice))
            return float(deepsim_loss(moved, an_extractor.levels(image)))

    assert loss(0.0) == pytest.approx(0.0, abs=1e-5) and loss(0.0) < loss(1.0) < loss(3.0)


def test_a_similarity_for_one_pair_counts_where_it_is_told_and_leads_to_the_image(an_extractor, seeded):
    """A difference outside the weighted half costs nothing; inside, a loss with a gradient to the moved image alone."""
    similarity = SemanticSimilarity(an_extractor.requires_grad_(False).levels)
    fixed = similarity.channels(torch.rand((16, 16, 32), generator=seeded(0)))
    changed = fixed.clone()
    changed[..., 26:] = 1 - changed[..., 26:]
    left, right = torch.zeros(16, 16, 32), torch.zeros(16, 16, 32)
    left[..., :12], right[..., 24:] = 1, 1
    assert float(similarity.loss(fixed, fixed, right)) == pytest.approx(0.0, abs=1e-5)
    assert float(similarity.loss(fixed, changed, left)) < 1e-4 < 0.01 < float(similarity.loss(fixed, changed, right))
    changed.requires_grad_()
    similarity.loss(fixed, changed, right).backward()
    assert changed.grad is not None and changed.grad[..., 26:].abs().max() > 0


def test_with_all_weights_equal_it_is_the_training_loss(an_extractor, seeded):
    a, b = (torch.rand((1, 16, 24, 16), generator=seeded(n)) for n in (0, 1))
    with torch.no_grad():
        expected = deepsim_loss(an_extractor.levels(b[None]), an_extractor.levels(a[None]))
        found = SemanticSimilarity(an_extractor.levels).loss(a, b, torch.ones(16, 24, 16))
    assert float(found) == pytest.approx(float(expected), abs=1e-5)
