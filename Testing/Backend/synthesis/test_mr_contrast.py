from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.synthesis.mr_contrast import (
    IntensityTables,
    MRContrastConfig,
    MRContrastDraw,
    draw_mr_contrast,
    render,
    rescale_to_unit_range,
)

PLAIN = MRContrastDraw(
    means=(20.0, 120.0, 70.0, 240.0),
    sds=(0.0, 4.0, 8.0, 0.0),
    noise_seed=1,
    zero_background=False,
    blur_sds=(0.0, 0.0, 0.0),
    bias_resolution=8,
    bias_sd=0.0,
    bias_seed=2,
    gamma=1.0,
)


@pytest.fixture
def four_slabs() -> torch.Tensor:
    """(1, 20, 16, 16): label 0, 1, 2, 3 in slabs of five voxels."""
    return torch.arange(4, dtype=torch.uint8).repeat_interleave(5).view(1, 20, 1, 1).expand(1, 20, 16, 16).contiguous()


def of_label(image: torch.Tensor, labels: torch.Tensor, label: int) -> torch.Tensor:
    return image[:, 0][labels == label]


def test_each_label_has_its_drawn_mean_and_sd(four_slabs):
    """Labels 0 and 3 carry no noise, so the unit range is theirs: 20 -> 0, 240 -> 1."""
    image = render(four_slabs, [PLAIN])
    count = 5 * 16 * 16
    for label, (mean, sd) in enumerate(zip(PLAIN.means, PLAIN.sds)):
        values = of_label(image, four_slabs, label) * 220 + 20
        assert float(values.mean()) == pytest.approx(mean, abs=4 * sd / math.sqrt(count) + 1e-3)
        assert float(values.std()) == pytest.approx(sd, rel=0.1, abs=1e-3)


def test_means_are_indexed_by_label_not_by_rank(four_slabs):
    image = render(four_slabs, [PLAIN])
    means = [float(of_label(image, four_slabs, label).mean()) for label in range(4)]
    assert means[0] < means[2] < means[1] < means[3]


def test_a_zero_background_darkens_label_0_only(four_slabs):
    image = render(four_slabs, [dataclasses.replace(PLAIN, zero_background=True)])
    assert of_label(image, four_slabs, 0).abs().max() == 0
    assert float(of_label(image, four_slabs, 1).mean()) == pytest.approx(120 / 240, abs=0.003)


def test_intensities_are_clipped_to_the_papers_range_before_scaling(four_slabs):
    wild = dataclasses.replace(PLAIN, means=(-50.0, 127.5, 127.5, 400.0), sds=(0.0,) * 4)
    image = render(four_slabs, [wild])
    assert torch.allclose(of_label(image, four_slabs, 1), torch.tensor(0.5), atol=1e-5)  # else 177.5 / 450


def test_gamma_is_a_power_of_the_unit_range(four_slabs):
    image = render(four_slabs, [PLAIN])
    assert torch.allclose(render(four_slabs, [dataclasses.replace(PLAIN, gamma=1.7)]), image**1.7, atol=1e-5)


def test_the_bias_multiplies_by_the_exponential_of_a_smooth_field():
    flat = torch.zeros((1, 24, 24, 24), dtype=torch.uint8)
    record = dataclasses.replace(PLAIN, means=(60.0,), sds=(0.0,), bias_sd=0.3)
    image = render(flat, [record])
    assert image.min() == 0 and image.max() == 1
    assert image.diff(dim=2).abs().max() < 0.2  # blocks of 8 voxels, interpolated
    added = render(flat, [dataclasses.replace(record, bias_sd=0.6)])
    # exp(b) and exp(2 b) on [0, 1] differ by convexity: the stronger one lies below; a sum of bias would coincide
    assert (added <= image + 1e-4).all() and (image - added).max() > 0.02


def test_no_bias_is_a_factor_of_one(four_slabs):
    other_seed = dataclasses.replace(PLAIN, bias_seed=99)
    assert torch.equal(render(four_slabs, [PLAIN]), render(four_slabs, [other_seed]))


def test_blur_acts_along_its_own_axis(four_slabs):
    sharp = dataclasses.replace(PLAIN, sds=(0.0,) * 4)
    image = render(four_slabs, [sharp])
    across, along = (render(four_slabs, [dataclasses.replace(sharp, blur_sds=s)]) for s in ((0, 1.0, 1.0), (1.0, 0, 0)))
    assert torch.allclose(across, image, atol=1e-4)
    assert torch.allclose(along, rescale_to_unit_range(gaussian(image, torch.tensor([[1.0, 0, 0]]))), atol=1e-4)
    assert (along - image).abs().max() > 0.1


def test_each_element_is_rendered_with_its_own_draw(four_slabs):
    other = dataclasses.replace(PLAIN, means=(200.0, 10.0, 90.0, 30.0), noise_seed=5, gamma=0.8)
    together = render(four_slabs.expand(2, -1, -1, -1), [PLAIN, other])
    assert torch.equal(together[:1], render(four_slabs, [PLAIN]))
    assert torch.equal(together[1:], render(four_slabs, [other]))


def test_an_element_does_not_depend_on_the_blur_of_another(four_slabs):
    narrow, wide = (dataclasses.replace(PLAIN, blur_sds=(s, s, s)) for s in (0.33, 1.0))
    together = render(four_slabs.expand(2, -1, -1, -1), [narrow, wide])
    assert torch.allclose(together[:1], render(four_slabs, [narrow]), atol=1e-5)


def test_drawn_contrasts_stay_in_table_one(seeded):
    generator = seeded(0)
    draws = [draw_mr_contrast(MRContrastConfig(), IntensityTables.independent(5), generator) for _ in range(300)]
    means, sds = ([v for d in draws for v in getattr(d, name)] for name in ("means", "sds"))
    assert 25 <= min(means) < 30 and 220 < max(means) <= 225
    assert 5 <= min(sds) < 6 and 24 < max(sds) <= 25
    assert all(0 <= s <= 1 for d in draws for s in d.blur_sds) and all(0 <= d.bias_sd <= 0.3 for d in draws)
    logs = torch.tensor([math.log(d.gamma) for d in draws])
    assert float(logs.std()) == pytest.approx(0.25, rel=0.15) and abs(float(logs.mean())) < 0.06  # as often up as down
    assert sum(d.zero_background for d in draws) / 300 == pytest.approx(0.2, abs=0.07)


def test_labels_of_one_tissue_share_their_intensities(seeded):
    drawn = draw_mr_contrast(MRContrastConfig(), IntensityTables((0, 1, 2, 1, 2)), seeded(0))
    for values in (drawn.means, drawn.sds):
        assert len(values) == 5 and len(set(values)) == 3
        assert values[1] == values[3] and values[2] == values[4]


def test_a_table_contrast_follows_the_table_where_it_is_defined(seeded):
    tables = IntensityTables((0, 1, 2, 3), ((10.0, 200.0, math.nan, 60.0), (10.0, 60.0, math.nan, 200.0)))
    generator = seeded(0)
    always = MRContrastConfig(table_probability=1.0, jitter=5.0)
    means = torch.tensor([draw_mr_contrast(always, tables, generator).means for _ in range(200)])
    bright_first = means[:, 1] > means[:, 3]
    assert 0.35 < float(bright_first.float().mean()) < 0.65  # either table, but one table for the whole image
    assert torch.allclose(means[bright_first].mean(0)[[1, 3]], torch.tensor([200.0, 60.0]), atol=2)
    assert float(means[bright_first][:, 1].std()) == pytest.approx(5, rel=0.25)
    assert means[:, 2].min() < 35 and means[:, 2].max() > 215
    never = draw_mr_contrast(MRContrastConfig(), tables, seeded(1))
    assert never.means == draw_mr_contrast(MRContrastConfig(), IntensityTables(tables.groups), seeded(1)).means


def test_each_element_is_scaled_to_its_own_range_and_a_constant_becomes_zero():
    images = torch.stack([torch.linspace(3, 5, 8), torch.linspace(-7, 0, 8), torch.full((8,), 4.0)]).view(3, 1, 2, 2, 2)
    found = rescale_to_unit_range(images)
    assert torch.allclose(found[0], found[1]) and found[0].max() == 1
    assert found[2].abs().max() == 0
