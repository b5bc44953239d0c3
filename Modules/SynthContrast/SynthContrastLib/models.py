"""The networks that convert, as their cards tell."""

from __future__ import annotations

from slicer.i18n import tr as _
from SynthRegLib.networks import networks

from SlicerSynthReg.weights.registry import Card, WeightsError
from SynthContrastLib.settings import ContrastSettings

SHIPPED = "mfm-abdomen"
"""What the backend takes where none is named."""


def installed() -> list[Card]:
    """Those that ship and the user's own, the shipped one first; none where a card cannot be read."""
    try:
        found = networks("MFM")
    except WeightsError:
        return []
    return sorted(found, key=lambda card: card.name != SHIPPED)


def chosen(settings: ContrastSettings) -> Card | None:
    """The network that a conversion would use; None where it is not installed."""
    name = settings.model or SHIPPED
    return next((card for card in installed() if card.name == name), None)


def fault_of_model(settings: ContrastSettings) -> str:
    """Why no network can do what is asked; "" when one can."""
    card = chosen(settings)
    if card is None:
        names = ", ".join(one.name for one in installed())
        return _(
            "Found no network {name} for contrast in CT, expected {expected}. Install it with SynthReg, put your own "
            "into the folder that the environment variable SYNTHREG_WEIGHTS names, or train one with: synthreg train "
            "contrast."
        ).format(name=settings.model or SHIPPED, expected=names or _("one that is installed"))
    way, makes = card.architecture.get("way", "flow"), card.architecture.get("to")
    if way != "flow" and makes != settings.direction.value:
        return _("Found that {name} makes {kind} CT only, expected a network for both. Choose another one.").format(
            name=card.name, kind=makes
        )
    return ""


def note(card: Card | None) -> str:
    """For the panel: what the network is, was trained on, and that no patient stands behind it."""
    if card is None:
        return _("No network is installed: nothing can be converted yet.")
    trained = _("Trained on phantoms, not validated on patients. ")
    return _("{use}. {trained}{limits}").format(
        use=card.intended_use.rstrip("."),
        trained=trained if card.synthetic_training_only and "not validated" not in card.limits else "",
        limits=card.limits,
    )
