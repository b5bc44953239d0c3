"""Blinding key: role and identity of every image. Kept from the readers until the study is complete."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from SlicerSynthReg.errors import StudyError
from SlicerSynthReg.reader_study.json_records import parse_header, parse_record
from SlicerSynthReg.reader_study.question import ROLES
from SlicerSynthReg.reader_study.study import Study

FORMAT, VERSION = "SlicerSynthReg study key", 1
KEY_FILE = "key.json"


@dataclass(frozen=True)
class CaseTruth:
    """Reference standard of a case. token: in the study. name: original name. images: image token -> "real",
    "generated", or "image" without a reference. landmarks: point -> R, A, S in mm, placed by an expert."""

    token: str
    name: str
    images: Mapping[str, str]
    landmarks: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class BlindingKey:
    """salt: random, so that the file's hash in the study reveals nothing about its contents."""

    title: str
    salt: str
    cases: tuple[CaseTruth, ...]

    def truth(self, token: str) -> CaseTruth:
        """Return the reference standard of a case."""
        return next(case for case in self.cases if case.token == token)

    def to_json(self) -> dict[str, Any]:
        """Return the contents of the key file."""
        return {"format": FORMAT, "version": VERSION, **asdict(self)}


def read_blinding_key(study: Study, path: str | os.PathLike[str] | None = None) -> BlindingKey:
    """Return the key of `study`, by default from key.json in its folder. Reading it unblinds: see unblinding.py.

    Raises StudyError for a missing key ("key-missing") and for one of another study ("key-mismatch").
    """
    path = study.folder / KEY_FILE if path is None else Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StudyError(
            f"Found no key at {path.name} ({error.strerror}), expected the file made with the study. Ask the author "
            "of the study, and pass the key's path.",
            code="key-missing",
        ) from error
    values = parse_header(data, FORMAT, VERSION, "key")
    if hashlib.sha256(data).hexdigest() != study.key_sha256:
        raise StudyError(
            "Found a key that was changed, or is of another study, expected the one this study was made with "
            f"(sha256 {study.key_sha256[:12]}…). Restore the original file.",
            code="key-mismatch",
        )
    cases = tuple(parse_record(CaseTruth, case, "a case of the key") for case in values.get("cases", ()))
    key = parse_record(BlindingKey, {**values, "cases": cases}, "the key")
    known = {case.token: {image.token for image in case.images} for part in study.parts for case in part.cases}
    consistent = {case.token: set(case.images) for case in key.cases} == known
    if not consistent or any(role not in ROLES for case in key.cases for role in case.images.values()):
        raise StudyError(
            "Found a key whose cases are not the study's, expected one role for every image.", code="key-cases"
        )
    return key
