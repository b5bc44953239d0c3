"""The networks that are installed, as their cards tell. Imports no torch."""

from __future__ import annotations

from slicer.i18n import tr as _

from SlicerSynthReg.weights.registry import Card, available, read_card


def networks(method: str) -> list[Card]:
    """Cards of the installed networks of one method, as "MFM"."""
    return [card for card in map(read_card, available()) if card.method == method]


def network_note(card: Card) -> str:
    """What it is for and what it was trained on."""
    trained = _("synthetic images only") if card.synthetic_training_only else card.training_data
    return _("Network {name}. {use} Trained on: {trained}.").format(
        name=card.name, use=card.intended_use, trained=trained
    )
