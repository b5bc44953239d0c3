"""The cases a study can be made of, found in a folder or listed in a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from SlicerSynthReg.reading.question import GENERATED, REAL, UNKNOWN, StudyError
from SlicerSynthReg.reading.study import require_once
from SlicerSynthReg.volume.suffixes import SUFFIXES, image_files, stem_of

COLUMNS = ("name", REAL, GENERATED, UNKNOWN, "landmarks")
ROLES = (REAL, GENERATED, UNKNOWN)


@dataclass(frozen=True)
class Source:
    """One case. images: role ("real", "generated", or "image" where there is no truth) -> file or DICOM folder.
    landmarks: file of an expert's points."""

    name: str
    images: Mapping[str, Path]
    landmarks: Path | None = None


def find_sources(path: Path) -> tuple[Source, ...]:
    """Cases in the order of their names.

    A folder holds either folders `real` and `generated` with files of the same names, or a folder for each case with
    files real.* and generated.*, or image files without a known truth. A table (CSV) has the columns name, and any of
    real, generated, image, landmarks, with paths relative to the table.
    StudyError where nothing is found, where a file is missing, and for names that occur twice.
    """
    if not path.exists():
        raise StudyError(f"Found nothing at {path.name}, expected a folder or a CSV table of cases. Check the path.")
    sources = _in_folder(path) if path.is_dir() else _in_table(path)
    if not sources:
        raise StudyError(
            f"Found no cases in {path.name}, expected folders real and generated, a folder for each case, image files "
            f"({', '.join(SUFFIXES)}), or a table with rows."
        )
    require_once([source.name for source in sources], "case")
    return tuple(sorted(sources, key=lambda source: source.name))


def _in_folder(folder: Path) -> list[Source]:
    if (folder / REAL).is_dir() and (folder / GENERATED).is_dir():
        found = {role: _images(folder / role) for role in (REAL, GENERATED)}
        names = sorted({*found[REAL], *found[GENERATED]})
        return [Source(name, {role: found[role][name] for role in found if name in found[role]}) for name in names]
    cases = []
    for one in sorted(place for place in folder.iterdir() if place.is_dir()):
        images = {role: file for role, file in _images(one).items() if role in ROLES}
        if images:
            cases.append(Source(one.name, images))
    return cases or [Source(name, {UNKNOWN: file}) for name, file in _images(folder).items()]


def _images(folder: Path) -> dict[str, Path]:
    """Image files by name without suffix. StudyError for two files of one name."""
    found: dict[str, Path] = {}
    for file in image_files(folder):
        name = stem_of(file)
        if name in found:
            raise StudyError(f"Found {found[name].name} and {file.name} in one folder, expected one file a case.")
        found[name] = file
    return found


def _in_table(path: Path) -> list[Source]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise StudyError(f"Found that {path.name} is no UTF-8 text, expected CSV. Save it as CSV UTF-8.") from error
    first = text.split("\n", 1)[0]
    table = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count), skipinitialspace=True)
    lines = [[cell.strip() for cell in line] for line in table if any(cell.strip() for cell in line)]
    header = [cell.lower() for cell in lines[0]] if lines else []
    strange = sorted(set(header) - set(COLUMNS))
    if strange or "name" not in header or len(set(header)) != len(header):
        raise StudyError(
            f"Found the columns {', '.join(header) or 'none'} in {path.name}, expected name, and any of "
            f"{', '.join(COLUMNS[1:])}, each once."
        )
    return [_row(path.absolute().parent, number, dict(zip(header, line))) for number, line in enumerate(lines[1:], 2)]


def _row(folder: Path, number: int, cells: Mapping[str, str]) -> Source:
    paths = {column: folder / Path(cell).expanduser() for column, cell in cells.items() if cell and column != "name"}
    missing = [column for column, path in paths.items() if not path.exists()]
    images = {role: paths[role] for role in ROLES if role in paths}
    if missing or not images or not cells.get("name") or (UNKNOWN in images and len(images) > 1):
        gone = f"no file for {', '.join(missing)}"
        fault = gone if missing else "no name, no image, or an image beside real and generated"
        raise StudyError(
            f"Found {fault} in line {number} of the table, expected a name, and files for real, generated or both, or "
            "for image. Correct the line."
        )
    return Source(cells["name"], images, paths.get("landmarks"))
