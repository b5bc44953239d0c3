"""A diseased brain is aligned through its anatomy in health: what is abnormal gives way to the reconstruction, so that
no lesion pulls on the deformation; the scan itself is moved.

What is healthy stays as it was scanned, in its own contrast: a reconstruction of the whole brain would align no better
than the network draws it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.methods.una.model import UNA
from SlicerSynthReg.tasks.filling import filled
from SlicerSynthReg.tasks.healing import HealingConfig, heal
from SlicerSynthReg.tasks.register_inputs import Inputs
from SlicerSynthReg.tasks.stopwatch import Progress
from SlicerSynthReg.volume.volume import Volume

SIDES = {"none": (), "fixed": ("fixed",), "moving": ("moving",), "both": ("fixed", "moving")}


@dataclasses.dataclass(frozen=True, eq=False)
class InHealth:
    """inputs: what is compared; the sides that are taken through health are filled. warnings: what a user must know."""

    inputs: Inputs
    seconds: dict[str, float]
    warnings: tuple[str, ...]


def in_health(
    inputs: Inputs,
    which: str,
    una: UNA,
    spacing: float,
    brains: SynthMorph | None,
    device: str,
    progress: Progress = lambda share, text: None,
) -> InHealth:
    """which: a key of SIDES. una, spacing, brains: as in `heal`. Errors: as in `heal`."""
    sides = SIDES[which]
    seconds: dict[str, float] = {}
    warnings: list[str] = []
    for n, side in enumerate(sides):
        scan: Volume = getattr(inputs, side)

        def tell(share: float, text: str, n: int = n) -> None:
            progress((n + share) / len(sides), f"healthy anatomy: {text}")

        healed = heal(una, brains, spacing, scan, HealingConfig(device=device), tell)
        compared: dict[str, Any] = {side: filled(healed, scan, una)}
        inputs = dataclasses.replace(inputs, **compared)
        seconds[f"healthy anatomy, {side}"] = sum(healed.seconds.values())
        if torch.equal(compared[side].data, scan.data[:1].float()):
            warnings.append(f"Nothing abnormal was found in the {side} scan: it was aligned as it is.")
        else:
            warnings.append(
                f"The {side} scan was aligned through its healthy reconstruction, which is made up, in place of what "
                "was found abnormal: there the transform says where the tissue would lie in health."
            )
        warnings += [f"Of the {side} scan: {text}" for text in healed.warnings]
    return InHealth(inputs, seconds, tuple(warnings))
