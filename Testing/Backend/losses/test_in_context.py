from __future__ import annotations

import torch

from SlicerSynthReg.losses.in_context import episode_loss


def test_masks_use_dice_and_images_the_scaled_squared_error():
    truth = torch.zeros(2, 1, 10, 10)
    truth[:, :, :5] = 1
    prediction = torch.full_like(truth, 0.5)
    dice, squared_error = episode_loss(prediction, truth, torch.tensor([True, False]))
    assert torch.isclose(dice, torch.tensor(1 - (2 * 25.0 + 1) / (25.0 + 50.0 + 1)))
    assert torch.isclose(squared_error, torch.tensor(0.25 / (2 * 0.05)))


def test_a_perfect_prediction_has_no_loss_even_if_empty():
    for truth in (torch.zeros(1, 1, 6, 6), torch.ones(1, 1, 6, 6)):
        assert float(episode_loss(truth, truth, torch.tensor([True]))) < 1e-6
    assert float(episode_loss(torch.ones(1, 1, 6, 6), torch.zeros(1, 1, 6, 6), torch.tensor([True]))) > 0.9
