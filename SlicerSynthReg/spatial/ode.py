"""Integrators of dx/dt = f(x, t), for velocity fields, flow matching and the anomaly PDE.

Explicit Runge-Kutta methods of orders 1 to 4 and Adams-Bashforth of order 4 with fixed steps; Dormand-Prince's embedded
pair of orders 5 and 4 with adaptive steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch

Field = Callable[[torch.Tensor, float], torch.Tensor]
Linear = Callable[[torch.Tensor, torch.Tensor], None]
"""(x, out): write A x into `out`."""


@dataclass(frozen=True)
class Tolerance:
    """Tolerance of an adaptive step: absolute + relative |x|."""

    relative: float = 1e-4
    absolute: float = 1e-6

    def of(self, magnitude: torch.Tensor) -> torch.Tensor:
        """Return the tolerance at |x| = `magnitude`, in its memory."""
        return magnitude.mul_(self.relative).add_(self.absolute)


TOLERANCE = Tolerance()


@dataclass(frozen=True)
class Tableau:
    """Butcher tableau: stage times c, stage weights a (lower triangular), step weights b."""

    c: tuple[Fraction, ...]
    a: tuple[tuple[Fraction, ...], ...]
    b: tuple[Fraction, ...]
    order: int


def _numbers(text: str) -> tuple[Fraction, ...]:
    return tuple(Fraction(word) for word in text.split())


def _tableau(order: int, c: str, a: str, b: str) -> Tableau:
    return Tableau(_numbers(c), tuple(_numbers(row) for row in a.split(";")), _numbers(b), order)


TABLEAUS = {
    "euler": _tableau(1, "0", "", "1"),
    "midpoint": _tableau(2, "0 1/2", "; 1/2", "0 1"),
    "heun": _tableau(2, "0 1", "; 1", "1/2 1/2"),
    "rk3": _tableau(3, "0 1/2 1", "; 1/2; -1 2", "1/6 2/3 1/6"),
    "rk4": _tableau(4, "0 1/2 1/2 1", "; 1/2; 0 1/2; 0 0 1", "1/6 1/3 1/3 1/6"),
}
METHODS = (*TABLEAUS, "adams", "adaptive")

DORMAND_PRINCE = _tableau(
    5,
    "0 1/5 3/10 4/5 8/9 1 1",
    "; 1/5; 3/40 9/40; 44/45 -56/15 32/9; 19372/6561 -25360/2187 64448/6561 -212/729;"
    "9017/3168 -355/33 46732/5247 49/176 -5103/18656; 35/384 0 500/1113 125/192 -2187/6784 11/84",
    "35/384 0 500/1113 125/192 -2187/6784 11/84 0",
)
FOURTH_ORDER = _numbers("5179/57600 0 7571/16695 393/640 -92097/339200 187/2100 1/40")
"""Step weights of the embedded fourth-order method on the stages of `DORMAND_PRINCE`."""
DIFFERENCE = tuple(fifth - fourth for fifth, fourth in zip(DORMAND_PRINCE.b, FOURTH_ORDER))


def _power_weights(weights: tuple[Fraction, ...], tableau: Tableau) -> tuple[Fraction, ...]:
    """Return the weights b a^(n - 1) 1 of (h A)^n x, n = 1, 2, ..., to which sum_i b_i k_i is equal for dx/dt = A x."""
    stages = [Fraction(1)] * len(tableau.c)
    found = []
    for _ in tableau.c:
        found.append(sum((w * s for w, s in zip(weights, stages)), Fraction(0)))
        stages = [sum((w * s for w, s in zip(row, stages)), Fraction(0)) for row in tableau.a]
    return tuple(found)


STEP_IN_POWERS = (Fraction(1), *_power_weights(DORMAND_PRINCE.b, DORMAND_PRINCE)[:-1])
ERROR_IN_POWERS = (Fraction(0), *_power_weights((*DIFFERENCE[:-1], Fraction(0)), DORMAND_PRINCE)[:-1])
"""Weights of (h A)^n x for dx/dt = A x: of a step, and of the error estimate but for its last stage."""
ADAMS = _numbers("55/24 -59/24 37/24 -9/24")
"""Weights of the last four evaluations of f, newest first."""
_CHUNK = 32_768
"""Numbers per chunk that stays in the CPU cache over several operations."""


def integrate(
    f: Field,
    x: torch.Tensor,
    start: float = 0.0,
    end: float = 1.0,
    steps: int = 1,
    method: str = "rk4",
) -> torch.Tensor:
    """Return x(end) for x(start) = `x`; end < start integrates backwards.

    f(x, t) returns a tensor of x's shape. method: one of METHODS. Those of TABLEAUS take `steps` equal steps of
    len(tableau.c) evaluations of f. "adams" takes `steps` equal steps: three by "rk4", then one evaluation each.
    "adaptive" takes at least `steps` steps: see `integrate_adaptively`. Raises ValueError.
    """
    if method not in METHODS:
        raise ValueError(f"Found solver {method!r}, expected one of {sorted(METHODS)}.")
    if method == "adaptive":
        return integrate_adaptively(f, x, start, end, steps).x
    h = (end - start) / steps
    if method == "adams":
        return _adams_bashforth(f, x, start, h, steps)
    tableau = TABLEAUS[method]
    for n in range(steps):
        k = _stages(f, x, start + n * h, h, tableau)
        x = _weighted_step(x, h, tableau.b, k)
    return x


@dataclass(frozen=True, eq=False)
class AdaptiveSolution:
    """x: at the end. accepted, rejected: number of steps. evaluations: of f."""

    x: torch.Tensor
    accepted: int
    rejected: int
    evaluations: int


def integrate_adaptively(
    f: Field,
    x: torch.Tensor,
    start: float = 0.0,
    end: float = 1.0,
    min_steps: int = 1,
    tolerance: Tolerance = TOLERANCE,
) -> AdaptiveSolution:
    """Integrate by Dormand and Prince's pair RK5(4) with local extrapolation and first-same-as-last.

    A step is accepted if, in every row of the batch (dimension 0), the root mean square of the difference between both
    orders, divided by the tolerance, is at most 1. Rows share their steps. No step is longer than
    (end - start) / min_steps, which can hold a stability limit such as a PDE's CFL number.
    Raises ArithmeticError if no step is short enough (f or x is not finite, or the solution diverges).
    """
    return _adaptively(_StageStepper(f, x, start), start, end, min_steps, tolerance)


def integrate_linear(
    a: Linear, x: torch.Tensor, end: float = 1.0, min_steps: int = 1, tolerance: Tolerance = TOLERANCE
) -> AdaptiveSolution:
    """Integrate dx/dt = A x, A constant, with the steps of `integrate_adaptively` at a fraction of the cost.

    a(x, out) writes A x into `out`. x: (B, ...), float32 or float64. Each stage is a polynomial of h A applied to x, so
    that both orders and their difference are one weighted sum of x, A x, A^2 x, ... No gradients.
    """
    with torch.no_grad():
        return _adaptively(_PowerStepper(a, x), 0.0, end, min_steps, tolerance)


class _StageStepper:
    """Steps of a general f, stage by stage."""

    def __init__(self, f: Field, x: torch.Tensor, t: float) -> None:
        self._f = f
        self.x = x
        self._first = f(x, t)

    def attempt(self, t: float, h: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return x after the step and the difference between both orders."""
        self._k = _stages(self._f, self.x, t, h, DORMAND_PRINCE, self._first)
        self._new = _weighted_step(self.x, h, DORMAND_PRINCE.b, self._k)
        with torch.no_grad():
            return self._new, _weighted_step(torch.zeros_like(self.x), h, DIFFERENCE, self._k)

    def accept(self) -> None:
        self.x, self._first = self._new, self._k[-1]


class _PowerStepper:
    """Steps of dx/dt = A x from the powers x, A x, ..., A^6 x."""

    def __init__(self, a: Linear, x: torch.Tensor) -> None:
        self._a = a
        self._powers = x.new_zeros((len(DORMAND_PRINCE.b), *x.shape))
        self._powers[0] = x
        self._a(self._powers[0], self._powers[1])
        self._slope = torch.zeros_like(x)

    @property
    def x(self) -> torch.Tensor:
        return self._powers[0]

    def attempt(self, t: float, h: float) -> tuple[torch.Tensor, torch.Tensor]:
        powers = self._powers
        for n in range(2, len(powers)):
            self._a(powers[n - 1], powers[n])
        amounts = [[float(weight) * h**n for n, weight in enumerate(row)] for row in (STEP_IN_POWERS, ERROR_IN_POWERS)]
        both = (powers.new_tensor(amounts) @ powers.flatten(1)).view(2, *powers.shape[1:])
        self._new = both[0]
        self._a(self._new, self._slope)
        return self._new, both[1].add_(self._slope, alpha=h * float(DIFFERENCE[-1]))

    def accept(self) -> None:
        self._powers[0], self._powers[1] = self._new, self._slope


def _adaptively(
    stepper: _StageStepper | _PowerStepper, start: float, end: float, min_steps: int, tolerance: Tolerance
) -> AdaptiveSolution:
    """Step to `end` with the longest steps within the tolerance."""
    longest = (end - start) / min_steps
    t, h = start, longest
    accepted, rejected = 0, 0
    while abs(end - t) > 1e-12 * abs(end - start):
        last = abs(end - t) <= abs(h) * (1 + 1e-9)
        h = end - t if last else h
        new, difference = stepper.attempt(t, h)
        error = _error(stepper.x, new, difference, tolerance)
        if error <= 1:
            t = end if last else t + h
            stepper.accept()
            accepted += 1
        else:
            rejected += 1
        growth = 0.9 * error**-0.2 if 0 < error < math.inf else (10.0 if error == 0 else 0.1)
        h = math.copysign(min(abs(h) * min(10.0 if error <= 1 else 0.9, max(0.1, growth)), abs(longest)), longest)
        if abs(h) < 1e-12 * abs(end - start):
            raise ArithmeticError(f"Found no step short enough at t = {t:g}, expected a bounded solution.")
    return AdaptiveSolution(stepper.x, accepted, rejected, 1 + (len(DORMAND_PRINCE.b) - 1) * (accepted + rejected))


def _error(x: torch.Tensor, new: torch.Tensor, difference: torch.Tensor, tolerance: Tolerance) -> float:
    """Return the largest scaled difference between both orders over the batch; infinite if not finite."""
    rows = [item.flatten(min(1, x.ndim - 1)) for item in (x, new, difference)]
    count = rows[0].shape[-1]
    step = _CHUNK if x.device.type == "cpu" else max(1, count)
    with torch.no_grad():
        squares = [
            torch.linalg.vector_norm(d / tolerance.of(torch.maximum(a.abs(), b.abs())), dim=-1).square()
            for a, b, d in zip(*(row.split(step, -1) for row in rows))
        ]
        error = math.sqrt(float(torch.stack(squares).sum(0).max()) / count)
    return error if math.isfinite(error) else math.inf


def _stages(
    f: Field, x: torch.Tensor, t: float, h: float, tableau: Tableau, first: torch.Tensor | None = None
) -> list[torch.Tensor]:
    """Return f at the stages of one step; `first`: its value at (x, t) if known."""
    k: list[torch.Tensor] = [] if first is None else [first]
    for c_i, a_i in list(zip(tableau.c, tableau.a))[len(k) :]:
        k.append(f(_weighted_step(x, h, a_i, k), t + h * float(c_i)))
    return k


def _weighted_step(x: torch.Tensor, h: float, weights: tuple[Fraction, ...], k: list[torch.Tensor]) -> torch.Tensor:
    """Return x + h sum_i weights_i k_i."""
    total = None
    for weight, slope in zip(weights, k):
        if weight:
            amount = h * float(weight)
            total = torch.add(x, slope, alpha=amount) if total is None else total.add_(slope, alpha=amount)
    return x if total is None else total


def _adams_bashforth(f: Field, x: torch.Tensor, start: float, h: float, steps: int) -> torch.Tensor:
    """x(n+1) = x(n) + h / 24 (55 f(n) - 59 f(n-1) + 37 f(n-2) - 9 f(n-3)); the first three steps by Runge-Kutta."""
    past: list[torch.Tensor] = []
    for n in range(steps):
        t = start + n * h
        if n < len(ADAMS) - 1:
            k = _stages(f, x, t, h, TABLEAUS["rk4"])
            past = [k[0], *past]
            x = _weighted_step(x, h, TABLEAUS["rk4"].b, k)
        else:
            past = [f(x, t), *past][: len(ADAMS)]
            x = _weighted_step(x, h, ADAMS, past)
    return x
