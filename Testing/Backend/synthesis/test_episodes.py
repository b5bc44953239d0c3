from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.synthesis import corruption, draw
from SlicerSynthReg.synthesis.episode import EpisodeConfig, EpisodeDraw, EpisodeSource
from SlicerSynthReg.synthesis.in_context_tasks import TASKS, apply_task, draw_task_name
from SlicerSynthReg.synthesis.mr_contrast import IntensityTables
from SlicerSynthReg.synthesis.slices import SliceConfig, draw_slab, slab_index
from SlicerSynthReg.synthesis.task_augmentation import (
    AUGMENTATION_TREE,
    AugmentationNode,
    TaskAugmentationDraw,
    augment_channels,
    augment_images,
    augment_mask,
)

CONFIG = EpisodeConfig(SliceConfig(size=32, pixel_size=(1.0, 1.5), position=(0.4, 0.6), shift_vox=1.0))
PLAIN = dataclasses.replace(CONFIG, augment=False)


@pytest.fixture(scope="module")
def five_heads() -> EpisodeSource:
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
    return EpisodeSource(maps, IntensityTables((0, 1, 2, 2, 3)), torch.tensor([False, False, True, True, True]))


def an_episode(source: EpisodeSource, name: str, seed: int = 0, config: EpisodeConfig = PLAIN, subjects: int = 4):
    record = source.draw(config, subjects, torch.Generator().manual_seed(seed), name)
    return record, source.make(record)


@pytest.mark.parametrize("name", TASKS)
def test_an_episode_is_rebuilt_from_its_json(five_heads, name):
    record, episode = an_episode(five_heads, name, 3, CONFIG)
    again = draw.from_json(EpisodeDraw, json.loads(json.dumps(draw.to_json(record))))
    rebuilt = five_heads.make(again)
    assert again == record and torch.equal(episode.x, rebuilt.x) and torch.equal(episode.y, rebuilt.y)
    assert episode.x.shape == (4, 3, 32, 32) and episode.support.shape == (1, 3, 4, 32, 32)


@pytest.mark.parametrize("name", TASKS)
def test_masks_are_binary_and_images_in_range(five_heads, name):
    _, episode = an_episode(five_heads, name, 1)
    assert episode.mask == TASKS[name].mask
    values = set(episode.y.unique().tolist())
    assert values <= {0.0, 1.0} if episode.mask else min(values) >= 0 and max(values) <= 1 and len(values) > 2


def test_the_target_is_never_among_its_examples(five_heads):
    for seed in range(20):
        subjects = draw_slab(CONFIG.slices, 9, 5, torch.Generator().manual_seed(seed)).subjects
        others = [one.subject for one in subjects[1:]]
        assert subjects[0].subject not in others and len(set(others)) == 4


@pytest.mark.parametrize("name", ["super-resolution", "motion", "denoising", "undersampling", "in-painting"])
def test_the_output_of_a_restoration_is_the_uncorrupted_image(five_heads, name):
    record, episode = an_episode(five_heads, name, 2)
    whole = five_heads.subjects(record).images[:, 0, record.task.planes[0][1]]
    middle = five_heads.subjects(record).images[:, 0, -1 if len(record.task.planes) == 1 else 1]
    assert torch.equal(episode.y[:, 0], middle)
    assert sum(float((x - w).abs().mean()) > 0.003 for x, w in zip(episode.x[:, 0], whole)) >= 3


def test_each_subject_has_its_own_corruption_of_similar_severity(five_heads):
    record, _ = an_episode(five_heads, "denoising", 4)
    severities = [one.severity for one in record.task.corruptions]
    assert len({one.seed for one in record.task.corruptions}) == 4 and max(severities) - min(severities) <= 0.3


def test_a_subject_of_an_episode_equals_that_subject_alone(five_heads):
    record, episode = an_episode(five_heads, "motion", 7, CONFIG)
    subjects = five_heads.subjects(record)
    alone = dataclasses.replace(
        subjects, labels=subjects.labels[2:3], images=subjects.images[2:3], brain=subjects.brain[2:3]
    )
    task = dataclasses.replace(record.task, corruptions=record.task.corruptions[2:3])
    assert torch.allclose(apply_task(task, alone).x[0], episode.x[2], atol=1e-6)


def test_left_and_right_share_a_mask_and_hidden_labels_have_none(five_heads):
    hiding = EpisodeSource(five_heads.label_maps, five_heads.tables, five_heads.brain, hidden_labels=(2, 3))
    masks = [an_episode(five_heads, "segmentation", seed)[0].task.labels for seed in range(30)]
    assert any({2, 3} <= set(labels) for labels in masks) and any(4 in labels for labels in masks)
    assert sum(len({2, 3} & set(labels)) == 1 for labels in masks) < sum({2, 3} <= set(labels) for labels in masks)
    for seed in range(10):
        assert not {2, 3} & set(an_episode(hiding, "segmentation", seed)[0].task.labels)


def test_scans_are_shown_unchanged(five_heads):
    scans = [torch.stack([m.float() / 4, 1 - m.float() / 4]) for m in five_heads.label_maps]
    real = EpisodeSource(five_heads.label_maps, five_heads.tables, five_heads.brain, scans=scans)
    record, episode = an_episode(real, "modality transfer", 5)
    assert len(record.scanned_contrasts) == 2
    shown = episode.x[:, 0]
    assert torch.allclose(episode.y[:, 0], 1 - shown, atol=1e-5) or not record.appearance.skull_stripped
    assert an_episode(real, "simulated transfer", 5)[0].scanned_contrasts == ()


def test_flipping_reads_the_mirrored_position(five_heads):
    still = SliceConfig(
        size=9,
        depth=1,
        pixel_size=(1.0, 1.0),
        rotation_degrees=0,
        shift_vox=0,
        scale=0,
        warp_vox=0,
        flip_probability=0,
    )
    record = draw_slab(still, 1, 5, torch.Generator().manual_seed(0))
    record = dataclasses.replace(record, plane=2, centre=(0.3, 0.5, 0.5))
    plain = slab_index(record, record.subjects[0], five_heads.boxes[0])
    mirrored = slab_index(dataclasses.replace(record, flip=True), record.subjects[0], five_heads.boxes[0])
    box = five_heads.boxes[0]
    assert torch.allclose(mirrored[0], box.low[0] + box.high[0] - plain[0], atol=1e-3)
    assert torch.allclose(mirrored[1:], plain[1:], atol=1e-3)


def test_tasks_are_drawn_by_weight_and_excluded_ones_never():
    generator = torch.Generator().manual_seed(0)
    names = [draw_task_name(generator, ("motion",)) for _ in range(3000)]
    assert names.count("motion") == 0
    assert 3.2 < names.count("segmentation") / names.count("denoising") < 5.0


def test_a_contour_is_three_pixels_wide():
    square = torch.zeros(1, 20, 20)
    square[:, 5:15, 5:15] = 1
    contour = augment_mask(square, TaskAugmentationDraw(("mask contour",), 0))
    assert contour[0, 10].tolist() == [0] * 4 + [1] * 3 + [0] * 6 + [1] * 3 + [0] * 4
    turned = augment_mask(square, TaskAugmentationDraw(("mask dilation", "mask invert"), 0))
    assert float(turned.sum()) == 400 - 144


def test_all_applies_every_child_and_one_a_single_child():
    leaves = tuple(AugmentationNode("leaf", 1.0, name) for name in "abc")
    generator = torch.Generator().manual_seed(0)
    assert list(AugmentationNode("all", 1.0, children=leaves).draw(generator)) == ["a", "b", "c"]
    taken = [tuple(AugmentationNode("one", 1.0, children=leaves).draw(generator)) for _ in range(30)]
    assert set(taken) == {("a",), ("b",), ("c",)}
    assert list(AugmentationNode("all", 1.0, children=leaves).without("b").draw(generator)) == ["a", "c"]
    tree = AUGMENTATION_TREE.without("sobel filter", "synthetic modality", "intensity mapping")
    assert not any(name in ("sobel filter", "synthetic modality") for _ in range(50) for name in tree.draw(generator))


def test_each_contrast_has_one_mapping_for_all_subjects():
    ramp = torch.linspace(0, 1, 64).view(1, 1, 1, 8, 8).expand(2, 2, 1, 8, 8)
    mapped = augment_images(ramp, TaskAugmentationDraw(("intensity mapping",), 3))
    assert torch.equal(mapped[0], mapped[1]) and not torch.allclose(mapped[:, 0], mapped[:, 1], atol=0.05)
    assert not torch.allclose(mapped, ramp, atol=0.05) and bool((mapped[:, :, 0, 0, 0] == 0).all())


def test_channels_are_permuted_alike_for_all_subjects():
    x = torch.arange(1.0, 7.0).view(2, 3, 1, 1).repeat(1, 1, 4, 4)
    x[:, 2] = 0
    orders = set()
    for seed in range(20):
        changed = augment_channels(x, TaskAugmentationDraw(("duplicate channels", "permute channels"), seed))
        first, second = changed[0, :, 0, 0].tolist(), changed[1, :, 0, 0].tolist()
        assert [a + 3 if a else 0 for a in first] == second and {1.0, 2.0} <= set(first)
        orders.add(tuple(first))
    assert len(orders) > 4


def test_undersampling_loses_detail_across_rows_only():
    stripes = torch.rand(1, 1, 40, generator=torch.Generator().manual_seed(0)).expand(1, 48, 40)
    how = corruption.CorruptionDraw(0.5, 5)
    assert torch.allclose(corruption.undersample_kspace(stripes, how), stripes, atol=1e-5)
    upright = stripes.mT.contiguous()
    assert float((corruption.undersample_kspace(upright, how) - upright).abs().mean()) > 0.02


def test_motion_keeps_the_centre_of_k_space():
    planes = torch.rand(2, 48, 48, generator=torch.Generator().manual_seed(1))
    moved = corruption.add_motion(planes, corruption.CorruptionDraw(1.0, 2))
    assert torch.allclose(moved.mean((1, 2)), planes.mean((1, 2)), atol=0.05)
    assert float((moved - planes).abs().mean()) > 0.02


def test_a_lesion_lies_inside_the_mask():
    inside = torch.zeros(40, 40, dtype=torch.bool)
    inside[10:25, 12:30] = True
    for seed in range(8):
        blob = corruption.lesion_map(inside, corruption.CorruptionDraw(0.5, seed))
        assert float(blob[~inside].sum()) == 0 and float(blob.sum()) > 10 and float(blob.max()) <= 1
