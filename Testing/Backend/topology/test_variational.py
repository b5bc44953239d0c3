from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.networks.extractor import Extractor, ExtractorConfig
from SlicerSynthReg.networks.unet import UNetConfig
from SlicerSynthReg.topology.change_maps import ControlGroup, li_wyatt, log_jacobian_squared
from SlicerSynthReg.topology.variational import (
    SemanticFeatures,
    Topology,
    TopologyConfig,
    VariationalBound,
    half_resolution,
    smooth_scores,
    warp_features,
)


def small_model(dims: int = 3, channels: int = 1) -> Topology:
    torch.manual_seed(0)
    return Topology(replace(TopologyConfig.for_channels(channels, dims), widths=(4, 8, 8)))


def smooth_noise(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    noise = torch.rand((1, 1, *(max(2, n // 4) for n in shape)), generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, shape, mode="trilinear" if len(shape) == 3 else "bilinear")


@pytest.mark.parametrize("shape", [(16, 24), (16, 12, 8)])
def test_initial_posterior_has_no_displacement_and_the_papers_variance(shape):
    model = small_model(len(shape))
    mu, log_v = model.posterior(smooth_noise(shape, 0), smooth_noise(shape, 1))
    assert mu.shape == log_v.shape == (1, len(shape), *(n // 2 for n in shape))
    assert mu.abs().max() < 1e-2 and (log_v + 3).abs().max() < 1e-2


def test_negative_log_likelihood_of_a_gaussian_by_hand():
    """Two channels of variance e and 1/e at one voxel, differences 1 and 2; the mean over channels, not the sum."""
    model = small_model(2, channels=2)
    model.log_variance.data = torch.tensor([1.0, -1.0])
    f_i, f_j = torch.zeros(1, 2, 1, 1), torch.tensor([1.0, 2.0]).view(1, 2, 1, 1)
    by_hand = [0.5 * (1 / math.e + 1 + math.log(2 * math.pi)), 0.5 * (4 * math.e - 1 + math.log(2 * math.pi))]
    found = model.negative_log_likelihood(f_i, f_j, torch.zeros(1, 2, 1, 1))
    assert float(found.detach()) == pytest.approx(sum(by_hand) / 2, rel=1e-5)


def test_intensities_have_the_weight_of_all_features_together():
    """Differences of 1 in three features, and of 1 in the intensity, increase the likelihood equally."""
    model = Topology(replace(TopologyConfig.for_channels(4, 2, "some"), widths=(4, 8)))
    model.log_variance.data.zero_()
    zero, u = torch.zeros(1, 4, 1, 1), torch.zeros(1, 2, 1, 1)
    unit = torch.eye(4).view(4, 4, 1, 1)
    increases = [
        (model.negative_log_likelihood(zero, j, u) - model.negative_log_likelihood(zero, zero, u)).item()
        for j in (unit[:3].sum(0)[None], unit[3:])
    ]
    assert increases == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("dims", [2, 3])
def test_smoothing_of_scores_conserves_their_sum_per_batch_element(dims):
    score = torch.zeros(2, *(15,) * dims)
    score[(0, *(7,) * dims)] = 1.0
    smoothed = smooth_scores(score, 1.0)
    assert (
        smoothed.shape == score.shape
        and float(smoothed[0].sum()) == pytest.approx(1.0, rel=1e-4)
        and not smoothed[1].any()
    )
    beside = float(smoothed[(0, 8, *(7,) * (dims - 1))] / smoothed[(0, *(7,) * dims)])
    assert beside == pytest.approx(math.exp(-0.5), rel=1e-4)


@pytest.mark.parametrize("dims", [2, 3])
def test_warp_samples_at_the_displaced_positions(dims):
    shape = (6, 7, 8)[:dims]
    ramp = torch.arange(float(math.prod(shape))).view(1, 1, *shape)
    u = torch.zeros((1, dims, *shape))
    u[:, 1] = 2.0
    warped = warp_features(ramp, u)
    assert torch.allclose(warped[:, :, :, :-2], ramp[:, :, :, 2:], atol=1e-3)
    assert not torch.allclose(warped[:, :, :-2, :-2], ramp[:, :, 2:, :-2], atol=1.0)


@pytest.mark.parametrize("dims", [2, 3])
def test_symmetric_bound_warps_the_backward_bound_by_the_forward_displacement(dims):
    """L_sym(J | I) = L(J | I) + L(I | J) o Phi_(J -> I), with a model of known bounds in each direction."""
    shape = (12, 10, 8)[:dims]
    half = tuple(n // 2 for n in shape)
    i, j = smooth_noise(shape, 0), smooth_noise(shape, 1)
    u = torch.zeros((1, dims, *half))
    u[:, 0] = 1.0
    back = torch.arange(float(half[0])).view(1, -1, *([1] * (dims - 1))).expand(1, *half)

    class KnownBounds(Topology):
        def bound(self, a, b, f_a, f_b):
            if a is i:
                return VariationalBound(u, torch.full((1, *half), 10.0), torch.zeros(1, *half))
            return VariationalBound(0 * u, back, torch.zeros(1, *half))

    config = replace(TopologyConfig.for_channels(1, dims), widths=(4, 8), sd_vox=0.0)
    found = KnownBounds(config).symmetric_bound(i, j, half_resolution)
    assert torch.allclose(found.score[:, :-1], 10 + back[:, 1:], atol=1e-4)
    assert torch.equal(found.u, u)


def test_running_prior_starts_at_the_closed_form_and_then_changes_slowly():
    model = small_model(2)
    i, j = smooth_noise((16, 16), 0), smooth_noise((16, 16), 1)
    model.loss(i, j, half_resolution(i), half_resolution(j))
    n = 64
    # mu = 0, v = exp(-3): S = 2 sum |N| v, 112 pairs seen from both sides; T = 2 n v / n^2
    alpha = 2 * (n - 1) / (2 * 224 * math.exp(-3))
    assert float(model.log_alpha.exp()) == pytest.approx(alpha, rel=0.02)
    assert float(model.log_beta.exp()) == pytest.approx(2 / (2 * math.exp(-3) / n), rel=0.02)
    model.pairs.fill_(1000)
    with torch.no_grad():
        model.net.head.bias[2:] = 0.0
    before = float(model.log_alpha)
    model.loss(i, j, half_resolution(i), half_resolution(j))
    assert float(model.log_alpha) - before == pytest.approx(-3 * model.config.momentum, rel=0.1)


@pytest.mark.parametrize("dims", [2, 3])
def test_optimising_one_pair_aligns_it_and_leaves_the_lesion_unexplained(dims):
    """One blob moves by two voxels, another appears: after some steps the new one has the highest score."""
    torch.manual_seed(0)
    shape = (32, 32, 16)[:dims]
    lattice = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in shape), indexing="ij"))

    def blob(*centre: float) -> torch.Tensor:
        gap = lattice - torch.tensor(centre[:dims]).view(-1, *([1] * dims))
        return torch.exp(-gap.square().sum(0) / 18)[None, None]

    i = blob(11, 11, 8)
    j = blob(13, 11, 8) + 0.8 * blob(24, 24, 8)
    model = small_model(dims)
    model.log_variance.data.fill_(-5.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    before = float(model.loss(i, j, half_resolution(i), half_resolution(j))["loss"].detach())
    for _ in range(60):
        loss = model.loss(i, j, half_resolution(i), half_resolution(j))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < before - 0.1
    found = model.eval().bound(i, j, half_resolution(i), half_resolution(j))
    at = (0, 12, 12, 4)[: dims + 1]
    here = (0, 6, 5, 4)[: dims + 1]
    assert float(found.nll[at]) > float(found.nll[here]) and float(found.score[at]) > float(found.score.median())


def test_outlier_map_subtracts_the_expected_bound_of_the_controls():
    """With scores |J - I|, a case that differs from the controls as they do among themselves is no outlier."""
    images = [torch.full((1, 1, 4, 4), value) for value in (0.0, 1.0, 2.0)]

    def bound(i: torch.Tensor, j: torch.Tensor) -> VariationalBound:
        return VariationalBound(torch.zeros(1, 2, 4, 4), (i - j).abs()[:, 0], torch.zeros(1, 4, 4))

    group = ControlGroup.from_images(images, bound)
    assert [float(one.mean()) for one in group.expected] == [1.5, 1.0, 1.5]
    case = torch.full((1, 1, 4, 4), 1.0)
    case[..., 0, 0] = 9.0
    q = group.outlier_map(case, bound)
    assert float(q[0, 2, 2]) == pytest.approx(((1 - 1.5) + (0 - 1.0) + (1 - 1.5)) / 3)
    assert float(q[0, 0, 0]) == pytest.approx(((9 - 1.5) + (8 - 1.0) + (7 - 1.5)) / 3)
    with pytest.raises(ValueError, match="two or more"):
        ControlGroup.from_images(images[:1], bound)


def test_semantic_features_have_half_the_resolution_and_unit_mean_square():
    torch.manual_seed(0)
    extractor = Extractor(ExtractorConfig(UNetConfig(1, 4, (4, 6, 8)), (1, 2)))
    for shape in ((20, 24, 18), (20, 24)):
        features = SemanticFeatures(extractor, 2)(smooth_noise(shape, 0))
        assert features.shape == (1, 15, *(n // 2 for n in shape))
        assert torch.equal(features[:, 14:], half_resolution(smooth_noise(shape, 0)))
        assert float(features[:, :6].square().mean()) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("dims", [2, 3])
def test_log_jacobian_of_a_stretch_by_two(dims):
    shape = (8, 8, 8)[:dims]
    u = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in shape), indexing="ij"))[None]
    u[:, 1:] = 0
    assert torch.allclose(log_jacobian_squared(u), torch.full((1, *shape), math.log(2) ** 2), atol=1e-4)
    assert log_jacobian_squared(0 * u).abs().max() == 0


def test_li_wyatt_suppresses_differences_at_edges():
    """The same difference at an edge of the fixed image and in its homogeneous part: only that has full weight."""
    fixed = torch.zeros(1, 1, 60, 30)
    fixed[:, :, :20] = 1.0
    other = fixed.clone()
    other[:, :, 18, 10] -= 0.5
    other[:, :, 50, 10] += 0.5
    score = li_wyatt(other, fixed, sd_vox=3.0, k=2.0)
    assert float(score[0, 50, 10]) == pytest.approx(1.0, abs=0.05) and float(score[0, 18, 10]) < 0.3
    assert float(score[0, 40, 20]) == 0.0
