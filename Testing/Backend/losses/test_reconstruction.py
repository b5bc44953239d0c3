from __future__ import annotations

import pytest
import torch

from SlicerSynthReg.losses.reconstruction import pathology_weights, reconstruction_loss, self_contrast_loss


def row(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, 1, -1, 1, 1)


def test_pathology_weights_are_two_for_synthetic_and_zero_for_real_images():
    """|error| = 1 in a normal voxel, 3 in the lesion."""
    predicted, target, p = row(1.0, 3.0), row(0.0, 0.0), row(0.0, 1.0)
    synthetic, real = (pathology_weights(p, real) for real in (False, True))
    assert float(reconstruction_loss(predicted, target, synthetic, 0.0)) == pytest.approx((1 + 2 * 3) / 3)
    assert float(reconstruction_loss(predicted, target, real, 0.0)) == pytest.approx(1.0)


def test_the_pathology_of_a_real_image_has_no_gradient():
    predicted = row(1.0, 3.0, 2.0).requires_grad_()
    k = pathology_weights(row(0.0, 1.0, 0.0), real=True)
    reconstruction_loss(predicted, row(0.0, 0.0, 0.0), k).backward()
    assert predicted.grad.flatten().tolist() == [0.5, 0.0, 0.5]


def test_the_gradient_term_ignores_a_constant_and_penalises_slopes():
    flat, slope = row(1.0, 1.0, 1.0, 1.0), row(0.0, 1.0, 2.0, 3.0)
    zero, k = row(0.0, 0.0, 0.0, 0.0), row(1.0, 1.0, 1.0, 1.0)
    assert float(reconstruction_loss(flat, zero, k, 3.0)) == pytest.approx(1.0)
    assert float(reconstruction_loss(slope, zero, k, 3.0)) == pytest.approx((6 + 3) / 4)


def test_masked_voxels_do_not_count():
    k = pathology_weights(row(0.0, 0.0), real=False, mask=row(1.0, 0.0))
    assert float(reconstruction_loss(row(1.0, 9.0), row(0.0, 0.0), k, 1.0)) == 1.0


def contrast(predicted: float, counterpart: float = 0.8, diseased: float = 0.4) -> float:
    lesion, normal = row(1.0), row(0.0)
    return float(self_contrast_loss(row(predicted), row(counterpart), row(diseased), lesion, normal))


def test_the_contrastive_loss_grows_from_the_counterpart_to_the_pathology():
    assert contrast(0.8) < contrast(0.7) < contrast(0.6) < contrast(0.4)
    assert contrast(0.85) < contrast(0.65)  # a bright prediction alone is not rewarded
    assert contrast(0.4, counterpart=0.4, diseased=0.8) < contrast(0.8, counterpart=0.4, diseased=0.8)  # nor a dark one


def test_halfway_between_both_the_contrastive_loss_is_log_two():
    """-log(1/2): both similarities are equal."""
    assert contrast(0.6) == pytest.approx(0.6931, abs=1e-3)


def test_a_pathology_on_both_sides_or_none_has_no_contrastive_loss():
    lesion, normal = row(1.0), row(0.0)
    for p, p_counterpart in ((lesion, lesion), (normal, normal), (normal, lesion)):
        predicted = row(0.3).requires_grad_()
        loss = self_contrast_loss(predicted, row(0.8), row(0.3), p, p_counterpart)
        loss.backward()
        assert float(loss.detach()) == 0 and float(predicted.grad) == 0
