from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.losses.overlap import one_hot_mse, soft_dice_loss


def planes(*rows: list[float]) -> torch.Tensor:
    """(1, labels, voxels, 1, 1)."""
    return torch.tensor(rows)[None, :, :, None, None]


def test_dice_of_known_overlaps():
    """Label 0: 1 of 2 + 2 -> 2 * 1 / 4 = 1/2. Label 1: 2 of 3 + 2 -> 4/5."""
    a = planes([1.0, 1, 0, 0, 0, 0], [0.0, 0, 1, 1, 1, 0])
    b = planes([0.0, 1, 1, 0, 0, 0], [0.0, 0, 0, 1, 1, 0])
    assert float(soft_dice_loss(a, b)) == pytest.approx(1 - (0.5 + 0.8) / 2)  # pooled over labels: 1 - 2 * 3 / 9


def test_dice_of_shares_squares_the_denominator():
    half = planes([0.5, 0.5, 0.0])
    assert float(soft_dice_loss(half, half)) == pytest.approx(0)  # a sum without squares would call this 1/2


def test_dice_of_equal_and_of_disjoint():
    a, b = planes([1.0, 1, 0]), planes([0.0, 0, 1])
    assert float(soft_dice_loss(a, a)) == pytest.approx(0)
    assert float(soft_dice_loss(a, b)) == pytest.approx(1)


def test_labels_empty_in_both_are_left_out_and_empty_in_one_are_missed():
    a = planes([1.0, 0], [0.0, 0], [0.0, 0])
    b = planes([1.0, 0], [0.0, 0], [0.0, 1])
    assert float(soft_dice_loss(a, b)) == pytest.approx(1 - (1 + 0) / 2)


def test_one_hot_mse_sums_over_labels_and_averages_over_voxels():
    a = planes([1.0, 0, 1, 1], [0.0, 1, 0, 0])
    b = planes([1.0, 1, 1, 1], [0.0, 0, 0, 0])
    assert float(one_hot_mse(a, b)) == pytest.approx(2 / 4)  # one voxel of four is wrong in two labels
    assert float(one_hot_mse(a, a)) == 0
