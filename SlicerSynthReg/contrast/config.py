"""Contrast phases, methods, ODE solver settings and their number of network evaluations. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

TIMES = {"native": 0.0, "arterial": 1.0}
"""Contrast phase -> time t of the flow."""
METHODS = ("flow", "regression", "ddpm")


@dataclass(frozen=True)
class SolverConfig:
    """solver: one of spatial.ode.METHODS. steps: of the solver, or of the diffusion model's T."""

    solver: str = "euler"
    steps: int = 2


def nfe(config: SolverConfig, method: str) -> int:
    """Return the number of network evaluations per slice; the minimum for "adaptive"."""
    if method == "regression":
        return 1
    if method == "ddpm":
        return config.steps
    if config.solver == "adams":
        return 4 * min(3, config.steps) + max(0, config.steps - 3)
    stages = {"euler": 1, "midpoint": 2, "heun": 2, "rk3": 3, "rk4": 4, "adaptive": 7}
    return stages[config.solver] * config.steps


def other_phase(phase: str) -> str:
    """Return "arterial" for "native" and the reverse."""
    return next(name for name in TIMES if name != phase)
