"""Explicit Runge-Kutta integrators of dx/dt = f(x, t): one family for velocity fields, flow matching and PDEs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch

Field = Callable[[torch.Tensor, float], torch.Tensor]


@dataclass(frozen=True)
class Tableau:
    """Butcher tableau: stage times c, stage weights a (lower triangular), step weights b."""

    c: tuple[Fraction, ...]
    a: tuple[tuple[Fraction, ...], ...]
    b: tuple[Fraction, ...]
    order: int


def _tableau(order: int, c: str, a: str, b: str) -> Tableau:
    def numbers(text: str) -> tuple[Fraction, ...]:
        return tuple(Fraction(word) for word in text.split())

    return Tableau(numbers(c), tuple(numbers(row) for row in a.split(";")), numbers(b), order)


TABLEAUS = {
    "euler": _tableau(1, "0", "", "1"),
    "midpoint": _tableau(2, "0 1/2", "; 1/2", "0 1"),
    "heun": _tableau(2, "0 1", "; 1", "1/2 1/2"),
    "rk3": _tableau(3, "0 1/2 1", "; 1/2; -1 2", "1/6 2/3 1/6"),
    "rk4": _tableau(4, "0 1/2 1/2 1", "; 1/2; 0 1/2; 0 0 1", "1/6 1/3 1/3 1/6"),
}


def integrate(
    f: Field, x: torch.Tensor, start: float = 0.0, end: float = 1.0, steps: int = 1, method: str = "rk4"
) -> torch.Tensor:
    """x(end) for x(start) = `x`, in `steps` equal steps; end < start integrates backwards.

    f(x, t) returns a tensor of x's shape. method: one of TABLEAUS. Cost: steps x len(tableau.c) evaluations of f.
    """
    if method not in TABLEAUS:
        raise ValueError(f"Found solver {method!r}, expected one of {sorted(TABLEAUS)}.")
    tableau = TABLEAUS[method]
    h = (end - start) / steps
    for n in range(steps):
        t = start + n * h
        k: list[torch.Tensor] = []
        for c_i, a_i in zip(tableau.c, tableau.a):
            inner = x
            for a_ij, k_j in zip(a_i, k):
                if a_ij:
                    inner = inner + h * float(a_ij) * k_j
            k.append(f(inner, t + h * float(c_i)))
        for b_i, k_i in zip(tableau.b, k):
            if b_i:
                x = x + h * float(b_i) * k_i
    return x
