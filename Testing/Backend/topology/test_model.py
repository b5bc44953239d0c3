from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.evaluate.auc import area_over_cases, auc
from SlicerSynthReg.methods.topology.baselines import li_wyatt, log_jacobian_squared
from SlicerSynthReg.methods.topology.control import ControlGroup
from SlicerSynthReg.methods.topology.model import Explained, Semantic, Topology, TopologyConfig, halved, moved, smoothed
from SlicerSynthReg.nets.extractor import Extractor, ExtractorConfig
from SlicerSynthReg.nets.unet import UNetConfig


def a_model(dims: int = 3, channels: int = 1) -> Topology:
    torch.manual_seed(0)
    return Topology(replace(TopologyConfig.comparing(channels, dims), widths=(4, 8, 8)))


def smooth(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    noise = torch.rand((1, 1, *(max(2, n // 4) for n in shape)), generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, shape, mode="trilinear" if len(shape) == 3 else "bilinear")


@pytest.mark.parametrize("shape", [(16, 24), (16, 12, 8)])
def test_at_birth_nothing_moves_and_the_spread_is_that_of_the_paper(shape):
    model = a_model(len(shape))
    mu, log_v = model.proposed(smooth(shape, 0), smooth(shape, 1))
    assert mu.shape == log_v.shape == (1, len(shape), *(n // 2 for n in shape))
    assert mu.abs().max() < 1e-2 and (log_v + 3).abs().max() < 1e-2


def test_unlikelihood_is_a_gaussians_by_hand():
    """Two channels of variance e and 1/e at one voxel, differences 1 and 2; the channels' mean, not their sum."""
    model = a_model(2, channels=2)
    model.log_variance.data = torch.tensor([1.0, -1.0])
    f_i, f_j = torch.zeros(1, 2, 1, 1), torch.tensor([1.0, 2.0]).view(1, 2, 1, 1)
    by_hand = [0.5 * (1 / math.e + 1 + math.log(2 * math.pi)), 0.5 * (4 * math.e - 1 + math.log(2 * math.pi))]
    found = model.unlikelihood(f_i, f_j, torch.zeros(1, 2, 1, 1))
    assert float(found) == pytest.approx(sum(by_hand) / 2, rel=1e-5)


def test_intensities_count_as_much_as_all_features_together():
    """Differences of 1 in three features, and of 1 in the intensities, add the same."""
    model = Topology(replace(TopologyConfig.comparing(4, 2, "some"), widths=(4, 8)))
    model.log_variance.data.zero_()
    nothing, u = torch.zeros(1, 4, 1, 1), torch.zeros(1, 2, 1, 1)
    far = torch.eye(4).view(4, 4, 1, 1)
    added = [
        float(model.unlikelihood(nothing, j, u) - model.unlikelihood(nothing, nothing, u))
        for j in (far[:3].sum(0)[None], far[3:])
    ]
    assert added == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("dims", [2, 3])
def test_a_score_is_read_over_its_neighbourhood_and_none_is_lost(dims):
    score = torch.zeros(2, *(15,) * dims)
    score[(0, *(7,) * dims)] = 1.0
    read = smoothed(score, 1.0)
    assert read.shape == score.shape and float(read[0].sum()) == pytest.approx(1.0, rel=1e-4) and not read[1].any()
    beside = float(read[(0, 8, *(7,) * (dims - 1))] / read[(0, *(7,) * dims)])
    assert beside == pytest.approx(math.exp(-0.5), rel=1e-4)


@pytest.mark.parametrize("dims", [2, 3])
def test_values_are_read_where_the_displacement_leads(dims):
    shape = (6, 7, 8)[:dims]
    ramp = torch.arange(float(math.prod(shape))).view(1, 1, *shape)
    u = torch.zeros((1, dims, *shape))
    u[:, 1] = 2.0
    there = moved(ramp, u)
    assert torch.allclose(there[:, :, :, :-2], ramp[:, :, :, 2:], atol=1e-3)
    assert not torch.allclose(there[:, :, :-2, :-2], ramp[:, :, 2:, :-2], atol=1.0)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_second_direction_is_carried_along_the_first_ones_warp(dims):
    """L_sym(J | I) = L(J | I) + L(I | J) o Phi_(J -> I), with a model told what to answer in each direction."""
    shape = (12, 10, 8)[:dims]
    half = tuple(n // 2 for n in shape)
    i, j = smooth(shape, 0), smooth(shape, 1)
    u = torch.zeros((1, dims, *half))
    u[:, 0] = 1.0
    back = torch.arange(float(half[0])).view(1, -1, *([1] * (dims - 1))).expand(1, *half)

    class Told(Topology):
        def explain(self, a, b, f_a, f_b):
            if a is i:
                return Explained(u, torch.full((1, *half), 10.0), torch.zeros(1, *half))
            return Explained(0 * u, back, torch.zeros(1, *half))

    config = replace(TopologyConfig.comparing(1, dims), widths=(4, 8), sd_vox=0.0)
    found = Told(config).explain_both(i, j, halved)
    assert torch.allclose(found.score[:, :-1], 10 + back[:, 1:], atol=1e-4)
    assert torch.equal(found.u, u)


def test_the_running_prior_is_the_closed_form_of_the_first_pair_and_then_moves_slowly():
    model = a_model(2)
    i, j = smooth((16, 16), 0), smooth((16, 16), 1)
    model.loss(i, j, halved(i), halved(j))
    n = 64
    # mu = 0, v = exp(-3): S = 2 sum |N| v, 112 pairs seen from both sides; T = 2 n v / n^2
    alpha = 2 * (n - 1) / (2 * 224 * math.exp(-3))
    assert float(model.log_alpha.exp()) == pytest.approx(alpha, rel=0.02)
    assert float(model.log_beta.exp()) == pytest.approx(2 / (2 * math.exp(-3) / n), rel=0.02)
    model.pairs.fill_(1000)
    with torch.no_grad():
        model.net.head.bias[2:] = 0.0
    before = float(model.log_alpha)
    model.loss(i, j, halved(i), halved(j))
    assert float(model.log_alpha) - before == pytest.approx(-3 * model.config.memory, rel=0.1)


@pytest.mark.parametrize("dims", [2, 3])
def test_learning_one_pair_aligns_it_and_leaves_what_no_warp_explains(dims):
    """A blob moved by two voxels, and one that has appeared: after some steps the new one scores highest."""
    torch.manual_seed(0)
    shape = (32, 32, 16)[:dims]
    lattice = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in shape), indexing="ij"))

    def blob(*centre: float) -> torch.Tensor:
        gap = lattice - torch.tensor(centre[:dims]).view(-1, *([1] * dims))
        return torch.exp(-gap.square().sum(0) / 18)[None, None]

    i = blob(11, 11, 8)
    j = blob(13, 11, 8) + 0.8 * blob(24, 24, 8)
    model = a_model(dims)
    model.log_variance.data.fill_(-5.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    before = float(model.loss(i, j, halved(i), halved(j))["loss"].detach())
    for _ in range(60):
        loss = model.loss(i, j, halved(i), halved(j))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < before - 0.1
    found = model.eval().explain(i, j, halved(i), halved(j))
    at = (0, 12, 12, 4)[: dims + 1]
    here = (0, 6, 5, 4)[: dims + 1]
    assert float(found.unlike[at]) > float(found.unlike[here]) and float(found.score[at]) > float(found.score.median())


def test_q_is_nothing_for_a_group_of_equals_and_what_is_usual_is_taken_off():
    """Scores that say |J - I|: a case that differs from controls as they do among themselves is no outlier."""
    images = [torch.full((1, 1, 4, 4), value) for value in (0.0, 1.0, 2.0)]

    def explain(i: torch.Tensor, j: torch.Tensor) -> Explained:
        return Explained(torch.zeros(1, 2, 4, 4), (i - j).abs()[:, 0], torch.zeros(1, 4, 4))

    group = ControlGroup.of(images, explain)
    assert [float(one.mean()) for one in group.usual] == [1.5, 1.0, 1.5]
    case = torch.full((1, 1, 4, 4), 1.0)
    case[..., 0, 0] = 9.0
    q = group.outliers(case, explain)
    assert float(q[0, 2, 2]) == pytest.approx(((1 - 1.5) + (0 - 1.0) + (1 - 1.5)) / 3)
    assert float(q[0, 0, 0]) == pytest.approx(((9 - 1.5) + (8 - 1.0) + (7 - 1.5)) / 3)
    with pytest.raises(ValueError, match="two or more"):
        ControlGroup.of(images[:1], explain)


def test_semantic_channels_are_halved_and_of_mean_square_one():
    torch.manual_seed(0)
    extractor = Extractor(ExtractorConfig(UNetConfig(1, 4, (4, 6, 8)), (1, 2)))
    for shape in ((20, 24, 18), (20, 24)):
        described = Semantic(extractor, 2)(smooth(shape, 0))
        assert described.shape == (1, 15, *(n // 2 for n in shape))
        assert torch.equal(described[:, 14:], halved(smooth(shape, 0)))
        assert float(described[:, :6].square().mean()) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("dims", [2, 3])
def test_stretching_by_two_is_log_two_squared_for_each_axis(dims):
    shape = (8, 8, 8)[:dims]
    u = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in shape), indexing="ij"))[None]
    u[:, 1:] = 0
    assert torch.allclose(log_jacobian_squared(u), torch.full((1, *shape), math.log(2) ** 2), atol=1e-4)
    assert log_jacobian_squared(0 * u).abs().max() == 0


def test_li_wyatt_sees_differences_where_no_edge_is():
    """The same difference beside the fixed image's edge and in its plain part: only the second counts in full."""
    fixed = torch.zeros(1, 1, 60, 30)
    fixed[:, :, :20] = 1.0
    other = fixed.clone()
    other[:, :, 18, 10] -= 0.5
    other[:, :, 50, 10] += 0.5
    score = li_wyatt(other, fixed, sd_vox=3.0, k=2.0)
    assert float(score[0, 50, 10]) == pytest.approx(1.0, abs=0.05) and float(score[0, 18, 10]) < 0.3
    assert float(score[0, 40, 20]) == 0.0


def test_auc_by_hand_with_ties_and_within_a_mask():
    score = np.array([0.1, 0.4, 0.4, 0.8, 9.0])
    changed = np.array([False, False, True, True, False])
    within = np.array([True, True, True, True, False])
    assert auc(score, changed, within) == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert auc(score, changed) < auc(score, changed, within)
    assert math.isnan(auc(score, np.zeros(5, dtype=bool)))


def test_cases_without_a_lesion_are_left_out_and_equal_cases_have_no_spread():
    found = area_over_cases([0.8, float("nan"), 0.8])
    assert (found.mean, found.lower, found.upper, found.cases) == (0.8, 0.8, 0.8, 2)
    spread = area_over_cases([0.6, 0.7, 0.9, 1.0])
    assert 0.6 <= spread.lower < spread.mean < spread.upper <= 1.0
