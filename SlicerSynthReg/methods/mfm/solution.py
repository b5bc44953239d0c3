"""How the flow's equation is to be solved, and what that costs. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Solution:
    """How the equation is solved. steps: of the solver, or of DDPM's T."""

    solver: str = "euler"
    steps: int = 2


def calls(solution: Solution, way: str) -> int:
    """How often the network is called for a slice; for "adaptive", which decides by itself, the least."""
    if way == "regression":
        return 1
    if way == "ddpm":
        return solution.steps
    if solution.solver == "adams":
        return 4 * min(3, solution.steps) + max(0, solution.steps - 3)
    stages = {"euler": 1, "midpoint": 2, "heun": 2, "rk3": 3, "rk4": 4, "adaptive": 7}
    return stages[solution.solver] * solution.steps
