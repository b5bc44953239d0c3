"""The benchmark's table: accuracy, worst case, time and memory of each method, by kind of pair."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median
from typing import Protocol

from rich.console import Console
from rich.table import Table


class Measured(Protocol):
    """One registration, as far as a row needs it."""

    @property
    def method(self) -> str: ...
    @property
    def pair(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def dice(self) -> float: ...
    @property
    def seconds(self) -> float: ...
    @property
    def cpu_seconds(self) -> float: ...
    @property
    def peak_mb(self) -> float: ...


def time_ratio(ours: Sequence[Measured], peer: Sequence[Measured]) -> str:
    """Median over shared pairs of our seconds divided by the peer's; a dash when none is shared."""
    seconds = {result.pair: result.seconds for result in ours}
    ratios = [seconds[result.pair] / result.seconds for result in peer if result.pair in seconds]
    return f"{median(ratios):.2f}" if ratios else "-"


def print_tables(console: Console, results: Sequence[Measured], kinds: Sequence[str], ours: str) -> list[Table]:
    """Print and return one table per kind, best mean Dice first.

    Mean Dice and seconds are over the pairs that a method finished (column `pairs`). Rows of one table compare only
    where this number agrees.
    """
    tables = []
    for kind in kinds:
        of_kind = [result for result in results if result.kind == kind]
        if not of_kind:
            continue
        table = Table(title=kind)
        for heading in (
            "method",
            "pairs",
            "mean Dice",
            "worst pair",
            "median s",
            "CPU s",
            "peak MB",
            f"{ours} s / method s",
        ):
            table.add_column(heading, justify="left" if heading in ("method", "worst pair") else "right")
        by_method = {
            method: [result for result in of_kind if result.method == method]
            for method in dict.fromkeys(result.method for result in of_kind)
        }
        for method, rows in sorted(by_method.items(), key=lambda item: -mean(row.dice for row in item[1])):
            worst = min(rows, key=lambda row: row.dice)
            table.add_row(
                method,
                str(len(rows)),
                f"{mean(row.dice for row in rows):.3f}",
                f"{worst.dice:.3f} {worst.pair}",
                f"{median(row.seconds for row in rows):.1f}",
                f"{median(row.cpu_seconds for row in rows):.1f}",
                f"{max(row.peak_mb for row in rows):.0f}",
                time_ratio(by_method.get(ours, []), rows),
            )
        console.print(table)
        tables.append(table)
    return tables
