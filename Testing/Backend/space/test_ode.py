from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from SlicerSynthReg.space.ode import TABLEAUS, integrate


def growing(x: torch.Tensor, t: float) -> torch.Tensor:
    """dx/dt = x^2 cos t: x = 1 / (1 / x0 - sin t); not linear and not autonomous, so no stage's fault cancels."""
    return x * x * math.cos(t)


def exact(x0: float, t: float) -> float:
    return 1 / (1 / x0 - math.sin(t))


@pytest.mark.parametrize("method", TABLEAUS)
def test_the_error_falls_with_the_order_of_the_tableau(method):
    counts = np.array([16, 32, 64])
    x0 = torch.tensor([0.5, 1.0], dtype=torch.float64)
    truth = torch.tensor([exact(0.5, 0.5), exact(1.0, 0.5)], dtype=torch.float64)
    errors = [float((integrate(growing, x0, 0.0, 0.5, int(n), method) - truth).abs().max()) for n in counts]
    slope = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(TABLEAUS[method].order, abs=0.2)


@pytest.mark.parametrize("method", TABLEAUS)
def test_a_tableau_is_explicit_and_consistent(method):
    tableau = TABLEAUS[method]
    assert sum(tableau.b) == 1
    for n, (c, a) in enumerate(zip(tableau.c, tableau.a)):
        assert len(a) <= n and sum(a) == c


def test_time_starts_where_told():
    x = torch.tensor([exact(1.0, 0.2)], dtype=torch.float64)
    found = float(integrate(growing, x, 0.2, 0.5, 20))
    assert found == pytest.approx(exact(1.0, 0.5), rel=1e-7)
    assert abs(float(integrate(growing, x, 0.0, 0.3, 20)) - found) > 0.02  # the same length from 0 is another path


def test_backwards_returns_to_the_start():
    x0 = torch.tensor([0.7], dtype=torch.float64)
    there = integrate(growing, x0, 0.0, 0.5, 20)
    assert float(integrate(growing, there, 0.5, 0.0, 20)) == pytest.approx(0.7, rel=1e-7)


def test_each_step_costs_one_evaluation_a_stage():
    for method, tableau in TABLEAUS.items():
        times: list[float] = []

        def counted(x: torch.Tensor, t: float, times: list[float] = times) -> torch.Tensor:
            times.append(t)
            return x

        integrate(counted, torch.ones(1), steps=3, method=method)
        assert len(times) == 3 * len(tableau.c)
        assert times[0] == 0


def test_an_unknown_solver_is_refused():
    with pytest.raises(ValueError, match=r"Found solver 'rk5', expected one of \['euler', .*'rk4'\]"):
        integrate(growing, torch.ones(1), method="rk5")
