"""What the user can choose for a conversion, and what it means to the backend."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _
from SynthRegLib.settings import Device


class Direction(enum.Enum):
    """Kept in the scene by its name."""

    TO_NATIVE = "native"
    TO_CONTRAST = "contrast"

    def label(self) -> str:
        return {
            Direction.TO_NATIVE: _("Native: take the contrast away"),
            Direction.TO_CONTRAST: _("Arterial contrast: add it"),
        }[self]

    def kind(self) -> str:
        """Of what is made, within a sentence."""
        return {Direction.TO_NATIVE: _("native CT"), Direction.TO_CONTRAST: _("contrast CT")}[self]


class Solver(enum.Enum):
    """How the flow is followed."""

    EULER = "euler"
    MIDPOINT = "midpoint"
    HEUN = "heun"
    RK3 = "rk3"
    RK4 = "rk4"
    ADAMS = "adams"
    ADAPTIVE = "adaptive"

    def label(self) -> str:
        return {
            Solver.EULER: _("Euler: the shipped model's best, 2 steps"),
            Solver.MIDPOINT: _("Midpoint"),
            Solver.HEUN: _("RK2 (Heun): the paper's best"),
            Solver.RK3: _("RK3"),
            Solver.RK4: _("RK4"),
            Solver.ADAMS: _("Adams, for many steps"),
            Solver.ADAPTIVE: _("Adaptive steps: slowest"),
        }[self]


@dataclass(frozen=True)
class ContrastSettings:
    """cycle: convert back as well, and map the error. model: name of an installed model, "" for the one that ships."""

    direction: Direction = Direction.TO_NATIVE
    solver: Solver = Solver.EULER
    steps: int = 2
    cycle: bool = True
    model: str = ""
    device: Device = Device.AUTO

    def parameters(self) -> dict[str, Any]:
        """Of a contrast request."""
        chosen: dict[str, Any] = {
            "to": self.direction.value,
            "solver": self.solver.value,
            "steps": int(self.steps),
            "cycle": self.cycle,
            "device": self.device.value,
        }
        return {**chosen, "model": self.model} if self.model else chosen
