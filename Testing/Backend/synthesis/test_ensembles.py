"""Templates and the ensembles painted of them: geometry by hand, and draws that rebuild."""

from __future__ import annotations

import json
import math

import pytest
import torch

from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.ensembles import (
    EnsembleConfig,
    EnsembleDraw,
    SphereDraw,
    draw_ensemble,
    make_ensemble,
    median_filter,
)
from SlicerSynthReg.synthesis.templates import KINDS, TemplateConfig, TemplateDraw, draw_template, paint_template

SHEARED = ((0.5, 0.3, 0.0, 0.1), (0.0, 0.4, 0.0, -0.2), (0.0, 0.0, 0.25, 0.3))


@pytest.fixture
def ball_kind(monkeypatch) -> None:
    """The template "ball": what lies within distance 1 of its own origin."""
    monkeypatch.setitem(KINDS, "ball", lambda y, generator: y.square().sum(0) - 1)


def painted(
    matrix: tuple, shape: tuple[int, int, int] = (40, 40, 40), kind: str = "ball", mask: int = -1, masks=()
) -> torch.Tensor:
    record = TemplateDraw(kind, matrix, 0.0, 0, mask)
    return paint_template(torch.zeros(shape, dtype=torch.uint8), record, 7, masks)


def test_a_template_is_placed_by_its_matrix(ball_kind):
    """x = A y + c, in half sides from the centre; the transposed matrix would lean the other way."""
    labels = painted(SHEARED)
    matrix = torch.tensor(SHEARED)
    x = (index_lattice((40, 40, 40)) - 19.5) / 20 - matrix[:, 3].view(3, 1, 1, 1)
    distance = torch.einsum("ab,bijk->aijk", torch.linalg.inv(matrix[:, :3]), x).norm(dim=0)
    assert (labels[distance < 0.96] == 7).all() and (labels[distance > 1.04] == 0).all()
    leaning = torch.einsum("ab,bijk->aijk", torch.linalg.inv(matrix[:, :3].T), x).norm(dim=0)
    assert (labels[leaning < 0.9] == 0).any()


def test_the_cube_spans_the_longest_side_whatever_the_shape(ball_kind):
    half = ((0.5, 0, 0, 0), (0, 0.5, 0, 0), (0, 0, 0.5, 0))
    labels = painted(half, (20, 40, 30))
    assert float((labels == 7).sum()) == pytest.approx(4 / 3 * math.pi * 10**3, rel=0.02)
    assert tuple((labels == 7).nonzero().float().mean(0).tolist()) == pytest.approx((9.5, 19.5, 14.5), abs=0.05)


def test_templates_are_clipped_to_the_volume(ball_kind):
    assert not painted(((0.2, 0, 0, 1.5), (0, 0.2, 0, 0), (0, 0, 0.2, 0))).any()
    cut = painted(((0.2, 0, 0, 1.0), (0, 0.2, 0, 0), (0, 0, 0.2, 0)))
    assert float((cut == 7).sum()) == pytest.approx(2 / 3 * math.pi * 4**3, rel=0.1)


def test_a_mask_template_fills_its_box():
    mask = torch.zeros((8, 8, 8), dtype=torch.uint8)
    mask[4:, :4, 4:] = 255
    labels = painted(((0.5, 0, 0, 0), (0, 0.5, 0, 0), (0, 0, 0.5, 0)), kind="mask", mask=1, masks=(1 - mask, mask))
    assert (labels[21:29, 11:19, 21:29] == 7).all()
    assert not labels[:19].any() and not labels[:, 21:].any() and not labels[..., :19].any() and not labels[31:].any()


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_is_a_shape_within_its_box(kind):
    """Not empty, not full, another for another seed, the same for the same."""
    big = ((0.8, 0, 0, 0), (0, 0.8, 0, 0), (0, 0, 0.8, 0))
    made = []
    for seed in (0, 1, 2, 0):
        record = TemplateDraw(kind, big, 0.2, seed)
        made.append(paint_template(torch.zeros((40, 40, 40), dtype=torch.uint8), record, 1))
    shares = [float(one.float().mean()) for one in made]
    assert all(0.001 < share < 0.7 for share in shares)
    assert torch.equal(made[0], made[3]) and not torch.equal(made[0], made[1])


def test_a_later_template_hides_an_earlier_one(ball_kind):
    half = ((0.5, 0, 0, 0), (0, 0.5, 0, 0), (0, 0, 0.5, 0))
    small = ((0.25, 0, 0, 0), (0, 0.25, 0, 0), (0, 0, 0.25, 0))
    balls = tuple(TemplateDraw("ball", matrix, 0.0, 0) for matrix in (half, small))
    outer_first = make_ensemble(EnsembleDraw(balls, None), (32, 32, 32))
    inner_first = make_ensemble(EnsembleDraw(balls[::-1], None), (32, 32, 32))
    assert outer_first[16, 16, 16] == 3 and outer_first[16, 16, 10] == 2  # summed, the overlap were a third label
    assert sorted(inner_first.unique().tolist()) == [0, 3]


def test_the_foreground_ends_at_its_sphere_and_the_envelope_lies_on_both_sides():
    sphere = SphereDraw(0.3, (0.5, 0.5, 0.5), 0.0, 0, 4)
    labels = make_ensemble(EnsembleDraw((), sphere), (64, 64, 64))
    distance = (index_lattice((64, 64, 64)) - 32).norm(dim=0)
    inside, outside = 0.3 * 64 - 2, 0.3 * 64 + 2  # 4 voxels of 128 are 2 of 64
    assert (labels[distance < inside - 0.1] == 1).all() and (labels[distance > outside + 0.1] == 0).all()
    assert (labels[(distance > inside + 0.1) & (distance < outside - 0.1)] == 2).all()


def test_the_median_filter_removes_isolated_voxels_and_keeps_faces():
    labels = torch.zeros((9, 9, 9), dtype=torch.uint8)
    labels[:, :, 5:] = 3
    with_speck = labels.clone()
    with_speck[4, 4, 2] = 9
    assert torch.equal(median_filter(with_speck), labels)


def test_foregrounds_and_envelopes_occur_with_their_probabilities(seeded):
    generator = seeded(0)
    config = EnsembleConfig(templates=(1, 1))
    spheres = [draw_ensemble(config, generator).sphere for _ in range(600)]
    masked = [one for one in spheres if one]
    assert len(masked) / 600 == pytest.approx(2 / 3, abs=0.06)
    assert sum(one.envelope > 0 for one in masked) / len(masked) == pytest.approx(0.5, abs=0.07)
    assert {one.envelope for one in masked} == {0, 2, 3, 4}


def test_mask_templates_are_drawn_only_if_masks_are_given(seeded):
    generator = seeded(0)
    drawn = [draw_template(TemplateConfig(mask_fraction=0.4), 3, generator) for _ in range(500)]
    masks = [one.mask for one in drawn if one.kind == "mask"]
    assert len(masks) / 500 == pytest.approx(0.4, abs=0.07) and set(masks) == {0, 1, 2}
    assert all(draw_template(TemplateConfig(mask_fraction=0.4), 0, generator).kind in KINDS for _ in range(50))


@pytest.mark.parametrize("seed", range(3))
def test_an_ensemble_is_reproduced_from_json(seeded, seed):
    drawn = draw_ensemble(EnsembleConfig(), seeded(seed))
    read = draw.from_json(EnsembleDraw, json.loads(json.dumps(draw.to_json(drawn))))
    assert read == drawn
    labels = make_ensemble(drawn, (32, 28, 24))
    assert torch.equal(make_ensemble(read, (32, 28, 24)), labels)
    assert int(labels.max()) < EnsembleConfig().labels and len(labels.unique()) > 5
