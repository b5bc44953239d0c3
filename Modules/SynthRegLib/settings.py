"""What the user can choose beside the nodes, and what it means to the backend."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from SlicerSynthReg.tasks.sequence_parameters import FIRST, MEAN, MIDDLE
from SlicerSynthReg.weights.registry import available, read_card
from SynthRegLib.networks import network_note


class Preset(enum.Enum):
    """Kept in the scene by its name."""

    BRAIN_ACCURATE = "brain, accurate"
    BRAIN_FAST = "brain, fast"
    FOLLOW_UP = "follow-up"
    CT = "ct"
    MR_CT = "mr-ct"
    ANY_ANATOMY = "any anatomy"
    AFFINE = "affine only"

    def label(self) -> str:
        return {
            Preset.BRAIN_ACCURATE: _("Brain MR of any contrast, accurate"),
            Preset.BRAIN_FAST: _("Brain MR of any contrast, fast"),
            Preset.FOLLOW_UP: _("Brain with a tumour, follow-up"),
            Preset.CT: _("Chest or abdomen, CT to CT"),
            Preset.MR_CT: _("MR and CT of one patient"),
            Preset.ANY_ANATOMY: _("Any anatomy (no network)"),
            Preset.AFFINE: _("Affine only: shift, turn, stretch"),
        }[self]


class Reference(enum.Enum):
    """What the frames of a sequence are brought onto. Kept in the scene by its name."""

    MIDDLE = MIDDLE
    FIRST = FIRST
    MEAN = MEAN
    NUMBER = "number"
    FIXED = "fixed"

    def label(self) -> str:
        return {
            Reference.MIDDLE: _("Middle frame"),
            Reference.FIRST: _("First frame"),
            Reference.MEAN: _("Mean of all frames"),
            Reference.NUMBER: _("Frame number"),
            Reference.FIXED: _("The fixed image"),
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


_ASKED: Mapping[Preset, Mapping[str, Any]] = {
    Preset.BRAIN_ACCURATE: {},
    Preset.BRAIN_FAST: {"preset": "fast"},
    Preset.FOLLOW_UP: {"through_healthy": "both"},
    Preset.CT: {"anatomy": "ct", "model": "none"},
    Preset.MR_CT: {"anatomy": "mr-ct", "model": "none"},
    Preset.ANY_ANATOMY: {"anatomy": "other", "model": "none"},
    Preset.AFFINE: {"affine_only": True},
}
"""What a preset means to the backend."""


@dataclass(frozen=True)
class Settings:
    """landmark_start: whether the landmark pairs are where the search begins. smoothness: 1 is the default, more is
    smoother. inverse, jacobian: whether these nodes are made as well."""

    preset: Preset = Preset.BRAIN_ACCURATE
    landmark_start: bool = False
    smoothness: float = 1.0
    device: Device = Device.AUTO
    inverse: bool = True
    jacobian: bool = False

    def parameters(self) -> dict[str, Any]:
        """Of a register request."""
        chosen: dict[str, Any] = {"regularization": float(self.smoothness), "device": self.device.value}
        if self.landmark_start:
            chosen["landmark_start"] = True
        return {**chosen, **_ASKED[self.preset]}

    def wanted(self) -> tuple[str, ...]:
        """Names of the arrays that become nodes."""
        more = [name for name, asked in (("inverse", self.inverse), ("jacobian", self.jacobian)) if asked]
        return ("moved", "forward", "moved_labels", *more)


BRAIN_MODEL = "synthmorph-brains"
"""What the backend takes for the brain presets, where it is installed."""


def model_note(preset: Preset) -> str:
    """What will compare the images, and what it was trained on."""
    plain = _("Images are compared by their local structure, without a network.")
    if preset is Preset.CT:
        return plain + _(" Both images must be CT, in Hounsfield units.")
    if preset is Preset.MR_CT:
        return plain + _(" The same part of the same body in both; the contrast may differ.")
    if preset is Preset.ANY_ANATOMY:
        return plain + _(" Any part of the body, any contrast in either image.")
    if BRAIN_MODEL not in available():
        return _("The brain network is not installed. ") + plain
    note = network_note(read_card(BRAIN_MODEL))
    if preset is Preset.FOLLOW_UP:
        note = (
            _(
                "What is abnormal in either scan gives way to a healthy reconstruction while they are aligned, so that "
                "it pulls on nothing; the moving scan itself is moved. Takes longer. "
            )
            + note
        )
    return note
