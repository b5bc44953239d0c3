"""Study file: parts, questions and cases with anonymous tokens, without the reference (see blinding_key.py)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from SlicerSynthReg.errors import StudyError
from SlicerSynthReg.reader_study.ct_windows import DisplayWindow
from SlicerSynthReg.reader_study.json_records import list_names, parse_header, parse_record, require_unique
from SlicerSynthReg.reader_study.question import PAIR, SINGLE, ReadingQuestion

FORMAT, VERSION = "SlicerSynthReg study", 1
STUDY_FILE = "study.json"


@dataclass(frozen=True)
class StudyImage:
    """token: anonymous name, the only one that a reader sees. file: relative to the study's folder, or absolute.
    sha256: of the file's contents."""

    token: str
    file: str
    sha256: str


@dataclass(frozen=True)
class StudyCase:
    """One or two images that are presented together."""

    token: str
    images: tuple[StudyImage, ...]


@dataclass(frozen=True)
class StudyPart:
    """Cases with the same questions. repeats: number of cases presented twice to each reader, undisclosed.
    time_limit_s: per case, None for no limit."""

    name: str
    questions: tuple[ReadingQuestion, ...]
    cases: tuple[StudyCase, ...]
    repeats: int = 0
    time_limit_s: float | None = None


@dataclass(frozen=True)
class Study:
    """A reading study. folder: of the file; base of relative paths. fingerprint: sha256 of the file, in every log.

    key_sha256: of the key file, which prevents its replacement. readers: expected names, () for any. seed: of orders
    and sides.
    """

    title: str
    seed: int
    key_sha256: str
    parts: tuple[StudyPart, ...]
    readers: tuple[str, ...] = ()
    window: DisplayWindow | None = None
    instructions: str = ""
    folder: Path = Path()
    fingerprint: str = ""

    def path(self, image: StudyImage) -> Path:
        """Return the path of an image."""
        return self.folder / image.file

    def part(self, name: str) -> StudyPart:
        """Return the part of that name."""
        return next(part for part in self.parts if part.name == name)

    def require_images(self) -> None:
        """Raise StudyError ("images-missing") with the tokens of images without a file."""
        images = [(case, image) for part in self.parts for case in part.cases for image in case.images]
        missing = [f"{image.token} of case {case.token}" for case, image in images if not self.path(image).exists()]
        if missing:
            raise StudyError(
                f"Found no file for {list_names(missing)} of {len(images)} images, expected all of them. "
                "Copy the whole study folder again; is the drive connected?",
                code="images-missing",
            )

    def require_unchanged_images(self) -> None:
        """Raise StudyError ("images-changed") unless every image file has its recorded sha256; reads all files."""
        images = [image for part in self.parts for case in part.cases for image in case.images]
        changed = [image.token for image in images if file_sha256(self.path(image)) != image.sha256]
        if changed:
            raise StudyError(
                f"Found other contents in {list_names(changed)} than the study was made with, expected the same images "
                "for every reader. Copy the whole study folder again.",
                code="images-changed",
            )

    def to_json(self) -> dict[str, Any]:
        """Return the contents of the study file."""
        values = {"format": FORMAT, "version": VERSION, **asdict(self)}
        return {name: value for name, value in values.items() if name not in ("folder", "fingerprint")}


def read_study(path: str | os.PathLike[str]) -> Study:
    """Return the study in a file, or in study.json of a folder. Raises StudyError.

    `Study.require_images` checks the images.
    """
    path = Path(path)
    path = path / STUDY_FILE if path.is_dir() else path
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StudyError(
            f"Found no study at {path.name} ({error.strerror}), expected a file made by `synthreg review make`. "
            "Check the path.",
            code="study-missing",
        ) from error
    values = parse_header(data, FORMAT, VERSION, "study")
    fingerprint = hashlib.sha256(data).hexdigest()
    return replace(study_from_json(values), folder=path.absolute().parent, fingerprint=fingerprint)


def study_from_json(values: Mapping[str, Any]) -> Study:
    """Return a study from JSON. Raises StudyError for invalid entries and for duplicate names or tokens."""
    window = values.get("window")
    parts = tuple(_part(part) for part in _list(values, "parts", "the study"))
    study = parse_record(
        Study,
        {
            **values,
            "parts": parts,
            "readers": tuple(_list(values, "readers", "the study", [])),
            "window": None if window is None else parse_record(DisplayWindow, window, "the window"),
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
        require_unique(names, what)
    if not parts:
        raise StudyError(
            "Found no parts in the study, expected at least one with cases. Make the study again.", code="study-empty"
        )
    for part in parts:
        _check_part(part)
    return study


def _part(values: Any) -> StudyPart:
    where = f"the part {values.get('name')!r}" if isinstance(values, Mapping) else "a part"
    questions = tuple(_question(item) for item in _list(values, "questions", where))
    cases = tuple(_case(item) for item in _list(values, "cases", where))
    return parse_record(StudyPart, {**values, "questions": questions, "cases": cases}, where)


def _question(values: Any) -> ReadingQuestion:
    where = "a question"
    lists = {name: tuple(_list(values, name, where, [])) for name in ("levels", "points")}
    return parse_record(ReadingQuestion, {**values, **lists}, where)


def _case(values: Any) -> StudyCase:
    where = "a case"
    images = tuple(parse_record(StudyImage, item, "an image") for item in _list(values, "images", where))
    if any(".." in image.file.replace("\\", "/").split("/") for image in images):
        raise StudyError(
            "Found the path of an image that leads out of the study's folder (..), expected one inside it. Get the "
            "study from its author again.",
            code="image-outside",
        )
    return parse_record(StudyCase, {**values, "images": images}, where)


def _list(values: Any, name: str, where: str, default: Any = None) -> list[Any]:
    found = values.get(name, default) if isinstance(values, Mapping) else None
    if not isinstance(found, list):
        raise StudyError(
            f"Found no list {name} in {where}, expected one. Correct the file, or make it again.", code="field-missing"
        )
    return found


def _check_part(part: StudyPart) -> None:
    where = f"the part {part.name!r}"
    require_unique([question.name for question in part.questions], f"question of {where},")
    kinds = {question.kind for question in part.questions}
    if not part.questions or not part.cases:
        raise StudyError(f"Found {where} without questions or without cases, expected both.", code="part-invalid")
    if {PAIR, SINGLE} <= kinds:
        raise StudyError(
            f"Found pair and single questions in {where}, expected one of the two. Make two parts.", code="part-invalid"
        )
    for case in part.cases:
        wanted = 2 if PAIR in kinds else 1 if SINGLE in kinds else None
        if not 1 <= len(case.images) <= 2 or wanted not in (None, len(case.images)):
            raise StudyError(
                f"Found {len(case.images)} images in case {case.token} of {where}, expected {wanted or '1 or 2'}.",
                code="part-invalid",
            )
    if not 0 <= part.repeats <= len(part.cases):
        raise StudyError(
            f"Found {part.repeats} repeats in {where}, expected 0 to {len(part.cases)}, its cases.", code="part-invalid"
        )
    if part.time_limit_s is not None and not part.time_limit_s > 0:
        raise StudyError(
            f"Found a time limit of {part.time_limit_s} s in {where}, expected more than 0, or none.",
            code="part-invalid",
        )


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, or of all files below a folder in the order of their names."""
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        with open(file, "rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
    return digest.hexdigest()
