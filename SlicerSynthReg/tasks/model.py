"""Which model a task uses. Reads cards only: no torch."""

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


CONTEXT_MODEL = "neuralizer-brains"


def context_card(name: str | None) -> Card:
    """The model that does what examples show: the one asked for, else the one that ships. Raises RequestError."""
    known = [one for one in available() if read_card(one).method == "Neuralizer"]
    if (name or CONTEXT_MODEL) not in known:
        named = f" named {name!r}" if name else ""
        expected = f"one of {', '.join(known)}" if known else "one that is installed"
        raise RequestError(
            f"Found no model{named} for tasks given by examples, expected {expected}. Reinstall SynthReg, put a model "
            "into the folder that SYNTHREG_WEIGHTS names, or train one with `synthreg train context`."
        )
    return read_card(name or CONTEXT_MODEL)
