from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from SlicerSynthReg.losses.dice import soft_dice_loss
from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.spatial.sampling import resize_displacement
from SlicerSynthReg.spatial.transform import exponential
from SlicerSynthReg.synthesis.artefacts import ArtefactConfig
from SlicerSynthReg.synthesis.deformation import warp_labels
from SlicerSynthReg.synthesis.mr_contrast import IntensityTables, MRContrastConfig
from SlicerSynthReg.synthesis.pair import ViewConfig
from SlicerSynthReg.synthesis.shapes import ShapesConfig
from SlicerSynthReg.training.pairs import PairConfig, PairSource, PairSpec, make_pair, remap_intensities
from SlicerSynthReg.training.registration import LOSSES, label_fractions, warp

from .conftest import SMALL_PAIRS

SHAPES = PairSource([], IntensityTables.independent(SMALL_PAIRS.shapes.labels))
KNOWN = PairSpec(known_warp=True)


def dice(pair, velocity: torch.Tensor, scored: tuple[int | None, ...]) -> float:
    """Overlap of the fixed labels with the moving ones through exp(v), at half resolution."""
    a, b = (label_fractions(view.labels, scored) for view in (pair.fixed, pair.moving))
    return 1 - float(soft_dice_loss(a, warp(b, exponential(velocity, 5))))


@pytest.mark.parametrize("seed", range(6))
def test_the_known_velocity_aligns_the_moving_shapes_with_the_fixed(seeded, seed):
    """Either image is deformed in some of the seeds: a wrong sign would pass for one of them only."""
    config = PairConfig(shape=(32, 36, 28), shapes=ShapesConfig(6, 16, 10.0, working=2))
    pair = make_pair(config, KNOWN, PairSource([], IntensityTables.independent(6)), seeded(seed))
    right, still, wrong = (dice(pair, factor * pair.velocity, tuple(range(6))) for factor in (1, 0, -1))
    assert right > 0.92 and right - still > 0.5 * (1 - still) and wrong < still
    index = index_lattice(config.shape)[None] + resize_displacement(exponential(pair.velocity, 5), config.shape)
    there = warp_labels(pair.moving.labels, index, outside=255)
    assert (there == pair.fixed.labels)[there != 255].float().mean() > 0.92  # nearest neighbour twice: not quite 1


def test_either_image_is_deformed_by_the_known_warp(seeded):
    """The other view is sampled by an affine map: its index has no second differences."""
    nonlinear = [
        [float(view.index.diff(n=2, dim=2).abs().max()) > 1e-3 for view in (pair.fixed, pair.moving)]
        for pair in (make_pair(SMALL_PAIRS, KNOWN, SHAPES, seeded(seed)) for seed in range(12))
    ]
    assert all(one != other for one, other in nonlinear)
    assert {tuple(row) for row in nonlinear} == {(True, False), (False, True)}


def test_the_known_velocity_aligns_label_maps(seeded, four_heads):
    config = replace(SMALL_PAIRS, shape=(28, 28, 28))
    pair = make_pair(config, KNOWN, PairSource(list(four_heads.maps), four_heads.intensity_tables), seeded(1))
    right, still = (dice(pair, factor * pair.velocity, four_heads.scored_structures) for factor in (1, 0))
    assert right > still + 0.1


def test_other_pairs_have_no_velocity_and_two_deformed_views(seeded):
    pair = make_pair(SMALL_PAIRS, PairSpec(), SHAPES, seeded(0))
    assert pair.velocity is None
    assert all(float(view.index.diff(n=2, dim=2).abs().max()) > 1e-3 for view in (pair.fixed, pair.moving))


def constant_maps(count: int) -> list[torch.Tensor]:
    """Label maps with one label each."""
    return [torch.full((60, 60, 60), n + 1, dtype=torch.uint8) for n in range(count)]


def subjects_of_pair(config: PairConfig, spec: PairSpec, seed: int, count: int = 3) -> list[int]:
    source = PairSource(constant_maps(count), IntensityTables.independent(count + 1))
    pair = make_pair(config, spec, source, torch.Generator().manual_seed(seed))
    return [int(view.labels.max()) for view in (pair.fixed, pair.moving)]


def test_pairs_are_of_two_different_subjects_and_all_combinations_occur():
    pairs = [subjects_of_pair(SMALL_PAIRS, PairSpec(), seed) for seed in range(25)]
    assert all(one != other for one, other in pairs)
    assert {tuple(both) for both in pairs} == {(a, b) for a in (1, 2, 3) for b in (1, 2, 3) if a != b}


def test_pairs_are_of_one_subject_on_request_and_with_a_known_warp():
    one_subject = replace(SMALL_PAIRS, one_subject=True)
    for config, spec in ((one_subject, PairSpec()), (SMALL_PAIRS, KNOWN)):
        assert all(one == other for one, other in (subjects_of_pair(config, spec, seed) for seed in range(6)))
    assert subjects_of_pair(SMALL_PAIRS, PairSpec(), 0, count=1) == [1, 1]


def test_coarse_pairs_have_the_same_field_of_view_and_warps_in_millimetres(seeded, four_heads):
    fine = replace(PairConfig(), shape=(64, 64, 64))
    coarse = replace(fine.coarse(), shape=(32, 32, 32))
    source, found = PairSource(four_heads.split(0, margin_vox=0)[0], four_heads.intensity_tables), []
    for config, spacing_mm in ((fine, 2.0), (coarse, 4.0)):
        pairs = [make_pair(config, KNOWN, source, seeded(seed)) for seed in range(12)]
        head_mm3 = [float((pair.fixed.labels > 0).sum()) * spacing_mm**3 for pair in pairs]
        warps = [exponential(pair.velocity, 5).square().sum(1).mean().sqrt() for pair in pairs]
        found.append((sum(head_mm3), 2 * spacing_mm * float(sum(warps))))
    assert found[1][0] == pytest.approx(found[0][0], rel=0.1)
    assert found[1][1] == pytest.approx(found[0][1], rel=0.2)


def intensities(pair, four_heads, value: int) -> list[float]:
    index = four_heads.values.index(value)
    views = zip((pair.fixed, pair.moving), pair.images)
    return [float(image[0, 0][view.labels[0] == index].mean()) for view, image in views]


@pytest.mark.parametrize("loss", ["ncc", "hybrid"])
def test_ncc_pairs_have_a_t1_like_contrast(seeded, four_heads, loss):
    for seed in range(3):
        pair = make_pair(
            SMALL_PAIRS, LOSSES[loss], PairSource(list(four_heads.maps), four_heads.intensity_tables), seeded(seed)
        )
        white, fluid = (intensities(pair, four_heads, value) for value in (2, 4))
        assert all(w > f for w, f in zip(white, fluid))


def test_nmi_pairs_have_t1_and_t2_like_contrasts(seeded, four_heads):
    brighter = set()
    for seed in range(12):
        pair = make_pair(
            SMALL_PAIRS, LOSSES["nmi"], PairSource(list(four_heads.maps), four_heads.intensity_tables), seeded(seed)
        )
        white, fluid = (intensities(pair, four_heads, value) for value in (2, 4))
        brighter.add(tuple(w > f for w, f in zip(white, fluid)))
    assert brighter == {(a, b) for a in (True, False) for b in (True, False)}


def test_same_contrast_pairs_differ_in_noise_only(seeded):
    """Mean intensity by label: equal up to scaling with the same contrast, else uncorrelated."""
    plain = ViewConfig(SMALL_PAIRS.shape_view.deform, MRContrastConfig(bias_sd=0.0), ArtefactConfig(0.0, crop=0.0))
    config = replace(SMALL_PAIRS, shape_view=plain)
    related: dict[bool, list[float]] = {True: [], False: []}
    for spec in (PairSpec(same_contrast=True), PairSpec()):
        for seed in range(4):
            pair = make_pair(config, spec, SHAPES, seeded(seed))
            means = [
                torch.stack([view.image[0, 0][view.labels[0] == n].mean() for n in range(8)])
                for view in (pair.fixed, pair.moving)
            ]
            related[spec.same_contrast].append(float(torch.corrcoef(torch.stack(means))[0, 1]))
            assert (pair.fixed.image - pair.moving.image).abs().mean() > 0.02
    assert min(related[True]) > 0.97 and sum(related[False]) / 4 < 0.6


def test_a_lookup_table_is_a_smooth_function_of_intensity_over_the_whole_range(seeded):
    image = torch.linspace(0, 1, 256)[torch.randint(0, 256, (1, 1, 20, 20, 20), generator=seeded(0))]
    tables = []
    for seed in range(8):
        mapped = remap_intensities(image, seeded(seed))
        assert float(mapped.min()) == 0 and float(mapped.max()) == pytest.approx(1)
        table = torch.stack([mapped[(image * 255).round() == n].unique() for n in range(256)])
        assert table.shape == (256, 1) and table.diff(dim=0).abs().max() < 0.1  # smooth
        tables.append(table[:, 0])
    rising = [float(table[-1] - table[0]) > 0 for table in tables]
    assert True in rising and False in rising  # contrasts are inverted


def test_lookup_tables_change_the_networks_input_only(seeded):
    pair = make_pair(SMALL_PAIRS, LOSSES["hybrid"], SHAPES, seeded(0))
    plain = make_pair(SMALL_PAIRS, LOSSES["ncc"], SHAPES, seeded(0))
    for view, scan, other in zip((pair.fixed, pair.moving), pair.images, plain.images):
        assert torch.equal(scan, other) and (view.image - scan).abs().mean() > 0.05


def test_a_pair_is_reproduced_by_its_seed(seeded):
    for loss, spec in LOSSES.items():
        one, two, other = (make_pair(SMALL_PAIRS, spec, SHAPES, seeded(seed)) for seed in (4, 4, 5))
        assert torch.equal(one.fixed.image, two.fixed.image) and torch.equal(one.moving.labels, two.moving.labels), loss
        assert not torch.equal(one.fixed.labels, other.fixed.labels)
