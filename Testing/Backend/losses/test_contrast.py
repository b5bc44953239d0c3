"""InfoNCE by hand, three places, z1 . z2 given by unit vectors in the plane."""

from __future__ import annotations

import math

import pytest
import torch

from SlicerSynthReg.losses.contrast import multi_positive, same_label, same_place

Z1 = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
Z2 = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
DOTS = [[1.0, 0.6, 0.0], [0.0, 0.8, 1.0], [0.6, 1.0, 0.8]]
FAR_APART = torch.tensor([[0.0, 0, 0], [10, 0, 0], [0, 20, 0]])


def log_p(row: int, column: int, among: tuple[int, ...], t: float) -> float:
    return DOTS[row][column] / t - math.log(sum(math.exp(DOTS[row][k] / t) for k in among))


def test_same_place_by_hand():
    t = 0.5
    expected = -sum(log_p(n, n, (0, 1, 2), t) for n in range(3)) / 3
    assert float(same_place(Z1, Z2, FAR_APART, 3.0, t)) == pytest.approx(expected, abs=1e-5)


def test_neighbours_are_neither_positive_nor_negative():
    near = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 20, 0]])
    t = 0.5
    expected = -(log_p(0, 0, (0, 2), t) + log_p(1, 1, (1, 2), t) + log_p(2, 2, (0, 1, 2), t)) / 3
    assert float(same_place(Z1, Z2, near, 3.0, t)) == pytest.approx(expected, abs=1e-5)
    assert abs(float(same_place(Z1, Z2, near, 0.5, t)) - expected) > 0.1  # counted as negatives


def test_same_label_by_hand():
    t, labels = 0.5, torch.tensor([4, 4, 9])
    everyone = (0, 1, 2)
    pulled = [(log_p(n, 0, everyone, t) + log_p(n, 1, everyone, t)) / 2 for n in (0, 1)]
    expected = -(sum(pulled) + log_p(2, 2, everyone, t)) / 3
    assert float(same_label(Z1, Z2, labels, t)) == pytest.approx(expected, abs=1e-5)
    either = [math.exp(log_p(n, 0, everyone, t)) + math.exp(log_p(n, 1, everyone, t)) for n in (0, 1)]
    inside_the_log = -sum(math.log(p) for p in either)
    assert abs((inside_the_log - log_p(2, 2, everyone, t)) / 3 - expected) > 0.1  # Khosla's L_out, not L_in


def test_an_anchor_without_positives_does_not_count():
    positive = torch.tensor([[True, False, False], [False, False, False], [False, False, True]])
    ignored = torch.zeros_like(positive)
    expected = -(log_p(0, 0, (0, 1, 2), 0.5) + log_p(2, 2, (0, 1, 2), 0.5)) / 2
    assert float(multi_positive(Z1, Z2, positive, ignored, 0.5)) == pytest.approx(expected, abs=1e-5)


def test_recognised_places_cost_almost_nothing_and_confused_ones_much(seeded):
    z = torch.nn.functional.normalize(torch.randn(30, 64, generator=seeded(0)), dim=1)
    places = torch.rand(30, 3, generator=seeded(1)) * 1000
    right = float(same_place(z, z, places, 3.0, 0.05))
    wrong = float(same_place(z, z.roll(1, 0), places, 3.0, 0.05))
    assert right < 0.01 < 5 < wrong


def test_the_gradient_is_finite_where_neighbours_are_masked():
    z = Z1.clone().requires_grad_()
    near = torch.zeros(3, 3)
    same_place(z, Z2, near, 3.0, 0.1).backward()
    assert torch.isfinite(z.grad).all()
