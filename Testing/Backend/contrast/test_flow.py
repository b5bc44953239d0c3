from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from SlicerSynthReg.contrast.config import SolverConfig
from SlicerSynthReg.contrast.flow import flow_loss, integrate_flow, interpolate
from SlicerSynthReg.contrast.slice_network import SliceNetwork, apply_change, normalise_hu, with_neighbours

SOLVERS = ("euler", "midpoint", "heun", "rk3", "rk4", "adams", "adaptive")


class Formula(nn.Module):
    """A network that is a formula of the whole stack x (B, C, H, W) and t (B, 1, 1, 1), giving (B, 1, H, W)."""

    def __init__(self, formula) -> None:
        super().__init__()
        self.formula = formula
        self.anchor = nn.Parameter(torch.zeros(1))
        self.batches: list[int] = []

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(x))
        return self.formula(x, t.view(-1, 1, 1, 1))


def on_slices(formula, neighbours: int = 0, **more) -> SliceNetwork:
    return SliceNetwork(Formula(formula), neighbours, **more)


def test_the_path_is_native_at_0_and_contrast_at_1():
    native, contrast = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)
    assert interpolate(native, contrast, torch.tensor([0.0, 0.25, 1.0]))[:, 0, 0, 0].tolist() == [0, 0.25, 1]


def test_the_loss_is_the_mean_square_to_contrast_minus_native_of_the_middle_slice():
    native = torch.tensor([1.0, 10.0, 100.0]).view(1, 3, 1, 1)
    contrast = torch.tensor([2.0, 14.0, 300.0]).view(1, 3, 1, 1)
    loss = flow_loss(Formula(lambda x, t: x[:, 1:2] * 0), native, contrast, torch.tensor([0.5]))
    assert float(loss) == 16  # not 1 nor 200^2, which the neighbours would give; native - contrast gives it too, so:
    seen = flow_loss(Formula(lambda x, t: x[:, 1:2] / 3), native, contrast, torch.tensor([0.5]))
    assert float(seen) == 0  # x_t = 12, v = +4


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("target_phase, factor", [("arterial", math.e), ("native", 1 / math.e)])
def test_every_solver_integrates_to_the_closed_form_in_both_directions(solver, target_phase, factor):
    """dx/dt = 2 t x: x(t) = x(0) exp(t^2)."""
    x = torch.tensor([0.3, -0.2]).view(2, 1, 1)
    error = {
        steps: float(
            (
                integrate_flow(on_slices(lambda x, t: 2 * t * x), x, target_phase, SolverConfig(solver, steps))
                - factor * x
            )
            .abs()
            .max()
        )
        for steps in (4, 16)
    }
    assert error[16] < 0.1 and (error[16] < error[4] / 2 or error[16] < 1e-4)


@pytest.mark.parametrize(
    "solver, steps, evaluations",
    [("euler", 3, 3), ("midpoint", 1, 2), ("heun", 1, 2), ("rk3", 1, 3), ("rk4", 2, 8), ("adams", 5, 14)],
)
def test_evaluations_per_slice_are_counted(solver, steps, evaluations):
    f = on_slices(lambda x, t: x, batch=2)
    integrate_flow(f, torch.ones(5, 2, 2), "native", SolverConfig(solver, steps))
    assert f.evaluations == evaluations and f.net.batches == [2, 2, 1] * evaluations


def gaussian_field(native: tuple[float, float], contrast: tuple[float, float]):
    """E[x_1 - x_0 | x_t] of independent normal values, given as (mean, SD): what flow matching learns of them."""
    (m0, s0), (m1, s1) = native, contrast

    def v(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        spread = (1 - t) ** 2 * s0**2 + t**2 * s1**2
        return m1 - m0 + (t * s1**2 - (1 - t) * s0**2) / spread * (x - (1 - t) * m0 - t * m1)

    return v


def test_the_optimal_velocity_of_gaussians_carries_one_to_the_other():
    """Closed form: the flow maps m0 + s0 z to m1 + s1 z, noise keeps its rank. One Euler step gives the mean alone."""
    native, contrast = (0.05, 0.02), (0.3, 0.05)
    f = on_slices(gaussian_field(native, contrast))
    z = torch.linspace(-2, 2, 9).view(9, 1, 1)
    there = integrate_flow(f, 0.05 + 0.02 * z, "arterial", SolverConfig("rk4", 40))
    assert torch.allclose(there, 0.3 + 0.05 * z, atol=2e-4)
    assert torch.allclose(
        integrate_flow(f, 0.3 + 0.05 * z, "native", SolverConfig("rk4", 40)), 0.05 + 0.02 * z, atol=2e-4
    )
    assert torch.allclose(
        integrate_flow(f, 0.3 + 0.05 * z, "native", SolverConfig("euler", 1)), torch.full_like(z, 0.05), atol=1e-6
    )


def test_the_loss_is_least_at_that_velocity(seeded):
    """Learned coefficients of v = a + b x at one t come out as the closed form has them."""
    (m0, s0), (m1, s1), t = (0.05, 0.02), (0.3, 0.05), 0.7
    x_0, x_1 = (
        m + s * torch.randn(200_000, 1, 1, 1, generator=seeded(n)) for n, (m, s) in enumerate(((m0, s0), (m1, s1)))
    )
    a, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    middle = (1 - t) * m0 + t * m1
    optimizer = torch.optim.LBFGS([a, b], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = 1e3 * flow_loss(Formula(lambda x, _: a + b * (x - middle)), x_0, x_1, torch.full((200_000,), t))
        loss.backward()
        return loss

    optimizer.step(closure)
    v = gaussian_field((m0, s0), (m1, s1))
    at = lambda value: float(v(torch.tensor(value), torch.tensor(t)))  # noqa: E731
    assert float(a.detach()) == pytest.approx(at(middle), abs=1e-3)
    assert float(b.detach()) == pytest.approx((at(middle + 0.1) - at(middle)) / 0.1, rel=0.02)


def test_integration_back_recovers_the_start():
    """The field mixes neighbouring slices: the stack is one state, so the solution can be reversed."""

    def mixing(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return torch.sin(2 * x).sum(1, keepdim=True) * (0.2 + t) / 2

    x = torch.rand(6, 3, 4, generator=torch.Generator().manual_seed(3))
    f = on_slices(mixing, neighbours=1, batch=4)
    there = integrate_flow(f, x, "arterial", SolverConfig("rk4", 20))
    assert (there - x).abs().mean() > 0.2
    assert torch.allclose(integrate_flow(f, there, "native", SolverConfig("rk4", 20)), x, atol=1e-5)


def test_neighbours_are_the_slices_before_and_after_with_the_ends_repeated():
    volume = torch.arange(5.0).view(5, 1, 1)
    seen = with_neighbours(volume, torch.tensor([0, 2, 4]), 1)[:, :, 0, 0]
    assert seen.tolist() == [[0, 0, 1], [1, 2, 3], [3, 4, 4]]
    assert with_neighbours(volume, torch.tensor([3]), 2)[0, :, 0, 0].tolist() == [1, 2, 3, 4, 4]


def test_the_batch_of_slices_changes_nothing():
    x = torch.rand(7, 3, 4, generator=torch.Generator().manual_seed(1))
    results = [on_slices(lambda x, t: x.prod(1, keepdim=True), 1, batch=n)(x, 0.3) for n in (1, 3, 7)]
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_a_tick_stops_between_batches():
    def stop() -> None:
        raise InterruptedError

    f = on_slices(lambda x, t: x, batch=2, tick=stop)
    with pytest.raises(InterruptedError):
        f(torch.ones(6, 1, 1), 0.0)
    assert f.net.batches == [2]


def test_hounsfield_units_are_clipped_for_the_network_and_kept_in_the_output():
    hu = torch.tensor([-1024.0, -100.0, 40.0, 3000.0])
    x = normalise_hu(hu)
    assert torch.allclose(x, torch.tensor([-1, -0.1, 0.04, 1.0]))
    end = x + torch.tensor([0.0, 0.0, 0.25, 0.0])
    assert torch.allclose(apply_change(hu, x, end), torch.tensor([-1024.0, -100.0, 290.0, 3000.0]))
