"""Which model a registration uses. Reads cards only: no torch."""

from __future__ import annotations

from SlicerSynthReg.request import RequestError
from SlicerSynthReg.weights.registry import Card, WeightsError, available, read_card

DEFAULT_MODEL = "synthmorph-brains"
NO_MODEL = "none"
"""Asks for MIND descriptors instead of a network."""


def chosen_card(name: str | None) -> Card | None:
    """The model asked for, else the brain model where it is installed, else none. Raises RequestError."""
    if name == NO_MODEL or (name is None and DEFAULT_MODEL not in available()):
        return None
    try:
        return read_card(name or DEFAULT_MODEL)
    except WeightsError as error:
        raise RequestError(str(error)) from error
