"""Reading schedule: order and sides of all presentations, a function of the study file and the reader's name.

Every random choice is a hash (SHA-256) of the seed, the reader and the purpose, which gives the same result on every
machine and Python version. Tokens are random, so that the side is an independent fair coin for each case.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass

from SlicerSynthReg.errors import StudyError
from SlicerSynthReg.reader_study.study import Study, StudyCase, StudyImage, StudyPart

MAX_NAME_LENGTH = 200
MIN_REPEAT_GAP = 5
"""Minimal number of other cases before a case is repeated, if the part is long enough."""


@dataclass(frozen=True)
class ReadingItem:
    """One presentation of a case. number: from 1, in this reader's order, through all parts.

    images: as shown, from left to right. repeat: 0 for the first presentation, 1 for the second (not disclosed).
    """

    number: int
    part: StudyPart
    case: StudyCase
    images: tuple[StudyImage, ...]
    repeat: int = 0

    @property
    def label(self) -> str:
        """The only text about the case that the reader sees."""
        return f"Case {self.number}"


def reading_schedule(study: Study, reader: str) -> tuple[ReadingItem, ...]:
    """Return all items of a reader: parts in the study's order, cases shuffled within, repeats inserted."""
    items: list[ReadingItem] = []
    for part in study.parts:
        for case, repeat in _order(study, normalise_reader_name(reader), part):
            swapped = _draw(study, reader, "side", case.token, str(repeat)) & 1
            images = case.images[::-1] if swapped else case.images
            items.append(ReadingItem(len(items) + 1, part, case, images, repeat))
    return tuple(items)


def _order(study: Study, reader: str, part: StudyPart) -> list[tuple[StudyCase, int]]:
    """Return (case, repeat) in order of presentation.

    Repeats are inserted at random positions at least MIN_REPEAT_GAP after the first presentation; cases that are early
    enough for that are preferred.
    """

    def key(purpose: str, case: StudyCase) -> int:
        return _draw(study, reader, purpose, part.name, case.token)

    first = sorted(part.cases, key=lambda case: key("order", case))
    early = first[: max(0, len(first) - MIN_REPEAT_GAP)]
    chosen = sorted(early, key=lambda case: key("repeat", case)) + first[len(early) :]
    presentations = [(case, 0) for case in first]
    for case in chosen[: part.repeats]:
        earliest = min(presentations.index((case, 0)) + MIN_REPEAT_GAP + 1, len(presentations))
        position = earliest + key("place", case) % (len(presentations) - earliest + 1)
        presentations.insert(position, (case, 1))
    return presentations


def _draw(study: Study, reader: str, *purpose: str) -> int:
    text = "\x1f".join((str(study.seed), normalise_reader_name(reader), *purpose))
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big")


def normalise_reader_name(name: str) -> str:
    """Return the normalised name: NFC, single spaces. Raises StudyError ("reader-name")."""
    spelled = " ".join(unicodedata.normalize("NFC", name).split())
    hidden = [c for c in spelled if unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn")]
    if not spelled or hidden or len(spelled) > MAX_NAME_LENGTH:
        wrong = f"{len(hidden)} control characters" if hidden else f"{len(spelled)} letters"
        raise StudyError(
            f"Found {wrong} where the reader's name should be, expected 1 to {MAX_NAME_LENGTH} printable characters. "
            "Type the name again.",
            code="reader-name",
        )
    return spelled


def reader_file_stem(reader: str) -> str:
    """Return a file name without suffix: readable for Latin names, unique per name on case-insensitive file systems."""
    spelled = normalise_reader_name(reader)
    plain = unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode()
    readable = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40].strip("-")
    digest = hashlib.sha256(spelled.encode("utf-8")).hexdigest()[:10]
    return f"{readable or 'reader'}-{digest}"
