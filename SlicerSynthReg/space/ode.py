"""The integrators of dx/dt = f(x, t): one family for velocity fields, flow matching and the anomaly PDE.

Explicit Runge-Kutta of orders 1 to 4 and Adams-Bashforth of order 4 in equal steps, and Dormand-Prince's embedded pair
of orders 5 and 4, which chooses its steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch

Field = Callable[[torch.Tensor, float], torch.Tensor]
Linear = Callable[[torch.Tensor, torch.Tensor], None]
"""(x, out): writes A x into `out`."""


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
"""Step weights of the pair's second, fourth-order answer on the stages of `DORMAND_PRINCE`."""
DIFFERENCE = tuple(fifth - fourth for fifth, fourth in zip(DORMAND_PRINCE.b, FOURTH_ORDER))


def _in_powers(weights: tuple[Fraction, ...], tableau: Tableau) -> tuple[Fraction, ...]:
    """What the sum of weights k is for dx/dt = A x: the weights of h A x, (h A)^2 x and so on, b a^(n - 1) 1."""
    stages = [Fraction(1)] * len(tableau.c)
    found = []
    for _ in tableau.c:
        found.append(sum((w * s for w, s in zip(weights, stages)), Fraction(0)))
        stages = [sum((w * s for w, s in zip(row, stages)), Fraction(0)) for row in tableau.a]
    return tuple(found)


STEP_IN_POWERS = (Fraction(1), *_in_powers(DORMAND_PRINCE.b, DORMAND_PRINCE)[:-1])
ERROR_IN_POWERS = (Fraction(0), *_in_powers((*DIFFERENCE[:-1], Fraction(0)), DORMAND_PRINCE)[:-1])
"""Weights of (h A)^n x in a step for dx/dt = A x, and in the difference but for its last stage, A x after the step."""
ADAMS = _numbers("55/24 -59/24 37/24 -9/24")
"""Weights of the last four slopes, the newest first."""
_AT_ONCE = 32_768
"""Numbers of a piece that stays near the processor over several operations."""


def integrate(
    f: Field,
    x: torch.Tensor,
    start: float = 0.0,
    end: float = 1.0,
    steps: int = 1,
    method: str = "rk4",
    rtol: float = 1e-4,
    atol: float = 1e-6,
) -> torch.Tensor:
    """x(end) for x(start) = `x`; end < start integrates backwards.

    f(x, t) returns a tensor of x's shape. method: one of METHODS. Those of TABLEAUS take `steps` equal steps of
    len(tableau.c) evaluations of f. "adams" takes `steps` equal steps, three by "rk4" and then one evaluation each.
    "adaptive" takes `steps` steps or more: see `integrate_adaptively` for rtol and atol.
    """
    if method not in METHODS:
        raise ValueError(f"Found solver {method!r}, expected one of {sorted(METHODS)}.")
    if method == "adaptive":
        return integrate_adaptively(f, x, start, end, steps, rtol, atol).x
    h = (end - start) / steps
    if method == "adams":
        return _adams_bashforth(f, x, start, h, steps)
    tableau = TABLEAUS[method]
    for n in range(steps):
        k = _slopes(f, x, start + n * h, h, tableau)
        x = _added(x, h, tableau.b, k)
    return x


@dataclass(frozen=True, eq=False)
class AdaptiveSolution:
    """x at the end; the steps that were taken and those that were tried and given up; evaluations of f."""

    x: torch.Tensor
    accepted: int
    rejected: int
    evaluations: int


def integrate_adaptively(
    f: Field,
    x: torch.Tensor,
    start: float = 0.0,
    end: float = 1.0,
    fewest_steps: int = 1,
    rtol: float = 1e-4,
    atol: float = 1e-6,
) -> AdaptiveSolution:
    """Dormand and Prince's pair RK5(4), the fifth order carried on, the last slope used again.

    A step stands if, in every row of the batch (dimension 0), the root mean square of the difference between both
    orders, over atol + rtol |x|, is at most 1. Rows share their steps. No step is longer than
    (end - start) / fewest_steps: where f has a limit of stability, as a PDE's CFL number, it goes there.
    Errors: ArithmeticError where no step is short enough (f or x is not finite, or the solution escapes).
    """
    return _adaptively(_ByStages(f, x, start), start, end, fewest_steps, rtol, atol)


def integrate_linear(
    a: Linear, x: torch.Tensor, end: float = 1.0, fewest_steps: int = 1, rtol: float = 1e-4, atol: float = 1e-6
) -> AdaptiveSolution:
    """x(end) for dx/dt = A x with A constant: the same steps as `integrate_adaptively`, several times cheaper.

    a(x, out) writes A x into `out`. x: (B, ...), float32 or float64. There each stage is a polynomial in h A of x, so
    that both orders and their difference are sums over x, A x, A^2 x ..., taken at once. No gradients.
    """
    with torch.no_grad():
        return _adaptively(_ByPowers(a, x), 0.0, end, fewest_steps, rtol, atol)


class _ByStages:
    """Steps from x, stage by stage; `first`: the slope there."""

    def __init__(self, f: Field, x: torch.Tensor, t: float) -> None:
        self._f = f
        self.x = x
        self._first = f(x, t)

    def attempt(self, t: float, h: float) -> tuple[torch.Tensor, torch.Tensor]:
        """x after the step, and the difference between both orders."""
        self._k = _slopes(self._f, self.x, t, h, DORMAND_PRINCE, self._first)
        self._new = _added(self.x, h, DORMAND_PRINCE.b, self._k)
        with torch.no_grad():
            return self._new, _added(torch.zeros_like(self.x), h, DIFFERENCE, self._k)

    def accept(self) -> None:
        self.x, self._first = self._new, self._k[-1]


class _ByPowers:
    """The same for dx/dt = A x. powers: x, A x ... A^6 x."""

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
    way: _ByStages | _ByPowers, start: float, end: float, fewest_steps: int, rtol: float, atol: float
) -> AdaptiveSolution:
    """Steps of `way`, as long as the tolerance lets them be."""
    longest = (end - start) / fewest_steps
    t, h = start, longest
    accepted, rejected = 0, 0
    while abs(end - t) > 1e-12 * abs(end - start):
        last = abs(end - t) <= abs(h) * (1 + 1e-9)
        h = end - t if last else h
        new, difference = way.attempt(t, h)
        error = _error(way.x, new, difference, rtol, atol)
        if error <= 1:
            t = end if last else t + h
            way.accept()
            accepted += 1
        else:
            rejected += 1
        growth = 0.9 * error**-0.2 if 0 < error < math.inf else (10.0 if error == 0 else 0.1)
        h = math.copysign(min(abs(h) * min(10.0 if error <= 1 else 0.9, max(0.1, growth)), abs(longest)), longest)
        if abs(h) < 1e-12 * abs(end - start):
            raise ArithmeticError(f"Found no step short enough at t = {t:g}, expected a bounded solution.")
    return AdaptiveSolution(way.x, accepted, rejected, 1 + (len(DORMAND_PRINCE.b) - 1) * (accepted + rejected))


def _error(x: torch.Tensor, new: torch.Tensor, difference: torch.Tensor, rtol: float, atol: float) -> float:
    """Largest over the batch of the scaled difference between both orders; infinite if it is no number."""
    rows = [one.flatten(min(1, x.ndim - 1)) for one in (x, new, difference)]
    count = rows[0].shape[-1]
    step = _AT_ONCE if x.device.type == "cpu" else max(1, count)
    with torch.no_grad():
        squares = [
            torch.linalg.vector_norm(d / torch.maximum(a.abs(), b.abs()).mul_(rtol).add_(atol), dim=-1).square()
            for a, b, d in zip(*(one.split(step, -1) for one in rows))
        ]
        error = math.sqrt(float(torch.stack(squares).sum(0).max()) / count)
    return error if math.isfinite(error) else math.inf


def _slopes(
    f: Field, x: torch.Tensor, t: float, h: float, tableau: Tableau, first: torch.Tensor | None = None
) -> list[torch.Tensor]:
    """f at the stages of one step; `first`: its value at (x, t) where it is known."""
    k: list[torch.Tensor] = [] if first is None else [first]
    for c_i, a_i in list(zip(tableau.c, tableau.a))[len(k) :]:
        k.append(f(_added(x, h, a_i, k), t + h * float(c_i)))
    return k


def _added(x: torch.Tensor, h: float, weights: tuple[Fraction, ...], k: list[torch.Tensor]) -> torch.Tensor:
    """x + h sum of weights k."""
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
            k = _slopes(f, x, t, h, TABLEAUS["rk4"])
            past = [k[0], *past]
            x = _added(x, h, TABLEAUS["rk4"].b, k)
        else:
            past = [f(x, t), *past][: len(ADAMS)]
            x = _added(x, h, ADAMS, past)
    return x
