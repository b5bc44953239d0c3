"""A set of examples from disk: a folder of pairs, or a table; what each shows, and whether they agree on the task.

Folder: images/NAME and labels/NAME (or outputs/NAME), or NAME_image and NAME_labels (or _mask, _seg, _output) side by
side. Table: CSV with the columns input and output, if wanted input2 and input3, and include (yes or no).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from SlicerSynthReg.request import RequestError
from SlicerSynthReg.volume.read import SUFFIXES, read_volume
from SlicerSynthReg.volume.volume import Volume

MOST_INPUTS = 3
MOST_LABELS = 256
_OUTPUTS = re.compile(r"(?i)[_-](labels?|mask|seg|segmentation|output)$")
_INPUTS = re.compile(r"(?i)[_-](image|input)$")
_NO = {"no", "0", "false", "n"}


@dataclass(frozen=True)
class PairPaths:
    """Files of one example."""

    name: str
    inputs: tuple[Path, ...]
    output: Path


@dataclass(frozen=True, eq=False)
class Pair:
    """One example as read. inputs: one to three scalar volumes; output: labels, or a scalar volume."""

    name: str
    inputs: tuple[Volume, ...]
    output: Volume


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
            found = {_stem(path): path for path in _images(folder / answers)}
            named = [(_stem(path), path) for path in _images(folder / "images")]
            return [PairPaths(name, (path,), found[name]) for name, path in named if name in found]
    inputs, outputs = {}, {}
    for path in _images(folder):
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


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.lower().endswith(SUFFIXES))


def _stem(path: Path) -> str:
    suffix = next((s for s in SUFFIXES if path.name.lower().endswith(s)), path.suffix)
    return path.name[: len(path.name) - len(suffix)]


def read_pairs(paths: Sequence[PairPaths], answer: str) -> list[Pair]:
    """The volumes; answer: "labels", "image", or "auto". Raises RequestError where outputs are of both kinds."""
    pairs = []
    for one in paths:
        inputs = tuple(read_volume(path) for path in one.inputs)
        output = read_volume(one.output, allow_degenerate=True)
        pairs.append(Pair(one.name, inputs, output))
    seen = [looks_like_labels(pair.output.data) for pair in pairs]
    if answer == "auto" and any(seen) and not all(seen):
        odd = next(pair.name for pair, labels in zip(pairs, seen) if labels != seen[0])
        raise RequestError(
            f"Found label maps and images among the examples' outputs ({odd} differs from {pairs[0].name}), expected "
            "one kind. Leave one kind out, or say which it is with answer labels or image."
        )
    if answer == "labels" or (answer == "auto" and seen[0]):
        return [Pair(pair.name, pair.inputs, _as_labels(pair)) for pair in pairs]
    return pairs


def looks_like_labels(values: torch.Tensor) -> bool:
    """Whether (C, I, J, K) is a label map: whole numbers, few, and mostly the same from voxel to voxel."""
    if bool((values != values.round()).any()) or float(values.min()) < 0:
        return False
    inside = values[values != 0]
    distinct = len(inside.unique()) if len(inside) < 200_000 else len(inside[:: len(inside) // 200_000].unique())
    if distinct <= 4:
        return True
    if distinct > MOST_LABELS:
        return False
    same = values[..., 1:] == values[..., :-1]
    return float(same[values[..., 1:] != 0].float().mean()) > 0.6


def _as_labels(pair: Pair) -> Volume:
    values = pair.output.data[:1]
    if bool((values != values.round()).any()):
        low, high = float(values.min()), float(values.max())
        if low < 0 or high > 1:
            raise RequestError(
                f"Found fractions from {low:g} to {high:g} in the labels of {pair.name}, expected whole numbers (or a "
                "probability from 0 to 1, which is cut at one half). Export it as a label map, or say answer image."
            )
        values = (values > 0.5).float()
    return Volume(values.int(), pair.output.grid, "labels", pair.output.name)


def wanted_labels(pairs: Sequence[Pair], text: str) -> tuple[int, ...]:
    """Label values to find: those of `text`, else all but 0 of the examples. Raises RequestError."""
    present = sorted(set().union(*(pair.output.data.unique().tolist() for pair in pairs)) - {0})
    if not present:
        raise RequestError(
            "Found empty masks in all examples, expected at least one that shows what is to be found. Draw it in one."
        )
    if not text.strip():
        return tuple(present)
    try:
        wanted = [int(part) for part in text.replace(";", ",").split(",") if part.strip()]
    except ValueError:
        raise RequestError(f"Found labels = {text!r}, expected whole numbers with commas between them.") from None
    strange = [value for value in wanted if value not in present]
    if strange or not wanted:
        raise RequestError(f"Found the label {strange[:1]}, expected some of {present[:30]}, which the examples show.")
    return tuple(wanted)
