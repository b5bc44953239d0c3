"""Networks that stay loaded between the requests of one worker."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol, TypeVar, cast

from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.weights.registry import Card, read_card


class Loadable(Protocol):
    """A network that a card describes."""

    @classmethod
    def load(cls, card: Card) -> Loadable: ...


Network = TypeVar("Network", bound=Loadable)


def loaded(kind: type[Network], card: Card) -> Network:
    """The network of `card`; weights made anew under a name are loaded anew."""
    return cast(Network, _loaded(kind, card.name, card.sha256))


def registration_network(card: Card | None) -> SynthMorph | None:
    return None if card is None else loaded(SynthMorph, card)


@lru_cache(maxsize=4)
def _loaded(kind: type[Loadable], name: str, sha256: str) -> Loadable:
    return kind.load(read_card(name))
