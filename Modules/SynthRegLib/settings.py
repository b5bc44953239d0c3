"""What the user can choose beside the nodes, and what it means to the backend."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from SlicerSynthReg.weights.registry import available, read_card
from SynthRegLib.networks import network_note


class Preset(enum.Enum):
    """Kept in the scene by its name."""

    BRAIN_ACCURATE = "brain, accurate"
    BRAIN_FAST = "brain, fast"
    ANY_ANATOMY = "any anatomy"
    AFFINE = "affine only"

    def label(self) -> str:
        return {
            Preset.BRAIN_ACCURATE: _("Brain, accurate"),
            Preset.BRAIN_FAST: _("Brain, fast"),
            Preset.ANY_ANATOMY: _("Any anatomy (no network)"),
            Preset.AFFINE: _("Affine only: shift, turn, stretch"),
        }[self]


class Device(enum.Enum):
    AUTO = "auto"
    PROCESSOR = "cpu"
    GRAPHICS = "cuda"

    def label(self) -> str:
        return {
            Device.AUTO: _("Automatic"),
            Device.PROCESSOR: _("Processor (CPU)"),
            Device.GRAPHICS: _("Graphics card (CUDA)"),
        }[self]


@dataclass(frozen=True)
class Settings:
    """smoothness: 1 is the default, more is smoother. inverse, jacobian: whether these nodes are made as well."""

    preset: Preset = Preset.BRAIN_ACCURATE
    smoothness: float = 1.0
    device: Device = Device.AUTO
    inverse: bool = True
    jacobian: bool = False

    def parameters(self) -> dict[str, Any]:
        """Of a register request."""
        chosen: dict[str, Any] = {"regularization": float(self.smoothness), "device": self.device.value}
        if self.preset is Preset.BRAIN_FAST:
            chosen["preset"] = "fast"
        if self.preset is Preset.ANY_ANATOMY:
            chosen["model"] = "none"
        if self.preset is Preset.AFFINE:
            chosen["affine_only"] = True
        return chosen

    def wanted(self) -> tuple[str, ...]:
        """Names of the arrays that become nodes."""
        more = [name for name, asked in (("inverse", self.inverse), ("jacobian", self.jacobian)) if asked]
        return ("moved", "forward", "moved_labels", *more)


BRAIN_MODEL = "synthmorph-brains"
"""What the backend takes for the brain presets, where it is installed."""


def model_note(preset: Preset) -> str:
    """What will compare the images, and what it was trained on."""
    if preset is Preset.ANY_ANATOMY or BRAIN_MODEL not in available():
        absent = _("The brain network is not installed. ") if preset is not Preset.ANY_ANATOMY else ""
        return absent + _("Images are compared by their local structure, without a network.")
    return network_note(read_card(BRAIN_MODEL))
