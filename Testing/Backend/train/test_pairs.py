from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from SlicerSynthReg.losses.overlap import soft_dice_loss
from SlicerSynthReg.space.grid import index_lattice
from SlicerSynthReg.space.sampling import resize_displacement
from SlicerSynthReg.space.transform import exponential
from SlicerSynthReg.synth.artefacts import ArtefactConfig
from SlicerSynthReg.synth.contrast import ContrastConfig, Looks
from SlicerSynthReg.synth.deform import warp_labels
from SlicerSynthReg.synth.pair import ViewConfig
from SlicerSynthReg.synth.shapes import ShapesConfig
from SlicerSynthReg.train.pairs import PairConfig, Recipe, make_pair, remapped
from SlicerSynthReg.train.registration import LOSSES, label_shares, moved

from .conftest import SMALL_PAIRS

SHAPES = Looks.arbitrary(SMALL_PAIRS.shapes.labels)
KNOWN = Recipe(known=True)


def dice(pair, velocity: torch.Tensor, scored: tuple[int | None, ...]) -> float:
    """Overlap of the fixed labels with the moving ones through exp(v), at half resolution."""
    a, b = (label_shares(view.labels, scored) for view in (pair.fixed, pair.moving))
    return 1 - float(soft_dice_loss(a, moved(b, exponential(velocity, 5))))


@pytest.mark.parametrize("seed", range(6))
def test_the_known_velocity_takes_the_moving_shapes_onto_the_fixed(seeded, seed):
    """Both sides flow in some of the seeds: a wrong sign would pass for one of them only."""
    config = PairConfig(shape=(32, 36, 28), shapes=ShapesConfig(6, 16, 10.0, working=2))
    pair = make_pair(config, KNOWN, [], Looks.arbitrary(6), seeded(seed))
    right, still, wrong = (dice(pair, factor * pair.velocity, tuple(range(6))) for factor in (1, 0, -1))
    assert right > 0.92 and right - still > 0.5 * (1 - still) and wrong < still
    index = index_lattice(config.shape)[None] + resize_displacement(exponential(pair.velocity, 5), config.shape)
    there = warp_labels(pair.moving.labels, index, outside=255)
    assert (there == pair.fixed.labels)[there != 255].float().mean() > 0.92  # read nearest twice: not quite 1


def test_either_side_flows(seeded):
    """The view that does not flow is placed by an affine: its reading has no second differences."""
    bent = [
        [float(view.index.diff(n=2, dim=2).abs().max()) > 1e-3 for view in (pair.fixed, pair.moving)]
        for pair in (make_pair(SMALL_PAIRS, KNOWN, [], SHAPES, seeded(seed)) for seed in range(12))
    ]
    assert all(one != other for one, other in bent)
    assert {tuple(row) for row in bent} == {(True, False), (False, True)}


def test_the_known_velocity_holds_for_people_too(seeded, four_heads):
    config = replace(SMALL_PAIRS, shape=(28, 28, 28))
    pair = make_pair(config, KNOWN, list(four_heads.maps), four_heads.looks, seeded(1))
    right, still = (dice(pair, factor * pair.velocity, four_heads.scored) for factor in (1, 0))
    assert right > still + 0.1


def test_other_pairs_keep_no_velocity_and_flow_both(seeded):
    pair = make_pair(SMALL_PAIRS, Recipe(), [], SHAPES, seeded(0))
    assert pair.velocity is None
    assert all(float(view.index.diff(n=2, dim=2).abs().max()) > 1e-3 for view in (pair.fixed, pair.moving))


def marked(count: int) -> list[torch.Tensor]:
    """People that are one label each."""
    return [torch.full((60, 60, 60), n + 1, dtype=torch.uint8) for n in range(count)]


def people_of(config: PairConfig, recipe: Recipe, seed: int, count: int = 3) -> list[int]:
    looks = Looks.arbitrary(count + 1)
    pair = make_pair(config, recipe, marked(count), looks, torch.Generator().manual_seed(seed))
    return [int(view.labels.max()) for view in (pair.fixed, pair.moving)]


def test_two_people_are_never_the_same_and_all_are_met():
    met = [people_of(SMALL_PAIRS, Recipe(), seed) for seed in range(25)]
    assert all(one != other for one, other in met)
    assert {tuple(both) for both in met} == {(a, b) for a in (1, 2, 3) for b in (1, 2, 3) if a != b}


def test_one_person_is_one_when_asked_and_when_the_warp_must_be_known():
    alone = replace(SMALL_PAIRS, one_person=True)
    for config, recipe in ((alone, Recipe()), (SMALL_PAIRS, KNOWN)):
        assert all(one == other for one, other in (people_of(config, recipe, seed) for seed in range(6)))
    assert people_of(SMALL_PAIRS, Recipe(), 0, count=1) == [1, 1]


def test_coarse_pairs_show_the_same_millimetres(seeded, four_heads):
    """As much of the head in an eighth of the voxels, and warps as long."""
    fine = replace(PairConfig(), shape=(64, 64, 64))
    coarse = replace(fine.coarse(), shape=(32, 32, 32))
    people, found = four_heads.people(0, margin=0)[0], []
    for config, spacing_mm in ((fine, 2.0), (coarse, 4.0)):
        pairs = [make_pair(config, KNOWN, people, four_heads.looks, seeded(seed)) for seed in range(12)]
        head_mm3 = [float((pair.fixed.labels > 0).sum()) * spacing_mm**3 for pair in pairs]
        warps = [exponential(pair.velocity, 5).square().sum(1).mean().sqrt() for pair in pairs]
        found.append((sum(head_mm3), 2 * spacing_mm * float(sum(warps))))
    assert found[1][0] == pytest.approx(found[0][0], rel=0.1)
    assert found[1][1] == pytest.approx(found[0][1], rel=0.2)


def intensities(pair, four_heads, value: int) -> list[float]:
    index = four_heads.values.index(value)
    views = zip((pair.fixed, pair.moving), pair.scans)
    return [float(image[0, 0][view.labels[0] == index].mean()) for view, image in views]


@pytest.mark.parametrize("loss", ["ncc", "hybrid"])
def test_correlation_is_trained_on_pairs_that_look_like_t1(seeded, four_heads, loss):
    for seed in range(3):
        pair = make_pair(SMALL_PAIRS, LOSSES[loss], list(four_heads.maps), four_heads.looks, seeded(seed))
        white, fluid = (intensities(pair, four_heads, value) for value in (2, 4))
        assert all(w > f for w, f in zip(white, fluid))


def test_mutual_information_meets_t1_with_t2(seeded, four_heads):
    brighter = set()
    for seed in range(12):
        pair = make_pair(SMALL_PAIRS, LOSSES["nmi"], list(four_heads.maps), four_heads.looks, seeded(seed))
        white, fluid = (intensities(pair, four_heads, value) for value in (2, 4))
        brighter.add(tuple(w > f for w, f in zip(white, fluid)))
    assert brighter == {(a, b) for a in (True, False) for b in (True, False)}


def test_alike_is_one_contrast_with_noise_of_its_own(seeded):
    """Mean intensity by label: the same in both but for scaling, else unrelated."""
    plain = ViewConfig(SMALL_PAIRS.random.deform, ContrastConfig(bias_sd=0.0), ArtefactConfig(0.0, crop=0.0))
    config = replace(SMALL_PAIRS, random=plain)
    related: dict[bool, list[float]] = {True: [], False: []}
    for recipe in (Recipe(alike=True), Recipe()):
        for seed in range(4):
            pair = make_pair(config, recipe, [], SHAPES, seeded(seed))
            means = [
                torch.stack([view.image[0, 0][view.labels[0] == n].mean() for n in range(8)])
                for view in (pair.fixed, pair.moving)
            ]
            related[recipe.alike].append(float(torch.corrcoef(torch.stack(means))[0, 1]))
            assert (pair.fixed.image - pair.moving.image).abs().mean() > 0.02
    assert min(related[True]) > 0.97 and sum(related[False]) / 4 < 0.6


def test_a_look_up_table_depends_on_the_intensity_alone_and_fills_the_range(seeded):
    image = torch.linspace(0, 1, 256)[torch.randint(0, 256, (1, 1, 20, 20, 20), generator=seeded(0))]
    tables = []
    for seed in range(8):
        seen = remapped(image, seeded(seed))
        assert float(seen.min()) == 0 and float(seen.max()) == pytest.approx(1)
        table = torch.stack([seen[(image * 255).round() == n].unique() for n in range(256)])  # one value for each
        assert table.shape == (256, 1) and table.diff(dim=0).abs().max() < 0.1  # smooth
        tables.append(table[:, 0])
    rising = [float(table[-1] - table[0]) > 0 for table in tables]
    assert True in rising and False in rising  # contrasts turn over


def test_only_the_network_sees_through_the_tables(seeded):
    pair = make_pair(SMALL_PAIRS, LOSSES["hybrid"], [], SHAPES, seeded(0))
    plain = make_pair(SMALL_PAIRS, LOSSES["ncc"], [], SHAPES, seeded(0))
    for view, scan, other in zip((pair.fixed, pair.moving), pair.scans, plain.scans):
        assert torch.equal(scan, other) and (view.image - scan).abs().mean() > 0.05


def test_a_pair_is_rebuilt_by_its_seed(seeded):
    for loss, recipe in LOSSES.items():
        one, two, other = (make_pair(SMALL_PAIRS, recipe, [], SHAPES, seeded(seed)) for seed in (4, 4, 5))
        assert torch.equal(one.fixed.image, two.fixed.image) and torch.equal(one.moving.labels, two.moving.labels), loss
        assert not torch.equal(one.fixed.labels, other.fixed.labels)
