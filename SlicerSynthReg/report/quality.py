"""Quality table of a batch: measures of its results, collected, ranked and written as CSV. Imports no torch."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from SlicerSynthReg.errors import ReportError
from SlicerSynthReg.io.files import atomic_write
from SlicerSynthReg.io.manifest import MANIFEST, read_manifest


@dataclass(frozen=True)
class Measure:
    """A column. name: as in reports. scale: factor of the displayed value. direction: 1 if higher is better, -1 if
    lower is better, 0 if neither. aliases: other names in reports."""

    name: str
    heading: str
    unit: str = ""
    direction: int = 0
    digits: int = 2
    scale: float = 1.0
    aliases: tuple[str, ...] = ()

    def format(self, value: float) -> str:
        """Return the value as text without unit, a dash for NaN."""
        return "–" if math.isnan(value) else f"{value * self.scale:.{self.digits}f}".replace("-", "−")


MEASURES = (
    Measure("dice_after", "Dice", direction=1, digits=3),
    Measure("tre_after", "Landmark distance", "mm", -1, 2),
    Measure("folding_fraction", "Folding", "per million", -1, 1, 1e6),
    Measure("jacobian_min", "Jacobian, minimum", direction=1, digits=2),
    Measure("jacobian_max", "Jacobian, maximum", direction=-1, digits=2),
    Measure("inverse_consistency_mm_mean", "Inverse consistency", "mm", -1, 3),
    Measure("similarity_after", "Similarity", direction=1, digits=3),
    Measure("mae", "MAE", "", -1, 2),
    Measure("mae_hu", "MAE", "HU", -1, 1, aliases=("MAE, HU",)),
    Measure("ssim", "SSIM", "", 1, 3, aliases=("SSIM",)),
    Measure("psnr_db", "PSNR", "dB", 1, 1, aliases=("PSNR, dB", "psnr")),
    Measure("cycle_hu", "Cycle error", "HU", -1, 1),
    Measure("anomaly_ml", "Anomaly", "ml", 0, 1),
    Measure("largest_ml", "Largest anomaly", "ml", 0, 1),
)


@dataclass(frozen=True)
class WorstLocation:
    """Location to review first. ras_mm: RAS of the fixed (reference) image. reason: measure and value, as text."""

    ras_mm: tuple[float, float, float]
    reason: str

    def __str__(self) -> str:
        letters = (("R", "L"), ("A", "P"), ("S", "I"))
        return " ".join(f"{pair[x < 0]} {abs(x):.0f}" for pair, x in zip(letters, self.ras_mm)) + " mm"


@dataclass(frozen=True)
class QualityRow:
    """One case. label: anonymous, such as "Case 7". name: of its folder or in the table, which may be a patient's.

    values: measure name -> value in the report's unit, without missing ones. folder: of the result.
    """

    label: str
    name: str
    values: Mapping[str, float]
    folder: Path | None = None
    location: WorstLocation | None = None

    def value(self, measure: Measure) -> float:
        """Return the value of a measure, NaN if it is missing."""
        return self.values.get(measure.name, math.nan)


@dataclass(frozen=True)
class QualityTable:
    """rows: sorted by name. measures: those that at least one row has."""

    rows: tuple[QualityRow, ...]
    measures: tuple[Measure, ...] = field(init=False)

    def __post_init__(self) -> None:
        held = tuple(measure for measure in MEASURES if any(measure.name in row.values for row in self.rows))
        object.__setattr__(self, "measures", held)

    def worst_first(self, measure: Measure | None = None) -> tuple[QualityRow, ...]:
        """Return the rows by one measure, or by mean rank over all measures with a direction; missing values last."""
        if measure is not None:
            return tuple(sorted(self.rows, key=lambda row: _badness(measure, row.value(measure))))
        ranked = [measure for measure in self.measures if measure.direction]
        places: dict[str, list[float]] = {row.label: [] for row in self.rows}
        for item in ranked:
            values = sorted(_badness(item, row.value(item)) for row in self.rows)
            for row in self.rows:
                if not math.isnan(row.value(item)):
                    places[row.label].append(values.index(_badness(item, row.value(item))))
        return tuple(sorted(self.rows, key=lambda row: _mean(places[row.label])))

    def write_csv(self, path: Path, show_names: bool = False) -> Path:
        """Write one line per case, values in the reports' units at full precision. show_names: adds the column name."""
        header = ["case", *(["name"] if show_names else []), *(measure.name for measure in self.measures)]
        with atomic_write(Path(path), ".csv") as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
            table = csv.writer(stream)
            table.writerow([*header, "worst_R_mm", "worst_A_mm", "worst_S_mm", "worst_reason"])
            for row in self.rows:
                values = [
                    repr(row.values[measure.name]) if measure.name in row.values else "" for measure in self.measures
                ]
                place = [*(f"{x:.1f}" for x in row.location.ras_mm), row.location.reason] if row.location else [""] * 4
                table.writerow([row.label, *([row.name] if show_names else []), *values, *place])
        return Path(path)


def collect_results(folder: Path) -> QualityTable:
    """Return the table of all complete results in `folder`, its subfolders and theirs, without locations.

    Raises ReportError if there is none.
    """
    folder = Path(folder)
    manifests = sorted({manifest for depth in ("", "*/", "*/*/") for manifest in folder.glob(f"{depth}{MANIFEST}")})
    found = [
        (manifest.parent, report) for manifest in manifests if (report := read_manifest(manifest.parent)) is not None
    ]
    if not found:
        raise ReportError(
            f"Found no finished result in {folder.name}, expected folders with {MANIFEST}, as synthreg writes them. "
            "Choose the output folder of a run or a batch.",
            code="no-results",
        )
    rows = [(place.name, extract_measures(report.get("report", {})), place) for place, report in found]
    return QualityTable(label_rows(rows))


def label_rows(rows: Sequence[tuple[str, Mapping[str, float], Path | None]]) -> tuple[QualityRow, ...]:
    """Return rows of (name, values, folder), labelled in their order."""
    width = len(str(len(rows)))
    return tuple(
        QualityRow(f"Case {number:0{width}d}", name, values, folder)
        for number, (name, values, folder) in enumerate(rows, start=1)
    )


def extract_measures(report: Mapping[str, Any]) -> dict[str, float]:
    """Return the measures in a report at any depth: the first of each name, the mean of Dice per label."""
    known = {name: measure.name for measure in MEASURES for name in (measure.name, *measure.aliases)}
    values: dict[str, float] = {}
    for name, value in _numbers(report):
        if name in known:
            values.setdefault(known[name], value)
    return values


def _numbers(report: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in report.items():
        if name == "dice" and isinstance(value, Mapping) and value:
            yield "dice_after", _mean([float(item) for item in value.values()])
        elif isinstance(value, Mapping):
            yield from _numbers(value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield name, float(value)


def _badness(measure: Measure, value: float) -> float:
    """Return a sort key: smaller is worse, missing values last."""
    return math.inf if math.isnan(value) else value * (measure.direction or -1)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.inf
