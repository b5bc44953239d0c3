"""Draw, then apply: a record reproduces its sample, and a batch row does not depend on its batch."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.artefacts import ArtefactConfig, ArtefactDraw
from SlicerSynthReg.synthesis.deformation import DeformationConfig
from SlicerSynthReg.synthesis.mr_contrast import IntensityTables, MRContrastConfig
from SlicerSynthReg.synthesis.pair import View, ViewConfig, ViewDraw, draw_view, make_view
from SlicerSynthReg.synthesis.shapes import ShapesConfig, ShapesDraw, draw_shapes, make_shapes

TABLES = IntensityTables.independent(6)
EVERYTHING = ViewConfig(
    DeformationConfig((4, 8), 1.0, 5, 20.0, 3.0, 0.1, 0.1, (0.9, 1.1), (0,)),
    MRContrastConfig(bias_resolution=8),
    ArtefactConfig(thick_slices=0.7, crop=0.7),
)


@pytest.fixture
def label_maps(seeded) -> torch.Tensor:
    """(3, 16, 18, 20) uint8 blocks of labels."""
    blocks = torch.randint(0, len(TABLES.groups), (3, 4, 5, 5), generator=seeded(0), dtype=torch.uint8)
    return blocks.repeat_interleave(4, 1).repeat_interleave(4, 2).repeat_interleave(4, 3)[:, :16, :18, :20].contiguous()


def draw_pair(seed: int) -> tuple[ViewDraw, ViewDraw]:
    generator = torch.Generator().manual_seed(seed)
    return draw_view(EVERYTHING, TABLES, generator), draw_view(EVERYTHING, TABLES, generator)


def same(a: View, b: View) -> bool:
    return all(torch.equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(View))


def test_a_pair_is_reproduced_by_its_seed(label_maps):
    first, again, other = (draw_pair(seed) for seed in (7, 7, 8))
    assert first == again
    one, two, three = (make_view(label_maps[:1], [pair[0]]) for pair in (first, again, other))
    assert same(one, two)
    assert (one.image - three.image).abs().mean() > 0.05 and (one.labels != three.labels).float().mean() > 0.1


def test_the_two_views_of_a_pair_differ_in_deformation_and_contrast(label_maps):
    moving, fixed = (make_view(label_maps[:1], [d]) for d in draw_pair(3))
    assert (moving.index - fixed.index).abs().max() > 1
    pair = draw_pair(3)
    assert not set(pair[0].contrast.means) & set(pair[1].contrast.means)


@pytest.mark.parametrize("seed", range(4))
def test_a_draw_read_from_json_reproduces_the_sample(label_maps, seed):
    """Among the seeds are views with and without thick slices."""
    for drawn in draw_pair(seed):
        read = draw.from_json(ViewDraw, json.loads(json.dumps(draw.to_json(drawn))))
        assert read == drawn and isinstance(read, ViewDraw)
        assert hash(read) == hash(drawn)  # lists in place of tuples have no hash
        assert same(make_view(label_maps[:1], [read]), make_view(label_maps[:1], [drawn]))


def test_json_keeps_none_and_nested_tuples():
    for record in (
        ArtefactDraw(None, ((0.0, 1.0), (0.1, 0.9), (0.0, 0.5))),
        ArtefactDraw((2, 4), ((0.0, 1.0),) * 3),
    ):
        assert draw.from_json(ArtefactDraw, json.loads(json.dumps(draw.to_json(record)))) == record


def test_a_batch_row_equals_the_view_alone(label_maps):
    draws = [draw_pair(seed)[0] for seed in (1, 2, 3)]
    together = make_view(label_maps, draws, (14, 16, 18))
    for n in range(3):
        alone = make_view(label_maps[n : n + 1], draws[n : n + 1], (14, 16, 18))
        assert torch.equal(together.index[n : n + 1], alone.index)
        assert torch.equal(together.labels[n : n + 1], alone.labels)
        # a wider blur elsewhere in the batch lengthens the kernel by taps of weight ~1e-3 sigma: see test_mr_contrast
        assert torch.allclose(together.image[n : n + 1], alone.image, atol=1e-5)


def test_rendering_does_not_change_the_label_map_or_the_global_generator(label_maps):
    before, state = label_maps.clone(), torch.get_rng_state()
    make_view(label_maps[:1], [draw_pair(1)[0]])
    assert torch.equal(label_maps, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_noise_rows_depend_on_their_seed_only():
    together = draw.noise([4, 5, 4], (2, 3))
    assert torch.equal(together[0], together[2]) and not torch.equal(together[0], together[1])
    assert torch.equal(together[1], draw.noise([5], (2, 3))[0])


def test_draws_stay_in_their_ranges(seeded):
    generator = seeded(0)
    assert {draw.integer(generator, 2, 4) for _ in range(60)} == {2, 3, 4}  # both ends
    values = [draw.log_uniform(generator, 0.1, 10.0) for _ in range(800)]
    assert 0.1 <= min(values) < 0.13 and 8 < max(values) <= 10
    assert sum(v < 1 for v in values) / 800 == pytest.approx(0.5, abs=0.06)  # uniform would put 9 % below 1
    assert sum(draw.chance(generator, 0.2) for _ in range(800)) / 800 == pytest.approx(0.2, abs=0.05)


def test_random_shapes_have_many_labels_in_several_components(seeded):
    config = ShapesConfig(labels=12, resolution=8, velocity_sd=20.0)
    record = draw_shapes(config, seeded(1))
    seeds = [seed for noise, _, warp in record.shapes for seed in (noise, warp)]
    assert len(set(seeds)) == 24  # one seed for all would make every image the same, and label 0 win everywhere
    shapes = make_shapes(record, (28, 24, 20))
    sizes = torch.bincount(shapes.flatten().long(), minlength=12)
    assert shapes.dtype == torch.uint8 and len(sizes) == 12
    assert int((sizes > 0).sum()) >= 10 and sizes.max() < 0.4 * sizes.sum()
    agreement = (shapes[1:] == shapes[:-1]).float().mean()
    assert agreement > 0.7  # smooth components; random labels would agree in 1 of 12


def test_random_shapes_are_reproduced_from_json_and_differ_between_seeds(seeded):
    config = ShapesConfig(labels=6, resolution=8, velocity_sd=20.0)
    record, other = draw_shapes(config, seeded(1)), draw_shapes(config, seeded(2))
    read = draw.from_json(ShapesDraw, json.loads(json.dumps(draw.to_json(record))))
    assert read == record
    one = make_shapes(record, (16, 16, 16))
    assert torch.equal(make_shapes(read, (16, 16, 16)), one)
    assert (make_shapes(other, (16, 16, 16)) != one).float().mean() > 0.5
