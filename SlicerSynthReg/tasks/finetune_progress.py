"""What a fine-tuning says of itself as progress, and how a listener reads it again. Imports no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = r"(-?[\d.]+(?:e[+-]?\d+)?|nan|inf)"
_STEP = re.compile(rf"step (\d+) of (\d+), loss {_NUMBER}")
_CHECK = re.compile(rf"step (\d+) checked, score {_NUMBER}")


@dataclass(frozen=True)
class Step:
    """One step of the training; steps: of the whole, at most."""

    step: int
    steps: int
    loss: float

    def __str__(self) -> str:
        return f"step {self.step} of {self.steps}, loss {self.loss:.3f}"


@dataclass(frozen=True)
class Check:
    """score: mean Dice of the volumes left out, after `step`."""

    step: int
    score: float

    def __str__(self) -> str:
        return f"step {self.step} checked, score {self.score:.3f}"


def heard(text: str) -> Step | Check | None:
    """What a line of progress tells; None for any other line."""
    if found := _STEP.fullmatch(text):
        return Step(int(found[1]), int(found[2]), float(found[3]))
    if found := _CHECK.fullmatch(text):
        return Check(int(found[1]), float(found[2]))
    return None
