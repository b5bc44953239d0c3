from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from SlicerSynthReg.spatial.ode import (
    ADAMS,
    DORMAND_PRINCE,
    ERROR_IN_POWERS,
    FOURTH_ORDER,
    STEP_IN_POWERS,
    TABLEAUS,
    Tolerance,
    integrate,
    integrate_adaptively,
    integrate_linear,
)


def growing(x: torch.Tensor, t: float) -> torch.Tensor:
    """dx/dt = x^2 cos t: x = 1 / (1 / x0 - sin t); not linear and not autonomous, so no stage's fault cancels."""
    return x * x * math.cos(t)


def exact(x0: float, t: float) -> float:
    return 1 / (1 / x0 - math.sin(t))


def order_of(method: str, counts: tuple[int, ...] = (16, 32, 64)) -> float:
    x0 = torch.tensor([0.5, 1.0], dtype=torch.float64)
    truth = torch.tensor([exact(0.5, 0.5), exact(1.0, 0.5)], dtype=torch.float64)
    errors = [float((integrate(growing, x0, 0.0, 0.5, n, method) - truth).abs().max()) for n in counts]
    return -np.polyfit(np.log(counts), np.log(errors), 1)[0]


@pytest.mark.parametrize("method", TABLEAUS)
def test_the_error_falls_with_the_order_of_the_tableau(method):
    assert order_of(method) == pytest.approx(TABLEAUS[method].order, abs=0.2)


def test_adams_is_of_fourth_order_and_begins_as_runge_kutta():
    assert order_of("adams", (32, 64, 128)) == pytest.approx(4, abs=0.2)
    x0 = torch.tensor([0.5], dtype=torch.float64)
    ways = {method: float(integrate(growing, x0, 0.0, 0.5, 3, method)) for method in ("adams", "rk4", "rk3")}
    assert ways["adams"] == ways["rk4"] != ways["rk3"]
    assert sum(ADAMS) == 1


def test_with_every_error_allowed_the_adaptive_pair_takes_the_min_steps_and_is_of_fifth_order():
    """On dx/dt = x a step multiplies by exp(h) up to h^5, and the pair's known 1/600 h^6 beyond."""
    h = 0.5
    one_step = sum(h**n / math.factorial(n) for n in range(6)) + h**6 / 600
    x = torch.ones(1, 1, dtype=torch.float64)
    found = integrate_adaptively(lambda x, t: x, x, 0.0, 1.0, 2, Tolerance(math.inf))
    assert found.accepted == 2 and float(found.x) == pytest.approx(one_step**2, rel=1e-14)


def test_the_pair_is_the_published_one():
    from scipy.integrate import RK45

    assert np.allclose([float(c) for c in DORMAND_PRINCE.c[:-1]], RK45.C, atol=1e-15)
    for n, row in enumerate(DORMAND_PRINCE.a[:-1]):
        assert np.allclose([float(a) for a in row], RK45.A[n, :n], atol=1e-15)
    assert np.allclose([float(low - high) for low, high in zip(FOURTH_ORDER, DORMAND_PRINCE.b)], RK45.E, atol=1e-15)


@pytest.mark.parametrize("rtol", [1e-3, 1e-5, 1e-7])
def test_the_adaptive_error_follows_its_tolerance(rtol):
    x0 = torch.tensor([[0.5, 1.9]], dtype=torch.float64)
    truth = torch.tensor([[exact(0.5, 0.5), exact(1.9, 0.5)]], dtype=torch.float64)
    found = integrate_adaptively(growing, x0, 0.0, 0.5, tolerance=Tolerance(rtol, 1e-9))
    error = float(((found.x - truth) / truth).abs().max())
    assert rtol * 1e-4 < error < rtol * 10
    assert found.evaluations == 1 + 6 * (found.accepted + found.rejected)


def test_the_adaptive_pair_shortens_its_steps_only_where_it_must_and_agrees_with_scipy():
    from scipy.integrate import solve_ivp

    def sharp(x: torch.Tensor, t: float) -> torch.Tensor:
        return x * -math.tanh(40 * (t - 0.5)) * 3

    peer = solve_ivp(lambda t, x: -x * np.tanh(40 * (t - 0.5)) * 3, (0, 1), [1.0], rtol=1e-6, atol=1e-9)
    found = integrate_adaptively(sharp, torch.ones(1, 1, dtype=torch.float64), tolerance=Tolerance(1e-6, 1e-9))
    assert float(found.x) == pytest.approx(peer.y[0, -1], rel=1e-4)
    assert found.accepted == pytest.approx(len(peer.t) - 1, rel=0.2)


def test_no_adaptive_step_is_longer_than_allowed():
    times: list[float] = []

    def still(x: torch.Tensor, t: float) -> torch.Tensor:
        times.append(t)
        return torch.zeros_like(x)

    found = integrate_adaptively(still, torch.ones(1, 1), 2.0, 1.0, min_steps=7)
    assert found.accepted == 7 and found.rejected == 0
    assert times[0] == 2 and times[-1] == 1
    assert max(-np.diff(times)) <= 1 / 7 + 1e-9


def test_every_row_of_a_batch_keeps_its_tolerance():
    """One lively row among many still ones: a mean over the batch would let it go wrong."""
    x0 = torch.zeros(200, 1, dtype=torch.float64)
    x0[77] = 1.9
    alone = integrate_adaptively(growing, x0[77:78], 0.0, 0.5, tolerance=Tolerance(1e-5, 1e-6))
    found = integrate_adaptively(growing, x0, 0.0, 0.5, tolerance=Tolerance(1e-5, 1e-6))
    assert found.accepted == alone.accepted
    assert torch.equal(found.x[77], alone.x[0]) and not found.x[:77].any()


def test_a_solution_that_escapes_is_an_error_and_no_endless_loop():
    with pytest.raises(ArithmeticError, match="no step short enough at t = 0.5"):
        integrate_adaptively(lambda x, t: x * x, torch.full((1, 1), 2.0, dtype=torch.float64))  # 1 / (1/2 - t)
    with pytest.raises(ArithmeticError, match="no step short enough at t = 0,"):
        integrate(lambda x, t: x * math.nan, torch.ones(1, 1), method="adaptive")


def test_the_embedded_pair_is_consistent_in_both_orders():
    tableau = DORMAND_PRINCE
    assert sum(tableau.b) == sum(FOURTH_ORDER) == 1
    assert tableau.b[:-1] == tableau.a[-1]  # its last stage is the next step's first
    for weights, order in ((tableau.b, 5), (FOURTH_ORDER, 4)):
        moments = [sum(b * c**n for b, c in zip(weights, tableau.c)) * (n + 1) for n in range(order + 1)]
        assert moments[:order] == [1] * order and moments[order] != 1


@pytest.mark.parametrize("tableau", [*TABLEAUS.values(), DORMAND_PRINCE])
def test_a_tableau_is_explicit_and_consistent(tableau):
    assert sum(tableau.b) == 1
    for n, (c, a) in enumerate(zip(tableau.c, tableau.a)):
        assert len(a) <= n and sum(a) == c


def test_time_starts_where_told():
    x = torch.tensor([exact(1.0, 0.2)], dtype=torch.float64)
    found = float(integrate(growing, x, 0.2, 0.5, 20))
    assert found == pytest.approx(exact(1.0, 0.5), rel=1e-7)
    assert abs(float(integrate(growing, x, 0.0, 0.3, 20)) - found) > 0.02  # the same length from 0 is another path


@pytest.mark.parametrize("method", ["rk4", "adams", "adaptive"])
def test_backwards_returns_to_the_start(method):
    x0 = torch.tensor([0.7], dtype=torch.float64)
    there = integrate(growing, x0, 0.0, 0.5, 40, method)
    assert float(there) == pytest.approx(exact(0.7, 0.5), rel=1e-6)
    assert float(integrate(growing, there, 0.5, 0.0, 40, method)) == pytest.approx(0.7, rel=1e-6)


def test_each_step_costs_one_evaluation_a_stage():
    for method, tableau in TABLEAUS.items():
        times: list[float] = []

        def counted(x: torch.Tensor, t: float, times: list[float] = times) -> torch.Tensor:
            times.append(t)
            return x

        integrate(counted, torch.ones(1), steps=3, method=method)
        assert len(times) == 3 * len(tableau.c)
        assert times[0] == 0


@pytest.fixture
def turning_and_fading() -> torch.Tensor:
    """(6, 6): eigenvalues off both axes, so that neither a sign nor an order of products can cancel."""
    generator = torch.Generator().manual_seed(0)
    random = torch.rand(6, 6, dtype=torch.float64, generator=generator)
    return 4 * (random - random.T) - 5 * random @ random.T


@pytest.mark.parametrize(("rtol", "fewest"), [(1e-3, 1), (1e-8, 1), (1e-3, 40)])
def test_in_powers_of_a_constant_matrix_the_pair_takes_the_very_same_steps(turning_and_fading, rtol, fewest):
    matrix = turning_and_fading
    x0 = torch.linspace(-1, 2, 18, dtype=torch.float64).view(3, 6)
    found = integrate_linear(lambda x, out: torch.mm(x, matrix.T, out=out), x0, 1.5, fewest, Tolerance(rtol, 1e-9))
    peer = integrate_adaptively(lambda x, t: x @ matrix.T, x0, 0.0, 1.5, fewest, Tolerance(rtol, 1e-9))
    assert (found.accepted, found.rejected) == (peer.accepted, peer.rejected)
    assert found.evaluations == peer.evaluations
    assert torch.allclose(found.x, peer.x, rtol=0, atol=1e-11)
    exact_x = x0 @ torch.linalg.matrix_exp(1.5 * matrix).T
    assert torch.allclose(found.x, exact_x, rtol=0, atol=100 * rtol) and not torch.allclose(x0, exact_x, atol=0.3)


def test_its_weights_are_the_exponential_s_to_fifth_order_and_their_sums_those_of_the_stages():
    assert [float(w * math.factorial(n)) for n, w in enumerate(STEP_IN_POWERS[:6])] == [1.0] * 6
    assert STEP_IN_POWERS[6] * 600 == 1
    assert ERROR_IN_POWERS[1] == FOURTH_ORDER[-1] == sum(DORMAND_PRINCE.b) - sum(FOURTH_ORDER[:-1])


def test_an_unknown_solver_is_refused():
    with pytest.raises(ValueError, match=r"Found solver 'rk5', expected one of \['adams', 'adaptive', .*'rk4'\]"):
        integrate(growing, torch.ones(1), method="rk5")
