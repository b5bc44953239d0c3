from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from SlicerSynthReg.space.grid import index_lattice
from SlicerSynthReg.synth import damage, draw
from SlicerSynthReg.synth.augment import TREE, AugmentDraw, Node, augment_channels, augment_images, augment_mask
from SlicerSynthReg.synth.contrast import Looks
from SlicerSynthReg.synth.question import QuestionConfig, QuestionDraw, Source
from SlicerSynthReg.synth.slices import SliceConfig, cut_index, draw_cut
from SlicerSynthReg.synth.tasks import TASKS, draw_name, make_task

CONFIG = QuestionConfig(SliceConfig(side=32, pixel=(1.0, 1.5), place=(0.4, 0.6), shift_vox=1.0))
PLAIN = dataclasses.replace(CONFIG, augmented=False)


@pytest.fixture(scope="module")
def five_heads() -> Source:
    """Shells in a ball: 1 the skull, 2 and 3 the left and right halves of the brain, 4 its core."""
    maps = []
    for n in range(5):
        at = index_lattice((40, 40, 40)) - 19.5
        radius = (at**2).sum(0).sqrt() + 0.2 * n
        labels = torch.zeros(40, 40, 40, dtype=torch.uint8)
        labels[radius < 19] = 1
        labels[(radius < 15) & (at[0] < 0)] = 2
        labels[(radius < 15) & (at[0] >= 0)] = 3
        labels[radius < 7] = 4
        maps.append(labels)
    return Source(maps, Looks((0, 1, 2, 2, 3)), torch.tensor([False, False, True, True, True]))


def a_question(source: Source, name: str, seed: int = 0, config: QuestionConfig = PLAIN, people: int = 4):
    record = source.draw(config, people, torch.Generator().manual_seed(seed), name)
    return record, source.make(record)


@pytest.mark.parametrize("name", TASKS)
def test_a_question_is_rebuilt_from_its_json(five_heads, name):
    record, question = a_question(five_heads, name, 3, CONFIG)
    again = draw.from_json(QuestionDraw, json.loads(json.dumps(draw.to_json(record))))
    rebuilt = five_heads.make(again)
    assert again == record and torch.equal(question.x, rebuilt.x) and torch.equal(question.y, rebuilt.y)
    assert question.x.shape == (4, 3, 32, 32) and question.context.shape == (1, 3, 4, 32, 32)


@pytest.mark.parametrize("name", TASKS)
def test_a_mask_is_one_and_an_image_is_within_its_range(five_heads, name):
    _, question = a_question(five_heads, name, 1)
    assert question.mask == TASKS[name].mask
    values = set(question.y.unique().tolist())
    assert values <= {0.0, 1.0} if question.mask else min(values) >= 0 and max(values) <= 1 and len(values) > 2


def test_the_target_is_never_among_its_examples(five_heads):
    for seed in range(20):
        people = draw_cut(CONFIG.slices, 9, 5, torch.Generator().manual_seed(seed)).people
        others = [one.person for one in people[1:]]
        assert people[0].person not in others and len(set(others)) == 4


@pytest.mark.parametrize("name", ["super-resolution", "motion", "denoising", "undersampling", "in-painting"])
def test_the_answer_of_a_repair_is_the_image_before_the_damage(five_heads, name):
    record, question = a_question(five_heads, name, 2)
    whole = five_heads.people(record).images[:, 0, record.task.planes[0][1]]
    middle = five_heads.people(record).images[:, 0, -1 if len(record.task.planes) == 1 else 1]
    assert torch.equal(question.y[:, 0], middle)
    assert sum(float((x - w).abs().mean()) > 0.003 for x, w in zip(question.x[:, 0], whole)) >= 3


def test_everyone_has_damage_of_their_own_about_as_bad(five_heads):
    record, _ = a_question(five_heads, "denoising", 4)
    severities = [one.severity for one in record.task.damages]
    assert len({one.seed for one in record.task.damages}) == 4 and max(severities) - min(severities) <= 0.3


def test_a_person_of_a_question_is_that_person_alone(five_heads):
    record, question = a_question(five_heads, "motion", 7, CONFIG)
    people = five_heads.people(record)
    alone = dataclasses.replace(people, labels=people.labels[2:3], images=people.images[2:3], brain=people.brain[2:3])
    task = dataclasses.replace(record.task, damages=record.task.damages[2:3])
    assert torch.allclose(make_task(task, alone).x[0], question.x[2], atol=1e-6)


def test_left_and_right_make_one_mask_and_hidden_structures_none(five_heads):
    hiding = Source(five_heads.maps, five_heads.looks, five_heads.brain, hidden=(2, 3))
    drawn = [a_question(five_heads, "segmentation", seed)[0].task.labels for seed in range(30)]
    assert any({2, 3} <= set(labels) for labels in drawn) and any(4 in labels for labels in drawn)
    assert sum(len({2, 3} & set(labels)) == 1 for labels in drawn) < sum({2, 3} <= set(labels) for labels in drawn)
    for seed in range(10):
        assert not {2, 3} & set(a_question(hiding, "segmentation", seed)[0].task.labels)


def test_real_scans_are_shown_as_they_are(five_heads):
    scans = [torch.stack([m.float() / 4, 1 - m.float() / 4]) for m in five_heads.maps]
    real = Source(five_heads.maps, five_heads.looks, five_heads.brain, scans=scans)
    record, question = a_question(real, "modality transfer", 5)
    assert len(record.real) == 2
    shown = question.x[:, 0]
    assert torch.allclose(question.y[:, 0], 1 - shown, atol=1e-5) or not record.looks.stripped
    assert a_question(real, "simulated transfer", 5)[0].real == ()


def test_mirroring_reads_the_same_place_from_the_other_side(five_heads):
    still = SliceConfig(side=9, depth=1, pixel=(1.0, 1.0), rotation_degrees=0, shift_vox=0, scale=0, warp_vox=0, flip=0)
    record = draw_cut(still, 1, 5, torch.Generator().manual_seed(0))
    record = dataclasses.replace(record, plane=2, centre=(0.3, 0.5, 0.5))
    plain = cut_index(record, record.people[0], five_heads.boxes[0])
    mirrored = cut_index(dataclasses.replace(record, flip=True), record.people[0], five_heads.boxes[0])
    box = five_heads.boxes[0]
    assert torch.allclose(mirrored[0], box.low[0] + box.high[0] - plain[0], atol=1e-3)
    assert torch.allclose(mirrored[1:], plain[1:], atol=1e-3)


def test_tasks_come_about_by_their_weights_and_those_left_out_never():
    generator = torch.Generator().manual_seed(0)
    names = [draw_name(generator, ("motion",)) for _ in range(3000)]
    assert names.count("motion") == 0
    assert 3.2 < names.count("segmentation") / names.count("denoising") < 5.0


def test_a_contour_is_three_pixels_wide():
    square = torch.zeros(1, 20, 20)
    square[:, 5:15, 5:15] = 1
    contour = augment_mask(square, AugmentDraw(("mask contour",), 0))
    assert contour[0, 10].tolist() == [0] * 4 + [1] * 3 + [0] * 6 + [1] * 3 + [0] * 4
    turned = augment_mask(square, AugmentDraw(("mask dilation", "mask invert"), 0))
    assert float(turned.sum()) == 400 - 144


def test_of_one_branch_only_one_is_taken_and_of_all_every_one_in_turn():
    leaves = tuple(Node("leaf", 1.0, name) for name in "abc")
    generator = torch.Generator().manual_seed(0)
    assert list(Node("all", 1.0, children=leaves).drawn(generator)) == ["a", "b", "c"]
    taken = [tuple(Node("one", 1.0, children=leaves).drawn(generator)) for _ in range(30)]
    assert set(taken) == {("a",), ("b",), ("c",)}
    assert list(Node("all", 1.0, children=leaves).without("b").drawn(generator)) == ["a", "c"]
    tree = TREE.without("sobel filter", "synthetic modality", "intensity mapping")
    assert not any(name in ("sobel filter", "synthetic modality") for _ in range(50) for name in tree.drawn(generator))


def test_one_mapping_for_all_people_and_another_for_each_contrast():
    ramp = torch.linspace(0, 1, 64).view(1, 1, 1, 8, 8).expand(2, 2, 1, 8, 8)
    mapped = augment_images(ramp, AugmentDraw(("intensity mapping",), 3))
    assert torch.equal(mapped[0], mapped[1]) and not torch.allclose(mapped[:, 0], mapped[:, 1], atol=0.05)
    assert not torch.allclose(mapped, ramp, atol=0.05) and bool((mapped[:, :, 0, 0, 0] == 0).all())


def test_channels_are_reordered_alike_for_all_people():
    x = torch.arange(1.0, 7.0).view(2, 3, 1, 1).repeat(1, 1, 4, 4)
    x[:, 2] = 0
    orders = set()
    for seed in range(20):
        changed = augment_channels(x, AugmentDraw(("duplicate channels", "permute channels"), seed))
        first, second = changed[0, :, 0, 0].tolist(), changed[1, :, 0, 0].tolist()
        assert [a + 3 if a else 0 for a in first] == second and {1.0, 2.0} <= set(first)
        orders.add(tuple(first))
    assert len(orders) > 4


def test_undersampling_loses_detail_down_the_rows_and_none_along_them():
    stripes = torch.rand(1, 1, 40, generator=torch.Generator().manual_seed(0)).expand(1, 48, 40)
    how = damage.DamageDraw(0.5, 5)
    assert torch.allclose(damage.undersampled(stripes, how), stripes, atol=1e-5)
    upright = stripes.mT.contiguous()
    assert float((damage.undersampled(upright, how) - upright).abs().mean()) > 0.02


def test_a_head_that_moves_at_no_time_leaves_the_middle_of_k_space_alone():
    planes = torch.rand(2, 48, 48, generator=torch.Generator().manual_seed(1))
    moved = damage.moved_while_scanned(planes, damage.DamageDraw(1.0, 2))
    assert torch.allclose(moved.mean((1, 2)), planes.mean((1, 2)), atol=0.05)
    assert float((moved - planes).abs().mean()) > 0.02


def test_a_lesion_lies_where_it_may():
    inside = torch.zeros(40, 40, dtype=torch.bool)
    inside[10:25, 12:30] = True
    for seed in range(8):
        blob = damage.lesion(inside, damage.DamageDraw(0.5, seed))
        assert float(blob[~inside].sum()) == 0 and float(blob.sum()) > 10 and float(blob.max()) <= 1
