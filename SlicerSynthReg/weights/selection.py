"""Selection of models by name or default. Reads cards only; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from SlicerSynthReg.errors import RequestError, WeightsError
from SlicerSynthReg.weights.registry import Card, available, read_card

DEFAULT_MODEL = "synthmorph-brains"
CONTEXT_MODEL = "neuralizer-brains"
CONTRAST_MODEL = "mfm-abdomen"
HEALTHY_MODEL = "una-brains"
TOPOLOGY_MODEL = "topology-brains"
NO_MODEL = "none"
"""Selects MIND descriptors instead of a network."""


def registration_card(name: str | None) -> Card | None:
    """Return the registration model `name`, by default the brain model if installed; None for no network. Raises
    RequestError (model-missing)."""
    if name == NO_MODEL or (name is None and DEFAULT_MODEL not in available()):
        return None
    return _select("SynthMorph", name, DEFAULT_MODEL, "registration", "anatomy")


def method_name(card: Card | None) -> str:
    """Return the name of the registration method for reports."""
    return card.name if card else "MIND and local contrast, no network"


def registration_cards(parameters: Mapping[str, Any]) -> list[Card]:
    """Return the cards of all models of a registration: network, lesion filling, feature similarity. Raises
    RequestError (model-missing)."""
    chosen = registration_card(parameters["model"])
    cards = [] if chosen is None else [chosen]
    if parameters.get("fill_lesions", "none") != "none":
        cards.append(healthy_card(parameters["healthy_model"]))
    if parameters["similarity"] == "features":
        cards.append(features_card(parameters["features_model"]))
    if parameters["similarity"] == "deepsim":
        cards.append(semantic_card(parameters["features_model"]))
    return cards


def baseline_warnings(cards: Iterable[Card]) -> tuple[str, ...]:
    """Return a warning for each model that does not outperform its baseline."""
    return tuple(
        f"{card.name} does not outperform its baseline, according to its card: choose another model, or none."
        for card in cards
        if not card.beats_baseline
    )


def features_card(name: str | None) -> Card:
    """Return the model whose features are compared: `name`, by default an installed feature network, else the brain
    model, whose encoder levels are those of DeepSim. Raises RequestError (model-missing)."""
    known = available()
    chosen = name or next((card for card in known if read_card(card).method == "Features"), DEFAULT_MODEL)
    if chosen not in known:
        raise RequestError(
            f"Found no model named {chosen!r} to take features from, expected one of {', '.join(known) or 'none'}. See "
            "`synthreg models`.",
            code="model-missing",
        )
    return read_card(chosen)


def semantic_card(name: str | None) -> Card:
    """Return the model whose encoder DeepSim uses, by default the brain model. Raises RequestError (model-missing)."""
    return features_card(name or DEFAULT_MODEL)


def context_card(name: str | None) -> Card:
    """Return the in-context model, by default the shipped one. Raises RequestError (model-missing)."""
    return _select("Neuralizer", name, CONTEXT_MODEL, "in-context prediction", "in-context")


def contrast_card(name: str | None) -> Card:
    """Return the model of contrast conversion, by default the shipped one. Raises RequestError (model-missing)."""
    return _select("MFM", name, CONTRAST_MODEL, "contrast conversion", "contrast")


def healthy_card(name: str | None) -> Card:
    """Return the pseudo-healthy model, by default the shipped one. Raises RequestError (model-missing)."""
    return _select("UNA", name, HEALTHY_MODEL, "pseudo-healthy reconstruction", "healthy")


def topology_card(name: str | None) -> Card:
    """Return the model of topological change, by default the shipped one. Raises RequestError (model-missing)."""
    return _select("Topology", name, TOPOLOGY_MODEL, "topological change", "topology")


def segmenter_card(name: str) -> Card:
    """Return a fine-tuned segmentation model. Raises RequestError (model-missing)."""
    known = [card for card in available() if read_card(card).method == "Fine-tuned segmentation"]
    if name not in known:
        expected = f"one of {', '.join(known)}" if known else "one made by `synthreg finetune`"
        raise RequestError(
            f"Found no segmentation model named {name!r}, expected {expected}. Is SYNTHREG_WEIGHTS set to its folder?",
            code="model-missing",
        )
    return read_card(name)


def _select(method: str, name: str | None, default: str, purpose: str, training: str) -> Card:
    try:
        known = [card for card in available() if read_card(card).method == method]
    except WeightsError as error:
        raise RequestError(str(error), code=error.code) from error
    if (name or default) not in known:
        named = f" named {name!r}" if name else ""
        expected = f"one of {', '.join(known)}" if known else "one that is installed"
        raise RequestError(
            f"Found no model{named} for {purpose}, expected {expected}. Reinstall SynthReg, put a model into the "
            f"folder that SYNTHREG_WEIGHTS names, or train one with `synthreg train {training}`.",
            code="model-missing",
        )
    return read_card(name or default)
