"""Measures of finished results, case by case: gathered from their folders, sorted, and written as a table. No torch."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from SlicerSynthReg.report.record import ReportError
from SlicerSynthReg.volume.atomic import atomically
from SlicerSynthReg.workspace import SEAL, read_seal


@dataclass(frozen=True)
class Measure:
    """A column. name: as in reports; scale: factor to what is shown. better: 1 the higher, -1 the lower, 0 neither.
    also: what some reports call it."""

    name: str
    heading: str
    unit: str = ""
    better: int = 0
    digits: int = 2
    scale: float = 1.0
    also: tuple[str, ...] = ()

    def shown(self, value: float) -> str:
        """Value as text without unit, a dash for none."""
        return "–" if math.isnan(value) else f"{value * self.scale:.{self.digits}f}".replace("-", "−")


MEASURES = (
    Measure("dice_after", "Dice", better=1, digits=3),
    Measure("tre_after", "Landmark distance", "mm", -1, 2),
    Measure("folding_share", "Folding", "per million", -1, 1, 1e6),
    Measure("jacobian_min", "Jacobian, least", better=1, digits=2),
    Measure("jacobian_max", "Jacobian, greatest", better=-1, digits=2),
    Measure("inverse_consistency_mm_mean", "Inverse consistency", "mm", -1, 3),
    Measure("similarity_after", "Similarity", better=1, digits=3),
    Measure("mae", "MAE", "", -1, 2),
    Measure("mae_hu", "MAE", "HU", -1, 1, also=("MAE, HU",)),
    Measure("ssim", "SSIM", "", 1, 3, also=("SSIM",)),
    Measure("psnr_db", "PSNR", "dB", 1, 1, also=("PSNR, dB", "psnr")),
    Measure("cycle_hu", "Cycle error", "HU", -1, 1),
    Measure("anomaly_ml", "Anomaly", "ml", 0, 1),
    Measure("largest_ml", "Largest anomaly", "ml", 0, 1),
)


@dataclass(frozen=True)
class Place:
    """Where to look first. ras_mm: R, A, S in mm of the fixed (reference) image. why: in words, with its value."""

    ras_mm: tuple[float, float, float]
    why: str

    def __str__(self) -> str:
        letters = (("R", "L"), ("A", "P"), ("S", "I"))
        return " ".join(f"{pair[x < 0]} {abs(x):.0f}" for pair, x in zip(letters, self.ras_mm)) + " mm"


@dataclass(frozen=True)
class QualityRow:
    """One case. label: "Case 7", which tells nothing; name: its folder's or the table's, which may be a patient's.

    values: measure name -> value, in the report's unit, missing ones left out. folder: where the result lies.
    """

    label: str
    name: str
    values: Mapping[str, float]
    folder: Path | None = None
    place: Place | None = None

    def value(self, measure: Measure) -> float:
        return self.values.get(measure.name, math.nan)


@dataclass(frozen=True)
class QualityTable:
    """rows: in the order of names. measures: those that any row has."""

    rows: tuple[QualityRow, ...]
    measures: tuple[Measure, ...] = field(init=False)

    def __post_init__(self) -> None:
        held = tuple(one for one in MEASURES if any(one.name in row.values for row in self.rows))
        object.__setattr__(self, "measures", held)

    def worst_first(self, measure: Measure | None = None) -> tuple[QualityRow, ...]:
        """By one measure, or by the mean of a row's places in all measures with a better end; those without last."""
        if measure is not None:
            return tuple(sorted(self.rows, key=lambda row: _badness(measure, row.value(measure))))
        ranked = [one for one in self.measures if one.better]
        places: dict[str, list[float]] = {row.label: [] for row in self.rows}
        for one in ranked:
            values = sorted(_badness(one, row.value(one)) for row in self.rows)
            for row in self.rows:
                if not math.isnan(row.value(one)):
                    places[row.label].append(values.index(_badness(one, row.value(one))))
        return tuple(sorted(self.rows, key=lambda row: _mean(places[row.label])))

    def write_csv(self, path: Path, named: bool = False) -> Path:
        """A line a case, values in the reports' own units and full precision. named: with the column name."""
        header = ["case", *(["name"] if named else []), *(one.name for one in self.measures)]
        with atomically(Path(path), ".csv") as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream)
            table.writerow([*header, "worst_R_mm", "worst_A_mm", "worst_S_mm", "worst_why"])
            for row in self.rows:
                values = [repr(row.values[one.name]) if one.name in row.values else "" for one in self.measures]
                place = [*(f"{x:.1f}" for x in row.place.ras_mm), row.place.why] if row.place else [""] * 4
                table.writerow([row.label, *([row.name] if named else []), *values, *place])
        return Path(path)


def gather(folder: Path) -> QualityTable:
    """The table of all whole results in `folder`: itself, its folders, or theirs. Places are not looked for.

    ReportError where there is none.
    """
    folder = Path(folder)
    seals = sorted({seal for depth in ("", "*/", "*/*/") for seal in folder.glob(f"{depth}{SEAL}")})
    found = [(seal.parent, report) for seal in seals if (report := read_seal(seal.parent)) is not None]
    if not found:
        raise ReportError(
            f"Found no finished result in {folder.name}, expected folders that hold {SEAL}, as synthreg writes them. "
            "Choose the output folder of a run or a batch."
        )
    rows = [(place.name, measured(report.get("report", {})), place) for place, report in found]
    return QualityTable(labelled(rows))


def labelled(rows: Sequence[tuple[str, Mapping[str, float], Path | None]]) -> tuple[QualityRow, ...]:
    """Rows of (name, values, folder), numbered in their order."""
    width = len(str(len(rows)))
    return tuple(
        QualityRow(f"Case {number:0{width}d}", name, values, folder)
        for number, (name, values, folder) in enumerate(rows, start=1)
    )


def measured(report: Mapping[str, Any]) -> dict[str, float]:
    """The measures a report holds, however deep; of several with one name the first, of Dice by label the mean."""
    known = {name: one.name for one in MEASURES for name in (one.name, *one.also)}
    values: dict[str, float] = {}
    for name, value in _numbers(report):
        if name in known:
            values.setdefault(known[name], value)
    return values


def _numbers(report: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in report.items():
        if name == "dice" and isinstance(value, Mapping) and value:
            yield "dice_after", _mean([float(one) for one in value.values()])
        elif isinstance(value, Mapping):
            yield from _numbers(value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield name, float(value)


def _badness(measure: Measure, value: float) -> float:
    """The smaller the worse; what is missing comes last."""
    return math.inf if math.isnan(value) else value * (measure.better or -1)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.inf
