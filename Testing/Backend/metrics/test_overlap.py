from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.metrics.overlap import overlap
from Testing.Backend.refusals import refused

FIXED = [[[0, 1, 1, 1, 1, 2, 2, 3]]]
MOVED = [[[0, 0, 1, 1, 2, 2, 0, 5]]]


def test_dice_by_hand(labels_of):
    found = overlap(labels_of(FIXED), labels_of(MOVED))
    # 1: 4 and 2 voxels, 2 in common (Jaccard would be 1/2); 2: 2 and 2, 1 in common; 3: lost
    assert found.per_label == {1: pytest.approx(2 / 3), 2: 0.5, 3: 0.0}


def test_a_lost_structure_pulls_the_mean_down_and_the_background_does_not_lift_it(labels_of):
    found = overlap(labels_of(FIXED), labels_of(MOVED))
    assert found.mean == pytest.approx((2 / 3 + 0.5 + 0) / 3)


def test_a_structure_only_the_moved_labels_hold_is_no_structure_of_the_fixed(labels_of):
    assert 5 not in overlap(labels_of(FIXED), labels_of(MOVED)).per_label


def test_small_means_small_in_the_fixed_labels(labels_of):
    found = overlap(labels_of(FIXED), labels_of([[[0, 3, 3, 3, 3, 3, 2, 3]]]), minimum_voxels=2)
    assert set(found.per_label) == {1, 2}  # 3 has six voxels in moved, one in fixed


def test_the_mean_weighs_structures_not_voxels(labels_of):
    fixed = torch.ones(10, 10, 10)
    fixed[0, 0, :2] = 2
    moved = fixed.clone()
    moved[0, 0, 0] = 1
    found = overlap(labels_of(fixed), labels_of(moved))
    assert found.mean == pytest.approx((2 * 998 / (998 + 999) + 2 / 3) / 2)


def test_chosen_labels_may_include_the_background(labels_of):
    assert overlap(labels_of(FIXED), labels_of(MOVED), labels=[0]).per_label == {0: pytest.approx(2 / 4)}


def test_types_of_different_width_compare_by_value(labels_of):
    fixed, moved = labels_of(FIXED), labels_of(FIXED)
    wide = type(moved)(moved.data.long() + 65536, moved.grid, "labels")
    narrow = type(fixed)(fixed.data.short(), fixed.grid, "labels")
    assert overlap(narrow, wide).mean == 0  # 65537 would wrap round to 1


def test_found_expected_remedy(labels_of, image_of):
    with refused("grid-mismatch"):
        overlap(labels_of(FIXED), labels_of(MOVED, (1, 1, 2)))
    with refused("not-labels"):
        overlap(labels_of(FIXED), image_of(MOVED))
    with refused("no-structure"):
        overlap(labels_of(FIXED), labels_of(MOVED), minimum_voxels=5)
