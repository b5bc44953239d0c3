"""A worklist: one request a row of a CSV file."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from SlicerSynthReg.request import Request, RequestError
from SlicerSynthReg.tasks.table import TASKS, TaskSpec
from SlicerSynthReg.validate import from_text

_NAME = re.compile(r"\w[\w .+=-]*")
_RESERVED = {"results.csv", "index.html"}


@dataclass(frozen=True)
class Row:
    """One line: its name, which is also its output folder's, and its cells by column, empty ones left out."""

    name: str
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Worklist:
    """Rows in the file's order. folder: where relative paths start, the folder of the file."""

    rows: tuple[Row, ...]
    folder: Path
    task: str = "register"

    def request(self, row: Row, out: Path, tasks: Mapping[str, TaskSpec] = TASKS) -> Request:
        """The request of one row, writing to `out`/name. Raises RequestError for a cell that is no such parameter."""
        spec = tasks[self.task]
        known = spec.parameter_specs()
        inputs = {
            name: str(self.folder / Path(text).expanduser()) for name, text in row.cells.items() if name in spec.inputs
        }
        parameters = {name: from_text(known[name], text) for name, text in row.cells.items() if name in known}
        return Request(self.task, inputs, str(out / row.name), parameters)


def read_worklist(path: Path, task: str = "register", tasks: Mapping[str, TaskSpec] = TASKS) -> Worklist:
    """Columns: the task's inputs and parameters, and `name`; comma, semicolon or tab; UTF-8.

    Rows without a name are called row-0001 and so on, by their place. Raises RequestError when the file as a whole
    cannot be used; what is wrong with a single row comes to light when the row is run.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"Found that the worklist {path.name} cannot be read ({type(error).__name__}), expected CSV in UTF-8. "
            "Check the path, or save the table as CSV UTF-8."
        ) from error
    spec = tasks[task]
    known = {"name", *spec.inputs, *spec.parameter_specs()}
    first = text.split("\n", 1)[0]
    table = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count), skipinitialspace=True)
    lines = [[cell.strip() for cell in line] for line in table if any(cell.strip() for cell in line)]
    header = lines[0] if lines else []
    missing = [name for name, one in spec.inputs.items() if one.required and name not in header]
    strange = [name for name in header if name not in known] + [n for n, count in Counter(header).items() if count > 1]
    if missing or strange or len(lines) < 2:
        faults = [f"no column {name}" for name in missing] + [f"the column {name!r}" for name in strange]
        raise RequestError(
            f"Found {', '.join(faults) or 'no rows'} in the worklist {path.name}, expected the columns "
            f"{', '.join(name for name, one in spec.inputs.items() if one.required)}, if wanted any of "
            f"{', '.join(sorted(known))}, each once, and at least one row."
        )
    rows = tuple(_row(number, header, line) for number, line in enumerate(lines[1:], start=1))
    twice = [name for name, count in Counter(row.name.lower() for row in rows).items() if count > 1]
    if twice:
        raise RequestError(f"Found the name {twice[0]!r} in several rows, expected each once. Rename them.")
    return Worklist(rows, path.absolute().parent, task)


def _row(number: int, header: list[str], line: list[str]) -> Row:
    if len(line) > len(header):
        raise RequestError(
            f"Found {len(line)} cells in row {number}, expected {len(header)}. Put cells that hold a comma in quotes."
        )
    cells = {name: cell for name, cell in zip(header, line) if cell}
    name = cells.pop("name", f"row-{number:04d}")
    if not _NAME.fullmatch(name) or name.lower() in _RESERVED:
        raise RequestError(
            f"Found the name {name!r} in row {number}, expected letters, digits, spaces and . + = - _ (it names the "
            "row's output folder). Rename it."
        )
    return Row(name, cells)
