"""Installed models of in-context prediction and fine-tuning, the folder of the user's own, and the kinds of output."""

from __future__ import annotations

import os
from pathlib import Path

import slicer

from SlicerSynthReg.errors import WeightsError
from SlicerSynthReg.weights.registry import Card, available, read_card, user_folder
from SlicerSynthReg.weights.selection import CONTEXT_MODEL, DEFAULT_MODEL

IN_CONTEXT, FINE_TUNED = "Neuralizer", "Fine-tuned segmentation"
"""Methods, as cards name them."""
NO_MODEL = "none"
_VARIABLE = "SYNTHREG_WEIGHTS"
AUTO, LABELS, IMAGE = "auto", "labels", "image"
"""Values of InContextParameters.output_kind."""


def models() -> list[Card]:
    """Those that can be applied, the user's own fine-tuned ones last. A card that cannot be read is left out."""
    found = [card for card in _cards() if card.method in (IN_CONTEXT, FINE_TUNED)]
    return sorted(found, key=lambda card: (card.method != IN_CONTEXT, card.name != CONTEXT_MODEL, card.name))


def starts() -> list[str]:
    """Models with features to fine-tune from, the usual one first, and nothing."""
    names = [card.name for card in _cards() if card.features]
    return [*sorted(names, key=lambda name: (name != DEFAULT_MODEL, name)), NO_MODEL]


def _cards() -> list[Card]:
    found = []
    for name in available():
        try:
            found.append(read_card(name))
        except WeightsError:
            continue
    return found


def card_of(name: str | None) -> Card | None:
    """Return the model of this name, the first one for None and ""; None if there is no such model."""
    return next((card for card in models() if not name or name == card.name), None)


def provide_folder() -> Path:
    """Set the folder for the backend and for workers started later. Slicer empties its download cache at start, so
    models are kept beside the settings."""
    if user_folder() is None:
        os.environ[_VARIABLE] = str(Path(slicer.app.slicerUserSettingsFilePath).parent / "SynthReg models")
    return user_folder()


def is_own(name: str) -> bool:
    folder = user_folder()
    return folder is not None and (folder / f"{name}.json").exists()


def delete_model(name: str) -> None:
    """Delete card and weights of a fine-tuned model. Raises OSError."""
    for path in (user_folder() / f"{name}.json", user_folder() / f"{name}.safetensors"):
        path.unlink(missing_ok=True)
