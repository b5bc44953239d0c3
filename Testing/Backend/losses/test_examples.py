from __future__ import annotations

import torch

from SlicerSynthReg.losses.examples import question_loss


def test_masks_are_judged_by_dice_and_images_by_squares_over_a_tenth():
    truth = torch.zeros(2, 1, 10, 10)
    truth[:, :, :5] = 1
    answer = torch.full_like(truth, 0.5)
    dice, squares = question_loss(answer, truth, torch.tensor([True, False]))
    assert torch.isclose(dice, torch.tensor(1 - (2 * 25.0 + 1) / (25.0 + 50.0 + 1)))
    assert torch.isclose(squares, torch.tensor(0.25 / (2 * 0.05)))


def test_a_right_answer_costs_nothing_not_even_an_empty_one():
    for truth in (torch.zeros(1, 1, 6, 6), torch.ones(1, 1, 6, 6)):
        assert float(question_loss(truth, truth, torch.tensor([True]))) < 1e-6
    assert float(question_loss(torch.ones(1, 1, 6, 6), torch.zeros(1, 1, 6, 6), torch.tensor([True]))) > 0.9
