"""What one reader sees, in which order and on which side: a function of the study file and the reader's name alone.

Every choice is a hash (SHA-256) of the seed, the reader and what is chosen, so that it is the same on every machine and
in every version of Python. Tokens are drawn by chance when a study is made, so a side says nothing about the truth:
each is an independent fair coin.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from SlicerSynthReg.reading.names import same_reader
from SlicerSynthReg.reading.study import Case, Image, Part, Study

GAP = 5
"""A case comes again after at least so many others, where the part is long enough."""


@dataclass(frozen=True)
class Item:
    """One showing of one case. number: from 1, in this reader's order, through all parts.

    images: as shown, from left to right. repeat: 0 for the first showing, 1 for the second, which no reader is told.
    """

    number: int
    part: Part
    case: Case
    images: tuple[Image, ...]
    repeat: int = 0

    @property
    def label(self) -> str:
        """All that a reader may read about the case."""
        return f"Case {self.number}"


def schedule(study: Study, reader: str) -> tuple[Item, ...]:
    """All items of one reader: the parts in the study's order, the cases of each shuffled, repeats strewn in."""
    items: list[Item] = []
    for part in study.parts:
        for case, repeat in _order(study, same_reader(reader), part):
            turned = _draw(study, reader, "side", case.token, str(repeat)) & 1
            images = case.images[::-1] if turned else case.images
            items.append(Item(len(items) + 1, part, case, images, repeat))
    return tuple(items)


def _order(study: Study, reader: str, part: Part) -> list[tuple[Case, int]]:
    """A repeat is put at a random place at least GAP cases after the first showing. Those shown early enough for that
    are taken before others."""

    def key(purpose: str, case: Case) -> int:
        return _draw(study, reader, purpose, part.name, case.token)

    first = sorted(part.cases, key=lambda case: key("order", case))
    early = first[: max(0, len(first) - GAP)]
    chosen = sorted(early, key=lambda case: key("repeat", case)) + first[len(early) :]
    shown = [(case, 0) for case in first]
    for case in chosen[: part.repeats]:
        earliest = min(shown.index((case, 0)) + GAP + 1, len(shown))
        place = earliest + key("place", case) % (len(shown) - earliest + 1)
        shown.insert(place, (case, 1))
    return shown


def _draw(study: Study, reader: str, *purpose: str) -> int:
    text = "\x1f".join((str(study.seed), same_reader(reader), *purpose))
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big")
