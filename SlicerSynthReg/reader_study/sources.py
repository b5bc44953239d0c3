"""Cases for a study, from a folder or a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from SlicerSynthReg.errors import StudyError
from SlicerSynthReg.io.files import SUFFIXES, image_files, image_stem
from SlicerSynthReg.io.tables import read_csv_rows
from SlicerSynthReg.reader_study.json_records import require_unique
from SlicerSynthReg.reader_study.question import GENERATED, REAL, ROLES, UNKNOWN

COLUMNS = ("name", REAL, GENERATED, UNKNOWN, "landmarks")


@dataclass(frozen=True)
class CaseSource:
    """One case. images: role ("real", "generated", or "image" without a reference) -> file or DICOM folder. landmarks:
    file of an expert's points."""

    name: str
    images: Mapping[str, Path]
    landmarks: Path | None = None


def find_case_sources(path: Path) -> tuple[CaseSource, ...]:
    """Return the cases, sorted by name.

    Folder: subfolders `real` and `generated` with files of the same names, or one subfolder per case with files real.*
    and generated.*, or image files without a reference. Table (CSV): columns name, and any of real, generated, image,
    landmarks, with paths relative to the table. Raises StudyError ("cases-missing", "case-duplicate", "table-*").
    """
    if not path.exists():
        raise StudyError(
            f"Found nothing at {path.name}, expected a folder or a CSV table of cases. Check the path.",
            code="cases-missing",
        )
    sources = _in_folder(path) if path.is_dir() else _in_table(path)
    if not sources:
        raise StudyError(
            f"Found no cases in {path.name}, expected folders real and generated, a folder for each case, image files "
            f"({', '.join(SUFFIXES)}), or a table with rows.",
            code="cases-missing",
        )
    require_unique([source.name for source in sources], "case")
    return tuple(sorted(sources, key=lambda source: source.name))


def _in_folder(folder: Path) -> list[CaseSource]:
    if (folder / REAL).is_dir() and (folder / GENERATED).is_dir():
        found = {role: _images(folder / role) for role in (REAL, GENERATED)}
        names = sorted({*found[REAL], *found[GENERATED]})
        return [CaseSource(name, {role: found[role][name] for role in found if name in found[role]}) for name in names]
    cases = []
    for item in sorted(place for place in folder.iterdir() if place.is_dir()):
        images = {role: file for role, file in _images(item).items() if role in ROLES}
        if images:
            cases.append(CaseSource(item.name, images))
    return cases or [CaseSource(name, {UNKNOWN: file}) for name, file in _images(folder).items()]


def _images(folder: Path) -> dict[str, Path]:
    """Return name without suffix -> image file. Raises StudyError for two files of one name."""
    found: dict[str, Path] = {}
    for file in image_files(folder):
        name = image_stem(file)
        if name in found:
            raise StudyError(
                f"Found {found[name].name} and {file.name} in one folder, expected one file a case.",
                code="case-duplicate",
            )
        found[name] = file
    return found


def _in_table(path: Path) -> list[CaseSource]:
    try:
        lines = read_csv_rows(path)
    except UnicodeDecodeError as error:
        raise StudyError(
            f"Found that {path.name} is no UTF-8 text, expected CSV. Save it as CSV UTF-8.", code="table-unreadable"
        ) from error
    header = [cell.lower() for cell in lines[0]] if lines else []
    unknown = sorted(set(header) - set(COLUMNS))
    if unknown or "name" not in header or len(set(header)) != len(header):
        raise StudyError(
            f"Found the columns {', '.join(header) or 'none'} in {path.name}, expected name, and any of "
            f"{', '.join(COLUMNS[1:])}, each once.",
            code="table-columns",
        )
    return [_row(path.absolute().parent, number, dict(zip(header, line))) for number, line in enumerate(lines[1:], 2)]


def _row(folder: Path, number: int, cells: Mapping[str, str]) -> CaseSource:
    paths = {column: folder / Path(cell).expanduser() for column, cell in cells.items() if cell and column != "name"}
    missing = [column for column, path in paths.items() if not path.exists()]
    images = {role: paths[role] for role in ROLES if role in paths}
    if missing or not images or not cells.get("name") or (UNKNOWN in images and len(images) > 1):
        no_file = f"no file for {', '.join(missing)}"
        fault = no_file if missing else "no name, no image, or an image beside real and generated"
        raise StudyError(
            f"Found {fault} in line {number} of the table, expected a name, and files for real, generated or both, or "
            "for image. Correct the line.",
            code="table-row",
        )
    return CaseSource(cells["name"], images, paths.get("landmarks"))
