"""InfoNCE by hand: three points, z1 . z2 given by unit vectors in the plane."""

from __future__ import annotations

import math

import pytest
import torch

from SlicerSynthReg.losses.infonce import label_infonce, multi_positive_infonce, position_infonce

Z1 = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
Z2 = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
DOTS = [[1.0, 0.6, 0.0], [0.0, 0.8, 1.0], [0.6, 1.0, 0.8]]
FAR_APART = torch.tensor([[0.0, 0, 0], [10, 0, 0], [0, 20, 0]])


def log_p(row: int, column: int, among: tuple[int, ...], t: float) -> float:
    return DOTS[row][column] / t - math.log(sum(math.exp(DOTS[row][k] / t) for k in among))


def test_position_infonce_by_hand():
    t = 0.5
    expected = -sum(log_p(n, n, (0, 1, 2), t) for n in range(3)) / 3
    assert float(position_infonce(Z1, Z2, FAR_APART, 3.0, t)) == pytest.approx(expected, abs=1e-5)


def test_nearby_points_are_neither_positive_nor_negative():
    near = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 20, 0]])
    t = 0.5
    expected = -(log_p(0, 0, (0, 2), t) + log_p(1, 1, (1, 2), t) + log_p(2, 2, (0, 1, 2), t)) / 3
    assert float(position_infonce(Z1, Z2, near, 3.0, t)) == pytest.approx(expected, abs=1e-5)
    assert abs(float(position_infonce(Z1, Z2, near, 0.5, t)) - expected) > 0.1  # counted as negatives


def test_label_infonce_by_hand():
    """Three places of both views in one pool: each is compared with the two others, never with itself."""
    z, t, labels = Z1, 0.5, torch.tensor([4, 4, 9])
    dots = (z @ z.T / t).tolist()

    def among_others(row: int, column: int) -> float:
        others = [n for n in range(3) if n != row]
        return dots[row][column] - math.log(sum(math.exp(dots[row][n]) for n in others))

    expected = -(among_others(0, 1) + among_others(1, 0)) / 2  # the third has no positive
    assert float(label_infonce(z, labels, t)) == pytest.approx(expected, abs=1e-5)
    with_itself = -(dots[0][1] - math.log(sum(map(math.exp, dots[0])))) / 2
    assert abs(with_itself - expected) > 0.1


def test_points_of_one_view_are_ignored_if_views_are_given():
    z, t, labels, views = Z1, 0.5, torch.tensor([4, 4, 4]), torch.tensor([0, 0, 1])
    dots = (z @ z.T / t).tolist()
    first_view = 0.0  # the third is all that each of the first two is compared with
    third = -sum(dots[2][n] - math.log(sum(math.exp(dots[2][k]) for k in (0, 1))) for n in (0, 1)) / 2
    assert float(label_infonce(z, labels, t, views)) == pytest.approx((2 * first_view + third) / 3, abs=1e-5)


def test_several_positives_are_averaged_outside_the_log():
    z, t, labels = Z1, 0.5, torch.tensor([4, 4, 4])
    dots = (z @ z.T / t).tolist()
    total, inside = 0.0, 0.0
    for row in range(3):
        others = [n for n in range(3) if n != row]
        log_sum = math.log(sum(math.exp(dots[row][n]) for n in others))
        total -= sum(dots[row][n] - log_sum for n in others) / 2 / 3
        inside -= 0.0  # all others are positives: inside the log nothing is left to learn
    assert float(label_infonce(z, labels, t)) == pytest.approx(total, abs=1e-5)
    assert total > inside + 0.1  # Khosla's L_out, not L_in


def test_an_anchor_without_positives_does_not_count():
    positive = torch.tensor([[True, False, False], [False, False, False], [False, False, True]])
    ignored = torch.zeros_like(positive)
    expected = -(log_p(0, 0, (0, 1, 2), 0.5) + log_p(2, 2, (0, 1, 2), 0.5)) / 2
    assert float(multi_positive_infonce(Z1, Z2, positive, ignored, 0.5)) == pytest.approx(expected, abs=1e-5)


def test_position_infonce_is_low_for_equal_and_high_for_permuted_features(seeded):
    z = torch.nn.functional.normalize(torch.randn(30, 64, generator=seeded(0)), dim=1)
    places = torch.rand(30, 3, generator=seeded(1)) * 1000
    right = float(position_infonce(z, z, places, 3.0, 0.05))
    wrong = float(position_infonce(z, z.roll(1, 0), places, 3.0, 0.05))
    assert right < 0.01 < 5 < wrong


def test_the_gradient_is_finite_where_neighbours_are_masked():
    z = Z1.clone().requires_grad_()
    near = torch.zeros(3, 3)
    position_infonce(z, Z2, near, 3.0, 0.1).backward()
    assert torch.isfinite(z.grad).all()
