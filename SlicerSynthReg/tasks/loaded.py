"""Networks that stay loaded between the requests of one worker."""

from __future__ import annotations

from functools import lru_cache

from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.methods.una.model import UNA
from SlicerSynthReg.nets.extractor import Extractor
from SlicerSynthReg.weights.registry import Card, read_card


def registration_network(card: Card | None) -> SynthMorph | None:
    return None if card is None else _synthmorph(card.name, card.sha256)


def features_network(card: Card) -> Extractor:
    return _extractor(card.name, card.sha256)


def healthy_network(card: Card) -> UNA:
    return _una(card.name, card.sha256)


@lru_cache(maxsize=2)
def _synthmorph(name: str, sha256: str) -> SynthMorph:
    return SynthMorph.load(read_card(name))


@lru_cache(maxsize=2)
def _extractor(name: str, sha256: str) -> Extractor:
    return Extractor.load(read_card(name))


@lru_cache(maxsize=2)
def _una(name: str, sha256: str) -> UNA:
    return UNA.load(read_card(name))
