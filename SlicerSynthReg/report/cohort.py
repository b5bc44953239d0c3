"""A cohort for review: cases from result folders or a table of images, with measures and images to draw."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from SlicerSynthReg.errors import ReportError
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.manifest import MANIFEST
from SlicerSynthReg.io.read import read_image
from SlicerSynthReg.io.tables import read_csv_rows
from SlicerSynthReg.metrics.intensity import intensity_difference
from SlicerSynthReg.metrics.overlap import overlap
from SlicerSynthReg.report.quality import QualityRow, collect_results, label_rows
from SlicerSynthReg.report.sheet import DIFFERENCE, GREY, HEAT, JACOBIAN, SheetRow
from SlicerSynthReg.report.worst import MAPS, worst_difference, worst_location, worst_overlap

COLUMNS = ("name", "image", "reference", "mask", "labels", "reference_labels")
IMAGES = ("moved", "image", "healthy")
"""Image outputs of commands; the first that exists is shown."""


@dataclass(frozen=True, eq=False)
class CohortCase:
    """A row of the quality table with the images to draw; `rows` is empty for a result without images."""

    quality: QualityRow
    rows: tuple[SheetRow, ...]


def cohort_cases(source: Path, limits: tuple[float, float] | None = None, unit: str = "") -> Iterator[CohortCase]:
    """Yield the cases of `source`, sorted by name.

    Folder: every complete result in it (`collect_results`), with its image and Jacobian map. CSV table: columns name
    and image, optionally reference, mask, labels, reference_labels; paths relative to the table. The image is resampled
    to the reference's grid if that differs. limits: black and white of grey images. Raises ReportError for a source
    without cases, ImageError, GeometryError.
    """
    source = Path(source)
    if source.is_dir():
        for row in collect_results(source).rows:
            assert row.folder is not None
            yield CohortCase(replace(row, location=worst_location(row.folder)), _result_rows(row.folder, limits, unit))
    else:
        lines = sorted(read_table(source), key=lambda cells: cells["name"])
        for number, row in enumerate(label_rows([(cells["name"], {}, None) for cells in lines])):
            yield _compare(row, lines[number], limits, unit)


def _result_rows(folder: Path, limits: tuple[float, float] | None, unit: str) -> tuple[SheetRow, ...]:
    outputs = json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("outputs", {})
    kinds = {JACOBIAN: JACOBIAN, **dict.fromkeys(MAPS, HEAT)}
    names = [name for name in IMAGES if name in outputs][:1] + [name for name in kinds if name in outputs]
    rows = []
    for name in names:
        volume = read_image(folder / outputs[name], allow_degenerate=True)
        image = name in IMAGES
        rows.append(SheetRow(name, volume, kinds.get(name, GREY), limits if image else None, unit if image else ""))
    return tuple(rows)


def _compare(row: QualityRow, paths: Mapping[str, str], limits: tuple[float, float] | None, unit: str) -> CohortCase:
    image = read_image(paths["image"])
    if "reference" not in paths:
        return CohortCase(row, (SheetRow("image", image, limits=limits, unit=unit),))
    reference = read_image(paths["reference"])
    image = image if image.grid.same_as(reference.grid) else image.resampled(reference.grid)
    mask = _labels(paths, "mask")
    difference = intensity_difference(reference, image, mask)
    values = {"mae": difference.mae, "ssim": difference.ssim, "psnr_db": difference.psnr_db}
    place = worst_difference(reference, image, mask, unit)
    labels, expected = _labels(paths, "labels"), _labels(paths, "reference_labels")
    if labels is not None and expected is not None:
        labels = labels if labels.grid.same_as(expected.grid) else labels.resampled(expected.grid)
        values["dice_after"] = overlap(expected, labels).mean
        place = worst_overlap(expected, labels) or place
    residual = Image(image.data[:1] - reference.data[:1], reference.grid, name="difference")
    rows = (
        SheetRow("reference", reference, limits=limits, unit=unit),
        SheetRow("image", image, limits=limits, unit=unit),
        SheetRow("image − reference", residual, DIFFERENCE, unit=unit),
    )
    return CohortCase(replace(row, values=values, location=place), rows)


def _labels(paths: Mapping[str, str], column: str) -> Image | None:
    return read_image(paths[column], "labels", allow_degenerate=True) if column in paths else None


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a cohort table, without empty cells, with absolute paths. Raises ReportError."""
    try:
        lines = read_csv_rows(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(
            f"Found that {path.name} cannot be read ({type(error).__name__}), expected a folder of results, or a CSV "
            "table in UTF-8. Check the path.",
            code="table-unreadable",
        ) from error
    header = lines[0] if lines else []
    unknown = sorted(set(header) - set(COLUMNS))
    if unknown or not {"name", "image"} <= set(header) or len(lines) < 2 or len(set(header)) != len(header):
        raise ReportError(
            f"Found the columns {', '.join(header) or 'none'} and {max(0, len(lines) - 1)} rows in {path.name}, "
            f"expected name, image and optionally {', '.join(COLUMNS[2:])}, each once, and at least one row.",
            code="table-columns",
        )
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        cells = {name: cell for name, cell in zip(header, line) if cell}
        name = cells.pop("name", "")
        paths = {column: str(path.absolute().parent / Path(cell).expanduser()) for column, cell in cells.items()}
        missing = [column for column, file in paths.items() if not Path(file).exists()]
        if not name or "image" not in paths or missing:
            fault = f"no file for {', '.join(missing)}" if missing else "no name or no image"
            raise ReportError(
                f"Found {fault} in line {number} of {path.name}, expected a name and files that exist. Correct it.",
                code="table-row",
            )
        rows.append({"name": name, **paths})
    names = [row["name"] for row in rows]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ReportError(
            f"Found the name {repeated[0]!r} in several rows, expected each once. Rename them.", code="table-duplicate"
        )
    return rows
