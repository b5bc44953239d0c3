"""Worklists: CSV files with one request per row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.tables import read_csv_rows
from SlicerSynthReg.request import Request
from SlicerSynthReg.service.validation import from_text
from SlicerSynthReg.tasks.registry import TASKS, TaskSpec

_NAME = re.compile(r"\w[\w .+=-]*")
_RESERVED = {"results.csv", "index.html"}


@dataclass(frozen=True)
class Row:
    """One row. name: also of its output folder. cells: column -> text, without empty cells."""

    name: str
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Worklist:
    """Rows in the order of the file. folder: to which relative paths refer, that of the file."""

    rows: tuple[Row, ...]
    folder: Path
    task: str = "register"

    def request(self, row: Row, out: Path, tasks: Mapping[str, TaskSpec] = TASKS) -> Request:
        """Return the request of one row, with output folder `out`/name. Raises RequestError (parameter-value)."""
        spec = tasks[self.task]
        known = spec.parameter_specs()
        inputs = {name: self._path(name, text) for name, text in row.cells.items() if name in spec.inputs}
        parameters = {name: from_text(known[name], text) for name, text in row.cells.items() if name in known}
        return Request(self.task, inputs, str(out / row.name), parameters)

    def _path(self, name: str, text: str) -> str:
        try:
            return str(self.folder / Path(text).expanduser())
        except RuntimeError:
            raise RequestError(
                f"Found no home folder for the path of the input {name}, expected that of a user of this computer "
                "after the sign ~. Write the whole path.",
                code="path-missing",
            ) from None

    def with_parameters(self, settings: Sequence[str], tasks: Mapping[str, TaskSpec] = TASKS) -> Worklist:
        """Return the worklist with parameters (name=value) added to rows that lack them.

        Raises RequestError (unknown-parameter).
        """
        known = tasks[self.task].parameter_specs()
        given = dict(text.partition("=")[::2] for text in settings)
        unknown = [name for name in given if name not in known]
        if unknown:
            raise RequestError(
                f"Found the setting {unknown[0]!r}, expected name=value with one of {', '.join(known)}. Correct it.",
                code="unknown-parameter",
            )
        return replace(self, rows=tuple(replace(row, cells={**given, **row.cells}) for row in self.rows))


def read_worklist(path: Path, task: str = "register", tasks: Mapping[str, TaskSpec] = TASKS) -> Worklist:
    """Read a worklist in UTF-8, separated by comma, semicolon or tab.

    Columns: the task's inputs and parameters, and `name` (default: row-0001 and so on). Raises RequestError
    (worklist-unreadable, worklist-columns, worklist-row) if the file as a whole cannot be used; an invalid value fails
    its own row when that is run.
    """
    try:
        lines = read_csv_rows(path)
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"Found that the worklist {path.name} cannot be read ({type(error).__name__}), expected CSV in UTF-8. "
            "Check the path, or save the table as CSV UTF-8.",
            code="worklist-unreadable",
        ) from error
    spec = tasks[task]
    known = {"name", *spec.inputs, *spec.parameter_specs()}
    header = lines[0] if lines else []
    missing = [name for name, input_spec in spec.inputs.items() if input_spec.required and name not in header]
    unknown = [name for name in header if name not in known] + [n for n, count in Counter(header).items() if count > 1]
    if missing or unknown or len(lines) < 2:
        problems = [f"no column {name}" for name in missing] + [f"the column {name!r}" for name in unknown]
        raise RequestError(
            f"Found {', '.join(problems) or 'no rows'} in the worklist {path.name}, expected the columns "
            f"{', '.join(name for name, input_spec in spec.inputs.items() if input_spec.required)}, optionally any of "
            f"{', '.join(sorted(known))}, each once, and at least one row.",
            code="worklist-columns",
        )
    rows = tuple(_row(number, header, line) for number, line in enumerate(lines[1:], start=1))
    repeated = [name for name, count in Counter(row.name.lower() for row in rows).items() if count > 1]
    if repeated:
        raise RequestError(
            f"Found the name {repeated[0]!r} in several rows, expected each once. Rename them.", code="worklist-row"
        )
    return Worklist(rows, path.absolute().parent, task)


def _row(number: int, header: list[str], line: list[str]) -> Row:
    if len(line) > len(header):
        raise RequestError(
            f"Found {len(line)} cells in row {number}, expected {len(header)}. Put cells that hold a comma in quotes.",
            code="worklist-row",
        )
    cells = {name: cell for name, cell in zip(header, line) if cell}
    name = cells.pop("name", f"row-{number:04d}")
    if not _NAME.fullmatch(name) or name.lower() in _RESERVED:
        raise RequestError(
            f"Found the name {name!r} in row {number}, expected letters, digits, spaces and . + = - _ (it names the "
            "row's output folder). Rename it.",
            code="worklist-row",
        )
    return Row(name, cells)
