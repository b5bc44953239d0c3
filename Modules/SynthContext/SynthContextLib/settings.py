"""What the user can choose beside the nodes, and what it means to the backend."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _
from SynthRegLib.settings import Device

from SlicerSynthReg.tasks.model import CONTEXT_MODEL, DEFAULT_MODEL
from SlicerSynthReg.weights.registry import Card, WeightsError, available, read_card

IN_CONTEXT, FINE_TUNED = "Neuralizer", "Fine-tuned segmentation"
"""Methods, as cards name them."""
NOTHING = "none"


class Kind(enum.Enum):
    """Of what the examples show; kept in the scene by its name."""

    GUESS = "auto"
    LABELS = "labels"
    IMAGE = "image"

    def label(self) -> str:
        return {
            Kind.GUESS: _("Guess from the examples"),
            Kind.LABELS: _("Structures (labels)"),
            Kind.IMAGE: _("Another image"),
        }[self]


class Plane(enum.Enum):
    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"
    ALL = "all"

    def label(self) -> str:
        return {
            Plane.AXIAL: _("Axial"),
            Plane.CORONAL: _("Coronal"),
            Plane.SAGITTAL: _("Sagittal"),
            Plane.ALL: _("All three, averaged (three times as long)"),
        }[self]


class Way(enum.Enum):
    """Who answers, as far as examples are asked."""

    AUTO = "auto"
    NETWORK = "network"
    PATCHES = "patches"

    def label(self) -> str:
        return {
            Way.AUTO: _("Whatever suits the examples (both, mixed)"),
            Way.NETWORK: _("The network alone"),
            Way.PATCHES: _("Look-alike patches of the examples alone"),
        }[self]


class Alignment(enum.Enum):
    AFFINE = "affine"
    DEFORMABLE = "deformable"
    HEADER = "header"
    CENTRE = "centre"

    def label(self) -> str:
        return {
            Alignment.AFFINE: _("Register them (affine)"),
            Alignment.DEFORMABLE: _("Register them, bent to fit (slower)"),
            Alignment.HEADER: _("As they lie in the world"),
            Alignment.CENTRE: _("Centre on centre"),
        }[self]


@dataclass(frozen=True)
class Settings:
    """Of one application. model: a name; "" is the first of models(). spread, size, samples: as the backend's."""

    model: str = ""
    kind: Kind = Kind.GUESS
    way: Way = Way.AUTO
    plane: Plane = Plane.AXIAL
    spread: int = 1
    size: int = 8
    alignment: Alignment = Alignment.AFFINE
    check: bool = True
    samples: int = 0
    device: Device = Device.AUTO
    absent: bool = False

    def parameters(self) -> dict[str, Any]:
        """Of a context request."""
        return {
            "model": self.model or None,
            "answer": self.kind.value,
            "way": self.way.value,
            "plane": self.plane.value,
            "spread": int(self.spread),
            "size": int(self.size),
            "alignment": self.alignment.value,
            "check_examples": bool(self.check),
            "samples": int(self.samples),
            "device": self.device.value,
            "absent": bool(self.absent),
        }


@dataclass(frozen=True)
class Tuning:
    """Of one fine-tuning. start: a model with features, or NOTHING. left_out: examples that judge it."""

    name: str = "my-model"
    start: str = DEFAULT_MODEL
    minutes: float = 20.0
    left_out: int = 1
    device: Device = Device.AUTO
    absent: bool = False

    def parameters(self) -> dict[str, Any]:
        """Of a finetune request."""
        return {
            "model_name": self.name.strip(),
            "start": self.start,
            "minutes": float(self.minutes),
            "left_out": int(self.left_out),
            "device": self.device.value,
            "absent": bool(self.absent),
        }


def models() -> list[Card]:
    """Those that can be applied, the user's own fine-tuned ones last. A card that cannot be read is left out."""
    found = [card for card in _cards() if card.method in (IN_CONTEXT, FINE_TUNED)]
    return sorted(found, key=lambda card: (card.method != IN_CONTEXT, card.name != CONTEXT_MODEL, card.name))


def starts() -> list[str]:
    """Models with features to fine-tune from, the usual one first, and nothing."""
    names = [card.name for card in _cards() if card.features]
    return [*sorted(names, key=lambda name: (name != DEFAULT_MODEL, name)), NOTHING]


def _cards() -> list[Card]:
    found = []
    for name in available():
        try:
            found.append(read_card(name))
        except WeightsError:
            continue
    return found


def card_of(name: str) -> Card | None:
    """Of models(); "" is the first. None where there is no such model."""
    return next((card for card in models() if name in ("", card.name)), None)
