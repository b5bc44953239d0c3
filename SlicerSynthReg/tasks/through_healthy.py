"""A diseased brain is aligned through its anatomy in health: the reconstruction is compared, which has no lesion that
could pull on the deformation; the scan itself is moved."""

from __future__ import annotations

import dataclasses
from typing import Any

from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.methods.una.model import UNA
from SlicerSynthReg.tasks.healing import HealingConfig, detailed, heal
from SlicerSynthReg.tasks.register_inputs import Inputs
from SlicerSynthReg.tasks.stopwatch import Progress
from SlicerSynthReg.volume.volume import Volume

SIDES = {"none": (), "fixed": ("fixed",), "moving": ("moving",), "both": ("fixed", "moving")}
FINE_MM = 1.0


@dataclasses.dataclass(frozen=True, eq=False)
class InHealth:
    """inputs: what is compared; for each side that is taken through its reconstruction the T1 at 1 mm instead of the
    scan, of which the reconstructed brain counts alone. warnings: what a user must know of it."""

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
        compared: dict[str, Any] = {
            side: detailed(healed, scan, healed.t1.grid.resampled(FINE_MM)),
            f"{side}_mask": _counting(healed.brain, getattr(inputs, f"{side}_mask")),
        }
        inputs = dataclasses.replace(inputs, **compared)
        seconds[f"healthy anatomy, {side}"] = sum(healed.seconds.values())
        warnings.append(
            f"The {side} scan was aligned through its healthy reconstruction, which is made up: under a lesion the "
            "transform says where its tissue would lie in health."
        )
        warnings += [f"Of the {side} scan: {text}" for text in healed.warnings]
    return InHealth(inputs, seconds, tuple(warnings))


def _counting(brain: Volume, mask: Volume | None) -> Volume:
    """The reconstructed brain, within what the user lets count."""
    if mask is None:
        return brain
    allowed = Volume((mask.data[:1] != 0).float(), mask.grid).resampled(brain.grid).data > 0.5
    return Volume(brain.data * allowed, brain.grid)
