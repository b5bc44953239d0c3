from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.losses.reconstruction import reconstruction_loss, self_contrast_loss


def a_row(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, 1, -1, 1, 1)


def test_a_synthetic_image_counts_twice_under_the_pathology_a_real_one_not_at_all():
    """|error| = 1 in a healthy voxel, 3 in a sick one."""
    found, target, p = a_row(1.0, 3.0), a_row(0.0, 0.0), a_row(0.0, 1.0)
    assert float(reconstruction_loss(found, target, p, False, gradient_weight=0.0)) == pytest.approx((1 + 2 * 3) / 3)
    assert float(reconstruction_loss(found, target, p, True, gradient_weight=0.0)) == pytest.approx(1.0)


def test_no_gradient_comes_from_the_pathology_of_a_real_image():
    found = a_row(1.0, 3.0, 2.0).requires_grad_()
    reconstruction_loss(found, a_row(0.0, 0.0, 0.0), a_row(0.0, 1.0, 0.0), True).backward()
    assert found.grad.flatten().tolist() == [0.5, 0.0, 0.5]


def test_the_gradient_term_is_blind_to_a_constant_and_counts_slopes():
    flat, slope = a_row(1.0, 1.0, 1.0, 1.0), a_row(0.0, 1.0, 2.0, 3.0)
    zero = a_row(0.0, 0.0, 0.0, 0.0)
    assert float(reconstruction_loss(flat, zero, zero, False, gradient_weight=3.0)) == pytest.approx(1.0)
    assert float(reconstruction_loss(slope, zero, zero, False, gradient_weight=3.0)) == pytest.approx((6 + 3) / 4)


def test_what_was_not_scanned_does_not_count():
    where = a_row(1.0, 0.0)
    assert float(reconstruction_loss(a_row(1.0, 9.0), a_row(0.0, 0.0), a_row(0.0, 0.0), False, where, 1.0)) == 1.0


def contrast(found: float, counterpart: float = 0.8, diseased: float = 0.4) -> float:
    sick, well = a_row(1.0), a_row(0.0)
    return float(self_contrast_loss(a_row(found), a_row(counterpart), a_row(diseased), sick, well))


def test_the_contrast_is_least_near_the_counterpart_and_grows_towards_the_pathology():
    assert contrast(0.8) < contrast(0.7) < contrast(0.6) < contrast(0.4)
    assert contrast(0.85) < contrast(0.65)  # brighter alone is no merit ...
    assert contrast(0.4, counterpart=0.4, diseased=0.8) < contrast(0.8, counterpart=0.4, diseased=0.8)  # ... nor darker


def test_halfway_between_both_the_choice_is_even():
    """-log(1/2): both likenesses are equal."""
    assert contrast(0.6) == pytest.approx(0.6931, abs=1e-3)


def test_a_pathology_on_both_sides_or_on_none_teaches_nothing():
    sick, well = a_row(1.0), a_row(0.0)
    for p, p_counterpart in ((sick, sick), (well, well), (well, sick)):
        found = a_row(0.3).requires_grad_()
        loss = self_contrast_loss(found, a_row(0.8), a_row(0.3), p, p_counterpart)
        loss.backward()
        assert float(loss.detach()) == 0 and float(found.grad) == 0
