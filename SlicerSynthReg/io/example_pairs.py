"""A set of examples on disk, as folder or table, and the names of its labels. Imports no torch.

Folder: images/NAME and labels/NAME (or masks/, outputs/), or NAME_image and NAME_labels (or _mask, _seg, _output) side
by side; NAME.seg.nrrd, as written by 3D Slicer, counts as NAME. Table: CSV with the columns input and output, and
optionally input2, input3, name, and include (yes or no). segments.json beside them names the labels (LabelName).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.files import image_files, image_stem

LABEL_NAMES_FILE = "segments.json"
_OUTPUTS = re.compile(r"(?i)[_-](labels?|mask|seg|segmentation|output)$")
_INPUTS = re.compile(r"(?i)[_-](image|input)$")
_NO = {"no", "0", "false", "n"}


@dataclass(frozen=True)
class ExamplePaths:
    """Files of one example. inputs: one to three images."""

    name: str
    inputs: tuple[Path, ...]
    output: Path


@dataclass(frozen=True)
class LabelName:
    """Name of a label. color: red, green, blue from 0 to 1. terminology: in 3D Slicer's format, "" if unknown."""

    name: str
    color: tuple[float, float, float]
    terminology: str = ""


def find_examples(source: Path) -> list[ExamplePaths]:
    """Return the examples of a folder or table, by name.

    Raises RequestError (codes "examples-none", "examples-inputs", "table-unreadable", "table-columns", "table-row").
    """
    pairs = _of_folder(source) if source.is_dir() else _of_table(source)
    if not pairs:
        raise RequestError(
            "Found no pairs among the examples, expected images/ with labels/ (or outputs/) of the same names, files "
            "named NAME_image and NAME_labels (or _mask, _output), or a CSV table with the columns input and output.",
            code="examples-none",
        )
    counts = {len(pair.inputs) for pair in pairs}
    if len(counts) > 1:
        raise RequestError(
            f"Found examples with {' and '.join(map(str, sorted(counts)))} input images, expected the same number in "
            "each. Remove the others, or add the missing images.",
            code="examples-inputs",
        )
    return pairs


def _of_folder(folder: Path) -> list[ExamplePaths]:
    for kind in ("labels", "masks", "outputs"):
        if (folder / "images").is_dir() and (folder / kind).is_dir():
            found = {_stem(path): path for path in image_files(folder / kind)}
            named = [(_stem(path), path) for path in image_files(folder / "images")]
            return [ExamplePaths(name, (path,), found[name]) for name, path in named if name in found]
    inputs, outputs = {}, {}
    for path in image_files(folder):
        stem = _stem(path)
        if _OUTPUTS.search(stem):
            outputs[_OUTPUTS.sub("", stem)] = path
        else:
            inputs[_INPUTS.sub("", stem)] = path
    return [ExamplePaths(name, (path,), outputs[name]) for name, path in inputs.items() if name in outputs]


def _of_table(table: Path) -> list[ExamplePaths]:
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"Found that the table {table.name} cannot be read, expected a folder of pairs or CSV in UTF-8.",
            code="table-unreadable",
        ) from error
    first = text.split("\n", 1)[0]
    rows = list(csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=first.count), skipinitialspace=True))
    if rows and not {"input", "output"} <= set(rows[0]):
        raise RequestError(
            f"Found no columns input and output in {table.name}, expected both. Add a header line.",
            code="table-columns",
        )
    pairs = []
    for number, row in enumerate(rows, start=1):
        if (row.get("include") or "yes").strip().lower() in _NO:
            continue
        cells = [(row.get(column) or "").strip() for column in ("input", "input2", "input3", "output")]
        *inputs, output = [table.parent / Path(cell).expanduser() if cell else None for cell in cells]
        if inputs[0] is None or output is None:
            raise RequestError(
                f"Found row {number} of {table.name} without an input or an output, expected both. Complete the row.",
                code="table-row",
            )
        given = tuple(path for path in inputs if path is not None)
        for path in (*given, output):
            if not path.exists():
                raise RequestError(
                    f"Found nothing at the path of {path.name} in row {number} of {table.name}, expected a file. Paths "
                    "are relative to the table.",
                    code="table-row",
                )
        pairs.append(ExamplePaths((row.get("name") or _stem(given[0])).strip(), given, output))
    return pairs


def _stem(path: Path) -> str:
    return re.sub(r"(?i)\.seg$", "", image_stem(path))


def write_label_names(legend: Mapping[int, LabelName], path: Path) -> None:
    """Write the names of the labels as JSON."""
    values = {str(value): asdict(item) for value, item in sorted(legend.items())}
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def read_label_names(source: Path) -> dict[int, LabelName]:
    """Return the label names of a folder of examples, or beside a table; {} if missing or unreadable."""
    path = (source if source.is_dir() else source.parent) / LABEL_NAMES_FILE
    try:
        return parse_label_names(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def parse_label_names(values: Mapping[str, Mapping]) -> dict[int, LabelName]:
    """Return the label names from the JSON of write_label_names. Raises ValueError, TypeError, KeyError."""
    return {
        int(value): LabelName(str(item["name"]), _color(item["color"]), str(item.get("terminology", "")))
        for value, item in values.items()
    }


def _color(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = (min(1.0, max(0.0, float(value))) for value in values)
    return red, green, blue
