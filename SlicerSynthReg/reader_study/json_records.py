"""Typed records from JSON files, validated with errors that state field and expectation."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from SlicerSynthReg.errors import StudyError


def parse_header(data: bytes, expected: str, version: int, what: str) -> dict[str, Any]:
    """Return the JSON object in `data` without format and version. Raises StudyError ("file-*")."""
    try:
        values = json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise StudyError(
            f"Found a {what} file that is no JSON ({error}), expected one made by `synthreg review make`. It is cut "
            "off or damaged: copy it again.",
            code="file-unreadable",
        ) from error
    if not isinstance(values, dict) or values.get("format") != expected:
        found = values.get("format") if isinstance(values, dict) else type(values).__name__
        raise StudyError(
            f"Found the format {found!r}, expected {expected!r}. Choose the {what} file.", code="file-format"
        )
    found = values.get("version")
    if not isinstance(found, int) or found < 1:
        raise StudyError(
            f"Found version {found!r} in the {what} file, expected a whole number. Make it again.", code="file-version"
        )
    if found > version:
        raise StudyError(
            f"Found a {what} file of version {found}, expected at most {version}. It was made by a newer "
            "SlicerSynthReg: update this one. Nothing was changed.",
            code="file-newer",
        )
    return {name: value for name, value in values.items() if name not in ("format", "version")}


def parse_record(kind: type, values: Any, where: str) -> Any:
    """Return a dataclass from JSON. Raises StudyError ("field-*") for missing, unknown, mistyped or NaN fields."""
    if not isinstance(values, Mapping):
        raise StudyError(f"Found {type(values).__name__} in {where}, expected a JSON object.", code="field-invalid")
    known = {field.name: str(field.type) for field in fields(kind)}
    unknown = sorted(set(values) - set(known))
    mistyped = [name for name, value in values.items() if name in known and not _fits(value, known[name])]
    try:
        if not unknown and not mistyped:
            return kind(**values)
    except TypeError as error:
        raise StudyError(
            f"Found {where} without some of its entries ({error}), expected them all.", code="field-missing"
        ) from error
    faults = [f"the unknown entry {name!r}" for name in unknown]
    faults += [f"{name} = {values[name]!r} instead of {known[name]}" for name in mistyped]
    raise StudyError(
        f"Found {', '.join(faults)} in {where}, expected only {', '.join(known)}. Correct the file.",
        code="field-invalid",
    )


def _fits(value: Any, annotation: str) -> bool:
    if annotation.endswith("| None") and value is None:
        return True
    kinds: dict[str, Any] = {"str": str, "bool": bool, "int": int, "float": (int, float)}
    kind = kinds.get(annotation.split(" ")[0].split("[")[0])
    if annotation.startswith("tuple[str"):
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    if kind is None:
        return True
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if annotation.startswith(("int", "float")):
        return number and isinstance(value, kind) and math.isfinite(value)
    return isinstance(value, kind)


def require_unique(names: Iterable[str], what: str) -> None:
    """Raise StudyError ("name-duplicate") if a name occurs twice, ignoring case."""
    duplicates = [name for name, count in Counter(name.casefold() for name in names).items() if count > 1]
    if duplicates:
        raise StudyError(
            f"Found the {what} {list_names(duplicates)} more than once, expected each once. Rename or remove it.",
            code="name-duplicate",
        )


def list_names(names: list[str], shown: int = 5) -> str:
    """Return the first names as text, with the number of the others."""
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")
