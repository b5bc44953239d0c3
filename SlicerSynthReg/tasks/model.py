"""Which model a task uses. Reads cards only: no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from SlicerSynthReg.request import RequestError
from SlicerSynthReg.weights.registry import Card, WeightsError, available, read_card

DEFAULT_MODEL = "synthmorph-brains"
CONTEXT_MODEL = "neuralizer-brains"
CONTRAST_MODEL = "mfm-abdomen"
HEALTHY_MODEL = "una-brains"
TOPOLOGY_MODEL = "topology-brains"
NO_MODEL = "none"
"""Asks for MIND descriptors instead of a network."""


def chosen_card(name: str | None) -> Card | None:
    """The model of registration asked for, else the brain model where it is installed, else none. Raises
    RequestError."""
    if name == NO_MODEL or (name is None and DEFAULT_MODEL not in available()):
        return None
    return _card_of("SynthMorph", name, DEFAULT_MODEL, "registration", "anatomy")


def method_of(card: Card | None) -> str:
    """What a report of a registration calls how it was done."""
    return card.name if card else "MIND and local contrast, no network"


def registration_cards(parameters: Mapping[str, Any]) -> list[Card]:
    """Every model that a registration uses: its network, the healthy brain's, that whose features are compared. Raises
    RequestError."""
    chosen = chosen_card(parameters["model"])
    cards = [] if chosen is None else [chosen]
    if parameters.get("through_healthy", "none") != "none":
        cards.append(healthy_card(parameters["healthy_model"]))
    if parameters["similarity"] == "features":
        cards.append(features_card(parameters["features_model"]))
    if parameters["similarity"] == "deepsim":
        cards.append(semantic_card(parameters["features_model"]))
    return cards


def doubts_of(cards: Iterable[Card]) -> tuple[str, ...]:
    """What a result by these models has to warn of."""
    return tuple(
        f"{card.name} does no better than going without it, as its card tells: choose another, or go without."
        for card in cards
        if not card.beats_baseline
    )


def features_card(name: str | None) -> Card:
    """Whose features registration compares: those asked for, else an installed feature network's, else the brain
    network's, whose encoder levels are DeepSim's. Raises RequestError."""
    known = available()
    chosen = name or next((one for one in known if read_card(one).method == "Features"), DEFAULT_MODEL)
    if chosen not in known:
        raise RequestError(
            f"Found no model named {chosen!r} to take features from, expected one of {', '.join(known) or 'none'}. See "
            "`synthreg models`."
        )
    return read_card(chosen)


def semantic_card(name: str | None) -> Card:
    """Whose encoder DeepSim compares with: the one asked for, else the brain network's. Raises RequestError."""
    return features_card(name or DEFAULT_MODEL)


def context_card(name: str | None) -> Card:
    """The model that does what examples show: the one asked for, else the one that ships. Raises RequestError."""
    return _card_of("Neuralizer", name, CONTEXT_MODEL, "tasks given by examples", "context")


def contrast_card(name: str | None) -> Card:
    """The model that turns native CT into contrast CT and back: the one asked for, else the one that ships. Raises
    RequestError."""
    return _card_of("MFM", name, CONTRAST_MODEL, "contrast in CT", "contrast")


def healthy_card(name: str | None) -> Card:
    """The model that shows the healthy brain: the one asked for, else the one that ships. Raises RequestError."""
    return _card_of("UNA", name, HEALTHY_MODEL, "the healthy brain behind a scan", "healthy")


def topology_card(name: str | None) -> Card:
    """The model that tells topological change: the one asked for, else the one that ships. Raises RequestError."""
    return _card_of("Topology", name, TOPOLOGY_MODEL, "topological change", "topology")


def segmenter_card(name: str) -> Card:
    """A model that the user made by fine-tuning. Raises RequestError."""
    known = [one for one in available() if read_card(one).method == "Fine-tuned segmentation"]
    if name not in known:
        expected = f"one of {', '.join(known)}" if known else "one made by `synthreg finetune`"
        raise RequestError(
            f"Found no segmentation model named {name!r}, expected {expected}. Is SYNTHREG_WEIGHTS set to its folder?"
        )
    return read_card(name)


def _card_of(method: str, name: str | None, default: str, purpose: str, training: str) -> Card:
    try:
        known = [one for one in available() if read_card(one).method == method]
    except WeightsError as error:
        raise RequestError(str(error)) from error
    if (name or default) not in known:
        named = f" named {name!r}" if name else ""
        expected = f"one of {', '.join(known)}" if known else "one that is installed"
        raise RequestError(
            f"Found no model{named} for {purpose}, expected {expected}. Reinstall SynthReg, put a model into the "
            f"folder that SYNTHREG_WEIGHTS names, or train one with `synthreg train {training}`."
        )
    return read_card(name or default)
