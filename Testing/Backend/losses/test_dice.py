from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from SlicerSynthReg.losses.dice import dice_cross_entropy_loss, one_hot_mse, soft_dice_loss


def planes(*rows: list[float]) -> torch.Tensor:
    """(1, labels, voxels, 1, 1)."""
    return torch.tensor(rows)[None, :, :, None, None]


def test_dice_of_known_overlaps():
    """Label 0: 1 of 2 + 2 -> 2 * 1 / 4 = 1/2. Label 1: 2 of 3 + 2 -> 4/5."""
    a = planes([1.0, 1, 0, 0, 0, 0], [0.0, 0, 1, 1, 1, 0])
    b = planes([0.0, 1, 1, 0, 0, 0], [0.0, 0, 0, 1, 1, 0])
    assert float(soft_dice_loss(a, b)) == pytest.approx(1 - (0.5 + 0.8) / 2)  # pooled over labels: 1 - 2 * 3 / 9


def test_soft_dice_has_squared_denominators():
    half = planes([0.5, 0.5, 0.0])
    assert float(soft_dice_loss(half, half)) == pytest.approx(0)  # a sum without squares would call this 1/2


def test_dice_of_equal_and_of_disjoint():
    a, b = planes([1.0, 1, 0]), planes([0.0, 0, 1])
    assert float(soft_dice_loss(a, a)) == pytest.approx(0)
    assert float(soft_dice_loss(a, b)) == pytest.approx(1)


def test_labels_empty_in_both_are_ignored_and_in_one_score_zero():
    a = planes([1.0, 0], [0.0, 0], [0.0, 0])
    b = planes([1.0, 0], [0.0, 0], [0.0, 1])
    assert float(soft_dice_loss(a, b)) == pytest.approx(1 - (1 + 0) / 2)


def test_one_hot_mse_sums_over_labels_and_averages_over_voxels():
    a = planes([1.0, 0, 1, 1], [0.0, 1, 0, 0])
    b = planes([1.0, 1, 1, 1], [0.0, 0, 0, 0])
    assert float(one_hot_mse(a, b)) == pytest.approx(2 / 4)  # one voxel of four is wrong in two labels
    assert float(one_hot_mse(a, a)) == 0


def test_dice_cross_entropy_grows_from_true_to_shifted_to_wrong_labels(seeded):
    small = torch.randint(0, 5, (1, 4, 4, 4), generator=seeded(0))
    labels = small.repeat_interleave(4, 1).repeat_interleave(4, 2).repeat_interleave(4, 3)
    true, shifted, wrong = (
        float(dice_cross_entropy_loss(20.0 * F.one_hot(answer, 5).movedim(-1, 1).float(), labels))
        for answer in (labels, labels.roll(1, 1), (labels + 1) % 5)
    )
    assert true < 1e-3 < 1 < shifted < wrong


def test_dice_cross_entropy_of_uniform_logits_by_hand():
    """Uniform over L labels: cross-entropy log L; Dice of a label of n voxels against 1/L: 2 n/L / (n + V/L^2)."""
    labels = torch.zeros((1, 2, 2, 2), dtype=torch.long)
    labels[0, 0] = 1
    dice = 2 * (4 / 2) / (4 + 8 / 4)
    expected = torch.log(torch.tensor(2.0)) + 1 - dice
    assert float(dice_cross_entropy_loss(torch.zeros(1, 2, 2, 2, 2), labels)) == pytest.approx(
        float(expected), rel=1e-5
    )
