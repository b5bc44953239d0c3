"""Landmark files: CSV, and 3D Slicer's .fcsv and .mrk.json. Internally RAS mm; each file states its own system."""

from __future__ import annotations

import csv
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from SlicerSynthReg.errors import ImageError, MissingFileError
from SlicerSynthReg.io.files import atomic_write
from SlicerSynthReg.io.lps import flip_vectors

_Handler = TypeVar("_Handler")
SYSTEMS = ("RAS", "LPS")
_AXES = ({"x", "r", "l"}, {"y", "a", "p"}, {"z", "s"})
_FCSV_COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID"
_SCHEMA = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"


@dataclass(frozen=True, eq=False)
class Landmarks:
    """points_mm: (N, 3) float64, RAS mm. labels: N names, default 1 to N. Raises ImageError (landmark-values)."""

    points_mm: np.ndarray
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        points = np.array(self.points_mm, dtype=np.float64)
        labels = tuple(self.labels) or tuple(str(n + 1) for n in range(len(points)))
        if points.ndim != 2 or points.shape[1] != 3 or len(labels) != len(points) or not np.isfinite(points).all():
            raise ImageError(
                f"Found points of shape {points.shape} with {len(labels)} labels, expected (N, 3) finite coordinates "
                "in RAS mm and N labels. Remove points that are not placed.",
                code="landmark-values",
            )
        object.__setattr__(self, "points_mm", points)
        object.__setattr__(self, "labels", labels)


def read_landmarks(path: str | os.PathLike[str]) -> Landmarks:
    """Read the points of a .csv, .fcsv or .mrk.json (.json) file, in file order.

    CSV: columns x, y, z (any order, optional label column) or, without a header, the first three; RAS mm unless the
    header or a # comment names LPS (x_LPS, or columns l, p, s). Raises MissingFileError; ImageError (file-type,
    landmark-format, landmark-system, landmarks-missing).
    """
    path = Path(path)
    reader = _choose(path, {".fcsv": _read_fcsv, ".csv": _read_csv, ".json": _read_json})
    if not path.is_file():
        raise MissingFileError("Found no file at that path, expected landmarks. Check the path.", path=path)
    try:
        points, labels, system = reader(path.read_text(encoding="utf-8-sig"))
        landmarks = Landmarks(np.array(points, dtype=np.float64).reshape(-1, 3), tuple(labels))
    except ImageError as error:
        raise ImageError(error.text, path=path, code=error.code) from error
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ImageError(
            f"Found contents that are no landmarks ({error}), expected three coordinates in mm per point. "
            "Export the points again from Slicer, or as a CSV with columns x, y, z.",
            path=path,
            code="landmark-format",
        ) from error
    if not points:
        raise ImageError(
            "Found no points, expected at least one. Place landmarks and save again.",
            path=path,
            code="landmarks-missing",
        )
    return landmarks if system == "RAS" else Landmarks(flip_vectors(landmarks.points_mm), landmarks.labels)


def write_landmarks(landmarks: Landmarks, path: str | os.PathLike[str], system: str = "RAS") -> None:
    """Write a .csv, .fcsv or .mrk.json file, in `system` ("RAS" or "LPS"), which the file states. Raises ImageError,
    OSError."""
    path = Path(path)
    writer = _choose(path, {".fcsv": _fcsv, ".csv": _csv, ".json": _json})
    if system not in SYSTEMS:
        raise ImageError(f"Found the coordinate system {system!r}, expected RAS or LPS.", code="landmark-system")
    points = landmarks.points_mm if system == "RAS" else flip_vectors(landmarks.points_mm)
    text = writer(points.tolist(), landmarks.labels, system)
    with atomic_write(path, path.suffix) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _choose(path: Path, by_suffix: dict[str, _Handler]) -> _Handler:
    if path.suffix.lower() not in by_suffix:
        raise ImageError(
            f"Found the file name {path.name}, expected one ending in .csv, .fcsv or .mrk.json.", code="file-type"
        )
    return by_suffix[path.suffix.lower()]


def _read_csv(text: str) -> tuple[list[list[float]], list[str], str]:
    lines = [line for line in text.splitlines() if line.strip(" ,;\t")]
    comments = " ".join(line for line in lines if line.lstrip().startswith("#"))
    lines = [line for line in lines if not line.lstrip().startswith("#")]
    if not lines:
        return [], [], "RAS"
    delimiter = max(",;\t", key=lines[0].count)
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True)]
    columns, label, header = [0, 1, 2], None, ""
    if not _is_number(rows[0][0]) or not _is_number(rows[0][-1]):
        names = [re.split(r"[^a-z0-9]+", cell.lower())[0] for cell in rows[0]]
        if any(len([n for n in names if n in axis]) != 1 for axis in _AXES):
            raise ImageError(
                f"Found the columns {', '.join(rows[0])}, expected one each of x, y, z (and, if wanted, label). "
                "Keep one set of points per file.",
                code="landmark-format",
            )
        columns = [next(at for at, name in enumerate(names) if name in axis) for axis in _AXES]
        label = next((at for at, name in enumerate(names) if name in ("label", "name", "id")), None)
        header = " ".join([*rows[0], "LPS" if {"l", "p"} <= set(names) else ""])
        rows = rows[1:]
    elif len(rows[0]) != 3:
        raise ImageError(
            f"Found {len(rows[0])} columns without a header, expected 3 (x, y, z). Add a header row.",
            code="landmark-format",
        )
    points = [[float(row[at]) for at in columns] for row in rows]
    labels = [row[label] for row in rows] if label is not None else []
    return points, labels, "LPS" if "LPS" in f"{header} {comments}".upper() else "RAS"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _csv(points: list[list[float]], labels: tuple[str, ...], system: str) -> str:
    rows = [["label", *(f"{axis}_{system}" for axis in "xyz")]]
    rows += [[label, *(repr(x) for x in point)] for label, point in zip(labels, points)]
    return "".join(",".join(_quoted(cell) for cell in row) + "\n" for row in rows)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if re.search(r'[",\n]', cell) else cell


def _read_fcsv(text: str) -> tuple[list[list[float]], list[str], str]:
    named = re.search(r"#\s*CoordinateSystem\s*=\s*(\w+)", text)
    code = named.group(1).upper() if named else "RAS"
    system = {"0": "RAS", "1": "LPS"}.get(code, code)
    if system not in SYSTEMS:
        raise ImageError(
            f"Found CoordinateSystem = {code}, expected RAS (0) or LPS (1). Save them again.", code="landmark-system"
        )
    columns = re.search(r"#\s*columns\s*=\s*(.+)", text)
    names = (columns.group(1) if columns else _FCSV_COLUMNS).strip().split(",")
    rows = [row for row in csv.reader(text.splitlines()) if row and not row[0].lstrip().startswith("#")]
    points = [[float(row[names.index(axis)]) for axis in "xyz"] for row in rows]
    return points, [row[names.index("label")] for row in rows], system


def _fcsv(points: list[list[float]], labels: tuple[str, ...], system: str) -> str:
    lines = ["# Markups fiducial file version = 4.11", f"# CoordinateSystem = {system}", f"# columns = {_FCSV_COLUMNS}"]
    for number, (label, (x, y, z)) in enumerate(zip(labels, points), start=1):
        lines.append(f"{number},{x!r},{y!r},{z!r},0,0,0,1,1,1,0,{_quoted(label)},,")
    return "\n".join(lines) + "\n"


def _read_json(text: str) -> tuple[list[list[float]], list[str], str]:
    markups = json.loads(text)["markups"]
    if len(markups) != 1:
        raise ImageError(
            f"Found {len(markups)} markups lists, expected one. Save one list per file.", code="landmark-format"
        )
    markup = markups[0]
    system = str(markup.get("coordinateSystem", "LPS")).upper()
    units = markup.get("coordinateUnits", "mm")
    if system not in SYSTEMS or units not in ("mm", ["mm"] * 3):
        raise ImageError(
            f"Found coordinates in {system}, {units}, expected RAS or LPS in mm. Save them again.",
            code="landmark-system",
        )
    controls = markup["controlPoints"]
    unplaced = [c.get("label", "?") for c in controls if c.get("positionStatus", "defined") != "defined"]
    if unplaced:
        raise ImageError(
            f"Found unplaced points ({', '.join(unplaced)}), expected none. Place or delete them.",
            code="landmark-values",
        )
    return [c["position"] for c in controls], [str(c.get("label", n + 1)) for n, c in enumerate(controls)], system


def _json(points: list[list[float]], labels: tuple[str, ...], system: str) -> str:
    controls = [
        {"id": str(n), "label": label, "position": point, "positionStatus": "defined"}
        for n, (label, point) in enumerate(zip(labels, points), start=1)
    ]
    markup = {"type": "Fiducial", "coordinateSystem": system, "coordinateUnits": "mm", "controlPoints": controls}
    return json.dumps({"@schema": f"{_SCHEMA}markups-schema-v1.0.3.json#", "markups": [markup]}, indent=1)
