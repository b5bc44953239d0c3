"""Readers' names: any script, any character; and the file names that are safe everywhere."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from SlicerSynthReg.reading.question import StudyError

LONGEST_NAME = 200


def same_reader(name: str) -> str:
    """The one spelling of a name: composed characters, single spaces. StudyError for one that cannot be a name."""
    spelled = " ".join(unicodedata.normalize("NFC", name).split())
    hidden = [c for c in spelled if unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn")]
    if not spelled or hidden or len(spelled) > LONGEST_NAME:
        wrong = f"{len(hidden)} control characters" if hidden else f"{len(spelled)} letters"
        raise StudyError(
            f"Found {wrong} where the reader's name should be, expected 1 to {LONGEST_NAME} printable characters. "
            "Type the name again."
        )
    return spelled


def file_stem(reader: str) -> str:
    """A file name without suffix: readable where the name is Latin, and different for every two names, also where
    letter case does not count."""
    spelled = same_reader(reader)
    plain = unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode()
    readable = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40].strip("-")
    digest = hashlib.sha256(spelled.encode("utf-8")).hexdigest()[:10]
    return f"{readable or 'reader'}-{digest}"
