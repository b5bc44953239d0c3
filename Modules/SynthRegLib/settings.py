"""Choices of the registration panel that are not fields of the parameter record: presets and wanted nodes."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from slicer.i18n import tr as _

from SlicerSynthReg.parameters.registration import FIRST, MEAN, MIDDLE, RegisterParameters
from SlicerSynthReg.weights.registry import available, read_card
from SynthRegLib.texts import network_note


class Preset(enum.Enum):
    """Combination of parameters for one use. The scene keeps the name."""

    AUTOMATIC = "automatic"
    FAST = "fast"
    FOLLOW_UP = "follow-up"
    CT = "ct"
    MR_CT = "mr-ct"
    ANY_ANATOMY = "any anatomy"
    AFFINE = "affine only"

    def label(self) -> str:
        return {
            Preset.AUTOMATIC: _("Automatic"),
            Preset.FAST: _("Automatic, fast"),
            Preset.FOLLOW_UP: _("Brain with lesions (pseudo-healthy image)"),
            Preset.CT: _("Chest or abdomen, CT to CT"),
            Preset.MR_CT: _("MR and CT of one patient"),
            Preset.ANY_ANATOMY: _("Any anatomy (no network)"),
            Preset.AFFINE: _("Affine only"),
        }[self]


PRESETS: Mapping[Preset, Mapping[str, Any]] = {
    Preset.AUTOMATIC: {},
    Preset.FAST: {"preset": "fast"},
    Preset.FOLLOW_UP: {"fill_lesions": "both"},
    Preset.CT: {"anatomy": "ct", "model": "none"},
    Preset.MR_CT: {"anatomy": "mr-ct", "model": "none"},
    Preset.ANY_ANATOMY: {"anatomy": "other", "model": "none"},
    Preset.AFFINE: {"affine_only": True},
}
"""Preset -> fields of RegisterParameters."""


class Reference(enum.Enum):
    """Reference of a sequence registration. The scene keeps the name."""

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


@dataclass(frozen=True)
class Settings:
    """preset: its fields take precedence over those of `options`. inverse, jacobian: whether these nodes are added."""

    preset: Preset = Preset.AUTOMATIC
    options: RegisterParameters = field(default_factory=RegisterParameters)
    inverse: bool = True
    jacobian: bool = False

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of a register request."""
        return {**asdict(self.options), **PRESETS[self.preset]}

    def wanted(self) -> tuple[str, ...]:
        """Return the names of the outputs that become nodes."""
        optional = [name for name, wanted in (("inverse", self.inverse), ("jacobian", self.jacobian)) if wanted]
        return ("moved", "forward", "moved_labels", *optional)


BRAIN_MODEL = "synthmorph-brains"
"""Model of the automatic presets, if it is installed."""


def model_note(preset: Preset) -> str:
    """Return the method of a preset, and the training data of its network."""
    descriptors = _("Images are compared by local descriptors, without a network.")
    if preset is Preset.CT:
        return descriptors + _(" Both images must be CT, in Hounsfield units.")
    if preset is Preset.MR_CT:
        return descriptors + _(" Both images must show the same region of one patient; contrasts may differ.")
    if preset is Preset.ANY_ANATOMY:
        return descriptors + _(" Any region, any contrast.")
    if BRAIN_MODEL not in available():
        return _("The brain network is not installed. ") + descriptors
    note = network_note(read_card(BRAIN_MODEL))
    if preset is Preset.FOLLOW_UP:
        lesions = _(
            "During alignment, lesions in either image are replaced by a pseudo-healthy reconstruction, so that they "
            "do not influence the transform; the moving image itself is then transformed. Slower. "
        )
        note = lesions + note
    return note
