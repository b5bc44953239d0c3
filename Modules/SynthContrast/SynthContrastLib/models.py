"""Installed networks for contrast conversion, and their validation."""

from __future__ import annotations

from slicer.i18n import tr as _

from SlicerSynthReg.errors import WeightsError
from SlicerSynthReg.parameters.derived_images import ContrastParameters
from SlicerSynthReg.weights.registry import Card, available, read_card

SHIPPED = "mfm-abdomen"
"""What the backend takes where none is named."""


def installed() -> list[Card]:
    """Those that ship and the user's own, the shipped one first; none where a card cannot be read."""
    try:
        found = [card for card in map(read_card, available()) if card.method == "MFM"]
    except WeightsError:
        return []
    return sorted(found, key=lambda card: card.name != SHIPPED)


def chosen(parameters: ContrastParameters) -> Card | None:
    """The network that a conversion would use; None where it is not installed."""
    name = parameters.model or SHIPPED
    return next((card for card in installed() if card.name == name), None)


def model_validation_error(parameters: ContrastParameters) -> str:
    """Why no network can do what is asked; "" when one can."""
    card = chosen(parameters)
    if card is None:
        names = ", ".join(one.name for one in installed())
        return _(
            "Found no contrast network {name}, expected {expected}. Install it with SynthReg, copy your own into "
            "the folder SYNTHREG_WEIGHTS, or train one with: synthreg train contrast."
        ).format(name=parameters.model or SHIPPED, expected=names or _("an installed one"))
    method, makes = card.architecture.get("method", "flow"), card.architecture.get("target_phase")
    if method != "flow" and makes != parameters.target_phase:
        return _(
            "Found that {name} converts to {kind} CT only, expected a network for this target phase. Choose "
            "another network."
        ).format(name=card.name, kind=makes)
    return ""


def note(card: Card | None) -> str:
    """For the panel: what the network is, was trained on, and that no patient stands behind it."""
    if card is None:
        return _("No network is installed.")
    trained = _("Trained on phantoms, not validated on patients. ")
    return _("{use}. {trained}{limits}").format(
        use=card.intended_use.rstrip("."),
        trained=trained if card.synthetic_training_only and "not validated" not in card.limits else "",
        limits=card.limits,
    )
