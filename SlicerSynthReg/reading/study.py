"""The study file: parts, questions and cases under anonymous tokens. It holds no truth; that is the key's (key.py)."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from SlicerSynthReg.reading.question import PAIR, SINGLE, Question, StudyError
from SlicerSynthReg.reading.windows import Window

FORMAT, VERSION = "SlicerSynthReg study", 1
STUDY_FILE = "study.json"


@dataclass(frozen=True)
class Image:
    """token: anonymous name, all that a reader may see. file: relative to the study's folder, or absolute.
    sha256: of the file's contents."""

    token: str
    file: str
    sha256: str


@dataclass(frozen=True)
class Case:
    """One or two images that are shown together."""

    token: str
    images: tuple[Image, ...]


@dataclass(frozen=True)
class Part:
    """Cases that are shown one after another with the same questions.

    repeats: how many of the cases are shown again to the same reader, unannounced. time_limit_s: for one case, None
    for no limit.
    """

    name: str
    questions: tuple[Question, ...]
    cases: tuple[Case, ...]
    repeats: int = 0
    time_limit_s: float | None = None


@dataclass(frozen=True)
class Study:
    """folder: where the file lies, relative paths start there. fingerprint: sha256 of the file, which every log names.

    key_sha256: of the key file, so that no other truth can be put in its place. readers: names expected, () for
    whoever comes. seed: of orders and sides.
    """

    title: str
    seed: int
    key_sha256: str
    parts: tuple[Part, ...]
    readers: tuple[str, ...] = ()
    window: Window | None = None
    instructions: str = ""
    folder: Path = Path()
    fingerprint: str = ""

    def path(self, image: Image) -> Path:
        return self.folder / image.file

    def part(self, name: str) -> Part:
        return next(part for part in self.parts if part.name == name)

    def require_images(self) -> None:
        """StudyError that counts and names, by token, the images whose file is not there."""
        images = [(case, image) for part in self.parts for case in part.cases for image in case.images]
        gone = [f"{image.token} of case {case.token}" for case, image in images if not self.path(image).exists()]
        if gone:
            raise StudyError(
                f"Found no file for {_listed(gone)} of {len(images)} images, expected them where the study was made. "
                "Copy the whole study folder again; is the drive connected?"
            )

    def require_unchanged_images(self) -> None:
        """StudyError unless every image has the contents the study was made with; reads all of them."""
        images = [image for part in self.parts for case in part.cases for image in case.images]
        changed = [image.token for image in images if file_sha256(self.path(image)) != image.sha256]
        if changed:
            raise StudyError(
                f"Found other contents in {_listed(changed)} than the study was made with, expected the same images "
                "for every reader. Copy the whole study folder again."
            )

    def to_json(self) -> dict[str, Any]:
        values = {"format": FORMAT, "version": VERSION, **asdict(self)}
        return {name: value for name, value in values.items() if name not in ("folder", "fingerprint")}


def read_study(path: str | os.PathLike[str]) -> Study:
    """The study in a file, or in study.json of a folder. StudyError where it cannot be read, is newer, or is unsound.

    Whether the images are there is `Study.require_images`.
    """
    path = Path(path)
    path = path / STUDY_FILE if path.is_dir() else path
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StudyError(
            f"Found no study at {path.name} ({error.strerror}), expected a file made by `synthreg review make`. "
            "Check the path."
        ) from error
    values = checked_header(data, FORMAT, VERSION, "study")
    fingerprint = hashlib.sha256(data).hexdigest()
    return replace(study_from_json(values), folder=path.absolute().parent, fingerprint=fingerprint)


def checked_header(data: bytes, expected: str, version: int, what: str) -> dict[str, Any]:
    """The JSON object in `data` without its format and version. StudyError for another format or a newer version."""
    try:
        values = json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise StudyError(
            f"Found a {what} file that is no JSON ({error}), expected one made by `synthreg review make`. It is cut "
            "off or damaged: copy it again."
        ) from error
    if not isinstance(values, dict) or values.get("format") != expected:
        found = values.get("format") if isinstance(values, dict) else type(values).__name__
        raise StudyError(f"Found the format {found!r}, expected {expected!r}. Choose the {what} file.")
    found = values.get("version")
    if not isinstance(found, int) or found < 1:
        raise StudyError(f"Found version {found!r} in the {what} file, expected a whole number. Make it again.")
    if found > version:
        raise StudyError(
            f"Found a {what} file of version {found}, expected at most {version}. It was made by a newer "
            "SlicerSynthReg: update this one. Nothing was changed."
        )
    return {name: value for name, value in values.items() if name not in ("format", "version")}


def study_from_json(values: Mapping[str, Any]) -> Study:
    """Raises StudyError for missing, unknown or mistyped entries, and for names or tokens that occur twice."""
    window = values.get("window")
    parts = tuple(_part(part) for part in _list(values, "parts", "the study"))
    study = record(
        Study,
        {
            **values,
            "parts": parts,
            "readers": tuple(_list(values, "readers", "the study", [])),
            "window": None if window is None else record(Window, window, "the window"),
        },
        "the study",
    )
    tokens = [case.token for part in parts for case in part.cases]
    tokens += [image.token for part in parts for case in part.cases for image in case.images]
    for what, names in (
        ("part", [part.name for part in parts]),
        ("reader", list(study.readers)),
        ("token", tokens),
    ):
        require_once(names, what)
    if not parts:
        raise StudyError("Found no parts in the study, expected at least one with cases. Make the study again.")
    for part in parts:
        _check_part(part)
    return study


def record(kind: type, values: Any, where: str) -> Any:
    """A dataclass from JSON. StudyError for missing, unknown or mistyped fields, and numbers that are none."""
    if not isinstance(values, Mapping):
        raise StudyError(f"Found {type(values).__name__} in {where}, expected a JSON object.")
    known = {field.name: str(field.type) for field in fields(kind)}
    strange = sorted(set(values) - set(known))
    wrong = [name for name, value in values.items() if name in known and not _fits(value, known[name])]
    try:
        if not strange and not wrong:
            return kind(**values)
    except TypeError as error:
        raise StudyError(f"Found {where} without some of its entries ({error}), expected them all.") from error
    faults = [f"the unknown entry {name!r}" for name in strange]
    faults += [f"{name} = {values[name]!r} instead of {known[name]}" for name in wrong]
    raise StudyError(f"Found {', '.join(faults)} in {where}, expected only {', '.join(known)}. Correct the file.")


def _fits(value: Any, annotation: str) -> bool:
    if annotation.endswith("| None") and value is None:
        return True
    kinds: dict[str, Any] = {"str": str, "bool": bool, "int": int, "float": (int, float)}
    kind = kinds.get(annotation.split(" ")[0].split("[")[0])
    if annotation.startswith("tuple[str"):
        return isinstance(value, tuple) and all(isinstance(one, str) for one in value)
    if kind is None:
        return True
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if annotation.startswith(("int", "float")):
        return number and isinstance(value, kind) and math.isfinite(value)
    return isinstance(value, kind)


def _part(values: Any) -> Part:
    where = f"the part {values.get('name')!r}" if isinstance(values, Mapping) else "a part"
    questions = tuple(_question(one) for one in _list(values, "questions", where))
    cases = tuple(_case(one) for one in _list(values, "cases", where))
    return record(Part, {**values, "questions": questions, "cases": cases}, where)


def _question(values: Any) -> Question:
    where = "a question"
    lists = {name: tuple(_list(values, name, where, [])) for name in ("levels", "points")}
    return record(Question, {**values, **lists}, where)


def _case(values: Any) -> Case:
    where = "a case"
    images = tuple(record(Image, one, "an image") for one in _list(values, "images", where))
    return record(Case, {**values, "images": images}, where)


def _list(values: Any, name: str, where: str, default: Any = None) -> list[Any]:
    found = values.get(name, default) if isinstance(values, Mapping) else None
    if not isinstance(found, list):
        raise StudyError(f"Found no list {name} in {where}, expected one. Correct the file, or make it again.")
    return found


def require_once(names: Iterable[str], what: str) -> None:
    """StudyError where one of `names` occurs twice, letter case aside."""
    twice = [name for name, count in Counter(name.casefold() for name in names).items() if count > 1]
    if twice:
        raise StudyError(f"Found the {what} {_listed(twice)} more than once, expected each once. Rename or remove it.")


def _check_part(part: Part) -> None:
    where = f"the part {part.name!r}"
    require_once([question.name for question in part.questions], f"question of {where},")
    kinds = {question.kind for question in part.questions}
    if not part.questions or not part.cases:
        raise StudyError(f"Found {where} without questions or without cases, expected both.")
    if {PAIR, SINGLE} <= kinds:
        raise StudyError(f"Found pair and single questions in {where}, expected one of the two. Make two parts.")
    for case in part.cases:
        wanted = 2 if PAIR in kinds else 1 if SINGLE in kinds else None
        if not 1 <= len(case.images) <= 2 or wanted not in (None, len(case.images)):
            raise StudyError(
                f"Found {len(case.images)} images in case {case.token} of {where}, expected {wanted or '1 or 2'}."
            )
    if not 0 <= part.repeats <= len(part.cases):
        raise StudyError(f"Found {part.repeats} repeats in {where}, expected 0 to {len(part.cases)}, its cases.")
    if part.time_limit_s is not None and not part.time_limit_s > 0:
        raise StudyError(f"Found a time limit of {part.time_limit_s} s in {where}, expected more than 0, or none.")


def file_sha256(path: Path) -> str:
    """Of a file's contents; of all files below a folder, in the order of their names."""
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        with open(file, "rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()


def _listed(names: list[str], shown: int = 5) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")
