"""A set of examples on disk: a folder of pairs, or a table; and what its labels are called. Imports no torch.

Folder: images/NAME and labels/NAME (or masks/, outputs/), or NAME_image and NAME_labels (or _mask, _seg, _output) side
by side; NAME.seg.nrrd, as 3D Slicer writes it, counts as NAME. Table: CSV with the columns input and output, if wanted
input2 and input3, name, and include (yes or no). segments.json beside them names the labels (see LabelName).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from SlicerSynthReg.request import RequestError
from SlicerSynthReg.volume.suffixes import image_files, stem_of

MOST_INPUTS = 3
LEGEND = "segments.json"
_OUTPUTS = re.compile(r"(?i)[_-](labels?|mask|seg|segmentation|output)$")
_INPUTS = re.compile(r"(?i)[_-](image|input)$")
_NO = {"no", "0", "false", "n"}


@dataclass(frozen=True)
class PairPaths:
    """Files of one example."""

    name: str
    inputs: tuple[Path, ...]
    output: Path


@dataclass(frozen=True)
class LabelName:
    """color: red, green, blue from 0 to 1. terminology: as 3D Slicer's segments keep it, "" where unknown."""

    name: str
    color: tuple[float, float, float]
    terminology: str = ""


def find_pairs(source: Path) -> list[PairPaths]:
    """The examples of a folder or table, by name. Raises RequestError."""
    pairs = _of_folder(source) if source.is_dir() else _of_table(source)
    if not pairs:
        raise RequestError(
            "Found no pairs among the examples, expected images/ with labels/ (or outputs/) of the same names, files "
            "named NAME_image and NAME_labels (or _mask, _output), or a CSV table with the columns input and output."
        )
    counts = {len(pair.inputs) for pair in pairs}
    if len(counts) > 1:
        raise RequestError(
            f"Found examples with {' and '.join(map(str, sorted(counts)))} input images, expected the same number in "
            "each. Leave the others out, or add what is missing."
        )
    return pairs


def _of_folder(folder: Path) -> list[PairPaths]:
    for answers in ("labels", "masks", "outputs"):
        if (folder / "images").is_dir() and (folder / answers).is_dir():
            found = {_stem(path): path for path in image_files(folder / answers)}
            named = [(_stem(path), path) for path in image_files(folder / "images")]
            return [PairPaths(name, (path,), found[name]) for name, path in named if name in found]
    inputs, outputs = {}, {}
    for path in image_files(folder):
        stem = _stem(path)
        if _OUTPUTS.search(stem):
            outputs[_OUTPUTS.sub("", stem)] = path
        else:
            inputs[_INPUTS.sub("", stem)] = path
    return [PairPaths(name, (path,), outputs[name]) for name, path in inputs.items() if name in outputs]


def _of_table(table: Path) -> list[PairPaths]:
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"Found that the table {table.name} cannot be read, expected a folder of pairs or CSV in UTF-8."
        ) from error
    first = text.split("\n", 1)[0]
    rows = list(csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=first.count), skipinitialspace=True))
    if rows and not {"input", "output"} <= set(rows[0]):
        raise RequestError(f"Found no columns input and output in {table.name}, expected both (and input2, input3).")
    pairs = []
    for number, row in enumerate(rows, start=1):
        if (row.get("include") or "yes").strip().lower() in _NO:
            continue
        cells = [(row.get(column) or "").strip() for column in ("input", "input2", "input3", "output")]
        *inputs, output = [table.parent / Path(cell).expanduser() if cell else None for cell in cells]
        if inputs[0] is None or output is None:
            raise RequestError(f"Found row {number} of {table.name} without an input or an output, expected both.")
        given = tuple(path for path in inputs if path is not None)
        for path in (*given, output):
            if not path.exists():
                raise RequestError(
                    f"Found nothing at the path of {path.name} in row {number} of {table.name}, expected a file. Paths "
                    "are relative to the table."
                )
        pairs.append(PairPaths((row.get("name") or _stem(given[0])).strip(), given, output))
    return pairs


def _stem(path: Path) -> str:
    return re.sub(r"(?i)\.seg$", "", stem_of(path))


def write_legend(legend: Mapping[int, LabelName], path: Path) -> None:
    """Label value -> what it is called."""
    told = {str(value): asdict(one) for value, one in sorted(legend.items())}
    path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def read_legend(source: Path) -> dict[int, LabelName]:
    """Of a folder of examples, or of the folder that a table lies in; {} where there is none that can be read."""
    path = (source if source.is_dir() else source.parent) / LEGEND
    try:
        return legend_of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def legend_of(told: Mapping[str, Mapping]) -> dict[int, LabelName]:
    """From the JSON of write_legend."""
    return {
        int(value): LabelName(str(one["name"]), _color(one["color"]), str(one.get("terminology", "")))
        for value, one in told.items()
    }


def _color(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = (min(1.0, max(0.0, float(value))) for value in values)
    return red, green, blue
