"""A cache of networks, so that one process loads each model once."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol, TypeVar, cast

from SlicerSynthReg.weights.registry import Card, read_card


class Loadable(Protocol):
    """A network that a card describes."""

    @classmethod
    def load(cls, card: Card) -> Loadable: ...


Network = TypeVar("Network", bound=Loadable)


def load_network(kind: type[Network], card: Card) -> Network:
    """Return the network of `card`, from the cache if its weights (sha256) are the same."""
    return cast(Network, _cached(kind, card.name, card.sha256))


@lru_cache(maxsize=4)
def _cached(kind: type[Loadable], name: str, sha256: str) -> Loadable:
    return kind.load(read_card(name))
