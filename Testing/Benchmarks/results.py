"""Result files: a benchmark's table with the command, commit, machine and date that produced it.

A benchmark adds `add_save_option(parser)` and calls `save_table(options, title, columns, rows)`. The documentation site
renders every file of `results/` (docs/benchmarks). Standard library only.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results"
ORIGINS = ("measured", "transcribed")


@dataclass(frozen=True)
class BenchmarkResult:
    """One table.

    name: file name without suffix, kebab case. command: what printed the table, from the repository root, with the
    present option names. commit: short hash of the measured code. date: YYYY-MM-DD. origin: "measured" when the
    command wrote the file, "transcribed" when it was copied from an earlier record. rows: cells as printed.
    """

    name: str
    title: str
    command: str
    commit: str
    date: str
    machine: str
    origin: str
    columns: list[str]
    rows: list[list[str]]
    notes: str = ""


def write_result(result: BenchmarkResult, folder: Path = RESULTS) -> Path:
    """Write `result` to `folder/NAME.json` and return the path. Raises ValueError for an invalid result."""
    check_result(result)
    path = folder / f"{result.name}.json"
    path.write_text(json.dumps(asdict(result), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_result(path: Path) -> BenchmarkResult:
    """Return the result of one JSON file. Raises ValueError with the file's name for an invalid one."""
    values = json.loads(path.read_text(encoding="utf-8"))
    expected = {field.name for field in fields(BenchmarkResult)}
    if set(values) != expected:
        raise ValueError(f"{path.name}: found the keys {sorted(values)}, expected {sorted(expected)}.")
    result = BenchmarkResult(**values)
    if result.name != path.stem:
        raise ValueError(f"{path.name}: found the name {result.name!r}, expected {path.stem!r}.")
    check_result(result)
    return result


def read_results(folder: Path = RESULTS) -> dict[str, BenchmarkResult]:
    """Return all results of a folder by name."""
    return {path.stem: read_result(path) for path in sorted(folder.glob("*.json"))}


def check_result(result: BenchmarkResult) -> None:
    """Raise ValueError unless the name, origin and date are well formed, every row is complete and nothing needed is
    empty."""
    problems = []
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", result.name):
        problems.append(f"name {result.name!r}, expected kebab case")
    if result.origin not in ORIGINS:
        problems.append(f"origin {result.origin!r}, expected one of {ORIGINS}")
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", result.date):
        problems.append(f"date {result.date!r}, expected YYYY-MM-DD")
    problems += [
        f"no {name}" for name in ("title", "command", "commit", "machine", "rows") if not getattr(result, name)
    ]
    problems += [f"a row of {len(row)} cells, expected {len(result.columns)}" for row in result.rows
                 if len(row) != len(result.columns)]  # fmt: skip
    if problems:
        raise ValueError(f"{result.name}: found {'; '.join(problems)}.")


def add_save_option(parser: argparse.ArgumentParser) -> None:
    """Give a benchmark the option `--save NAME`."""
    parser.add_argument("--save", metavar="NAME", help="write the table to Testing/Benchmarks/results/NAME.json")


def save_table(
    options: argparse.Namespace, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], notes: str = ""
) -> None:
    """Write the table of a finished benchmark when `--save` was given; cells are stored as their text."""
    if not options.save:
        return
    cells = [[str(cell) for cell in row] for row in rows]
    measured = (current_commit(), datetime.date.today().isoformat(), current_machine(), "measured")
    path = write_result(BenchmarkResult(options.save, title, current_command(), *measured, list(columns), cells, notes))
    print(f"saved {path.relative_to(ROOT)}")


def save_rich_tables(options: argparse.Namespace, title: str, tables: Sequence[Table], notes: str = "") -> None:
    """Write printed tables with the same columns as one; where there are several, the first column is their title."""
    if not options.save or not tables:
        return
    columns = [str(column.header) for column in tables[0].columns]
    rows = [
        (table.title, list(cells)) for table in tables for cells in zip(*(column.cells for column in table.columns))
    ]
    if len(tables) == 1:
        save_table(options, title, columns, [cells for _, cells in rows], notes)
    else:
        save_table(options, title, ["data", *columns], [[str(name), *cells] for name, cells in rows], notes)


def current_command() -> str:
    """Return this process's command line, its script relative to the repository root, without `--save`."""
    script = os.path.relpath(sys.argv[0], ROOT).replace(os.sep, "/")
    words = shlex.join(["python", script, *sys.argv[1:]])
    return re.sub(r" --save[ =]\S+", "", words)


def current_commit() -> str:
    """Return the short hash of HEAD, with "+" when tracked files were changed; "unknown" outside a checkout."""
    try:
        short = _git("rev-parse", "--short", "HEAD")
        return short + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def current_machine() -> str:
    """Return architecture, system, number of processor cores and, where torch is loaded, the GPU; no host name."""
    torch = sys.modules.get("torch")
    gpu = torch.cuda.get_device_name() if torch is not None and torch.cuda.is_available() else "no GPU"
    return f"{platform.machine()} {platform.system()}, {os.cpu_count()} processor cores, {gpu}"


def markdown_table(result: BenchmarkResult) -> str:
    """Return the table as Markdown with its title above and command, commit, date and machine below."""
    lines = [f"**{result.title}**", "", _row(result.columns), _row(["---"] * len(result.columns))]
    lines += [_row(row) for row in result.rows]
    if result.notes:
        lines += ["", result.notes]
    lines += ["", f"`{result.command}`", ""]
    lines.append(f"*{result.origin.capitalize()}: commit {result.commit}, {result.date}; {result.machine}.*")
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
