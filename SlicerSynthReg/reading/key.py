"""The key file: which image is what, and whose. Kept away from the readers until the study is complete."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from SlicerSynthReg.reading.question import GENERATED, REAL, UNKNOWN, StudyError
from SlicerSynthReg.reading.study import Study, checked_header, record

FORMAT, VERSION = "SlicerSynthReg study key", 1
KEY_FILE = "key.json"
ROLES = (REAL, GENERATED, UNKNOWN)


@dataclass(frozen=True)
class CaseTruth:
    """token: the case's in the study. name: whose it is. images: image token -> "real", "generated", or "image" where
    there is no truth. landmarks: point -> R, A, S in mm, as an expert placed it."""

    token: str
    name: str
    images: Mapping[str, str]
    landmarks: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Key:
    """salt: makes the file's hash, which the study holds, tell nothing about its contents."""

    title: str
    salt: str
    cases: tuple[CaseTruth, ...]

    def truth(self, token: str) -> CaseTruth:
        return next(case for case in self.cases if case.token == token)

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, "version": VERSION, **asdict(self)}


def read_key(study: Study, path: str | os.PathLike[str] | None = None) -> Key:
    """The key of `study`, by default from key.json in its folder. Whoever calls this unblinds: see unblinding.py.

    StudyError where there is no key, or where it is not the one the study was made with.
    """
    path = study.folder / KEY_FILE if path is None else Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StudyError(
            f"Found no key at {path.name} ({error.strerror}), expected the file made with the study. Ask whoever made "
            "the study, and give the key's path."
        ) from error
    values = checked_header(data, FORMAT, VERSION, "key")
    if hashlib.sha256(data).hexdigest() != study.key_sha256:
        raise StudyError(
            "Found a key that was changed, or is of another study, expected the one this study was made with "
            f"(sha256 {study.key_sha256[:12]}…). Restore the original file."
        )
    cases = tuple(record(CaseTruth, case, "a case of the key") for case in values.get("cases", ()))
    key = record(Key, {**values, "cases": cases}, "the key")
    known = {case.token: {image.token for image in case.images} for part in study.parts for case in part.cases}
    sound = {case.token: set(case.images) for case in key.cases} == known
    if not sound or any(role not in ROLES for case in key.cases for role in case.images.values()):
        raise StudyError("Found a key whose cases are not the study's, expected one truth for every image.")
    return key
