from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.networks.matching import MatchingConfig, MatchingNet, correlation_volume, neighbourhood_offsets
from SlicerSynthReg.networks.unet import UNetConfig
from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.spatial.sampling import sample_displaced
from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.spatial.transform import exponential

LEVELS = (2, 1)
CHANNELS = {2: 24, 1: 24}


@pytest.fixture
def initial_net() -> MatchingNet:
    torch.manual_seed(0)
    return MatchingNet(MatchingConfig(levels=LEVELS), UNetConfig(widths=(8, 8, 8))).eval()


@pytest.fixture
def random_features(seeded):
    """level -> unit features (1, 24, ...) of a 48^3 image, smooth over about a voxel of their level."""

    def build(seed: int = 0) -> dict[int, torch.Tensor]:
        made = {}
        for level in LEVELS:
            n = 48 // 2**level
            noise = torch.randn((1, CHANNELS[level], n, n, n), generator=seeded(seed + level))
            made[level] = F.normalize(gaussian(noise, 0.8), dim=1)
        return made

    return build


def displaced(features: dict[int, torch.Tensor], shift: tuple[float, float, float]) -> dict[int, torch.Tensor]:
    """f(x - shift), shift in voxels of level 1: found again at x + shift."""
    moved = {}
    for level, f in features.items():
        u = -torch.tensor(shift).view(1, 3, 1, 1, 1).expand(1, 3, *f.shape[2:]) * 2 / 2**level
        moved[level] = F.normalize(sample_displaced(f, u, index_lattice(tuple(f.shape[2:]))), dim=1)
    return moved


def test_the_offset_of_a_shifted_delta_points_from_fixed_to_moving():
    fixed, moving = torch.zeros(1, 1, 5, 5, 5), torch.zeros(1, 1, 5, 5, 5)
    fixed[0, 0, 2, 2, 2] = 1
    moving[0, 0, 3, 2, 1] = 1
    cost = correlation_volume(fixed, moving)
    assert cost.shape == (1, 27, 5, 5, 5)
    assert cost.sum() == 1
    best = int(cost[0, :, 2, 2, 2].argmax())
    assert neighbourhood_offsets()[best].tolist() == [
        1,
        0,
        -1,
    ]  # moving(x + o): the mirrored (-1, 0, 1) would push away


def test_correlation_by_hand_for_every_offset(seeded):
    fixed, moving = (torch.randn((1, 3, 4, 5, 6), generator=seeded(n)) for n in (0, 1))
    cost = correlation_volume(fixed, moving)
    for n, (a, b, c) in enumerate(neighbourhood_offsets().int().tolist()):
        by_hand = float(fixed[0, :, 2, 2, 3] @ moving[0, :, 2 + a, 2 + b, 3 + c])
        assert float(cost[0, n, 2, 2, 3]) == pytest.approx(by_hand, abs=1e-5)


def test_initial_heads_recover_a_small_shift(initial_net, random_features):
    shift = (0.9, -0.6, 0.0)
    fixed = random_features()
    with torch.no_grad():
        v = initial_net(fixed, displaced(fixed, shift), torch.ones(1))
    assert v.shape == (1, 3, 24, 24, 24)
    found = v[0, :, 6:-6, 6:-6, 6:-6].mean(dim=(1, 2, 3))
    wanted = torch.tensor(shift)
    assert F.cosine_similarity(found, wanted, dim=0) > 0.97
    assert 0.6 < float(found.norm() / wanted.norm()) < 1.3


def test_a_coarse_velocity_is_doubled_at_the_next_finer_level(initial_net, random_features):
    """The fine head is silenced: unscaled between the levels, the coarse one would reach half as far."""
    with torch.no_grad():
        initial_net.heads[1].gain.zero_()
        initial_net.heads[1].out.weight.zero_()
        fixed = random_features()
        v = initial_net(fixed, displaced(fixed, (1.8, 0.0, 0.0)), torch.ones(1))
    assert 1.3 < float(v[0, 0, 6:-6, 6:-6, 6:-6].mean()) < 2.2


def test_the_velocity_aligns_the_features(initial_net, random_features):
    fixed = random_features(5)
    moving = displaced(fixed, (0.0, 0.8, 0.8))
    with torch.no_grad():
        u = exponential(initial_net(fixed, moving, torch.ones(1)), 5)
        warped = sample_displaced(moving[1], u, index_lattice((24, 24, 24)))
    inner = (..., slice(5, -5), slice(5, -5), slice(5, -5))
    before, after = (F.cosine_similarity(fixed[1], f, dim=1)[inner].mean() for f in (moving[1], warped))
    assert after > before + 0.2


def test_equal_images_have_a_small_velocity(initial_net, random_features):
    features = random_features()
    with torch.no_grad():
        still = initial_net(features, features, torch.ones(1))
        moved = initial_net(features, displaced(features, (0.9, 0.0, 0.0)), torch.ones(1))
    inner = (..., slice(4, -4), slice(4, -4), slice(4, -4))
    assert float(still[inner].norm()) < 0.15 * float(moved[inner].norm())


def test_a_batch_element_is_that_element_alone(initial_net, random_features):
    one, two = random_features(0), random_features(9)
    fixed, moving = ({level: torch.cat([a[level], b[level]]) for level in LEVELS} for a, b in ((one, two), (two, one)))
    with torch.no_grad():
        together = initial_net(fixed, moving, torch.tensor([1.0, 5.0]))
        alone = initial_net(two, one, torch.tensor([5.0]))
    assert torch.allclose(together[1:], alone, atol=1e-5)


def test_every_weight_of_the_heads_has_a_gradient(initial_net, random_features):
    fixed = random_features()
    initial_net(fixed, displaced(fixed, (0.5, 0, 0)), torch.full((1,), 3.0)).square().mean().backward()
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in initial_net.parameters())


def test_missing_feature_levels_are_refused():
    with pytest.raises(ValueError, match=r"Found levels \(4, 3\), expected levels 0\.\.2"):
        MatchingNet(MatchingConfig(levels=(4, 3)), UNetConfig(widths=(8, 8, 8)))
    with pytest.raises(ValueError, match=r"Found levels \(1, 0\), expected levels 1\.\.2"):
        MatchingNet(MatchingConfig(levels=(1, 0)), UNetConfig(widths=(8, 8, 8), finest=1))
