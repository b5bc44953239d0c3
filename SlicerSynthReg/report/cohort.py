"""A cohort to look over: cases from result folders or from a table of images, each with measures and three views."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from SlicerSynthReg.evaluate.intensity import intensity_difference
from SlicerSynthReg.evaluate.overlap import overlap
from SlicerSynthReg.report.quality import QualityRow, gather, labelled
from SlicerSynthReg.report.record import ReportError
from SlicerSynthReg.report.sheet import DIFFERENCE, GREY, HEAT, JACOBIAN, SheetRow
from SlicerSynthReg.report.worst import MAPS, worst_difference, worst_overlap, worst_place
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.volume import Volume
from SlicerSynthReg.workspace import SEAL

COLUMNS = ("name", "image", "reference", "mask", "labels", "reference_labels")
IMAGES = ("moved", "image", "healthy")
"""Outputs of tasks that can be looked at, the first found is shown."""


@dataclass(frozen=True, eq=False)
class CohortCase:
    """A row of the quality table with the images to draw; `rows` is empty where the result holds none."""

    quality: QualityRow
    rows: tuple[SheetRow, ...]


def cohort(source: Path, limits: tuple[float, float] | None = None, unit: str = "") -> Iterator[CohortCase]:
    """The cases of `source` one after another, in the order of their names.

    A folder: every whole result in it (`gather`), with the image it made and the Jacobian map. A CSV table: columns
    name and image, and, to compare with, reference, mask, labels, reference_labels; paths relative to the table. The
    image is resampled onto the reference's grid where theirs differ. limits: black and white of grey images.
    Errors: ReportError for a source without cases; VolumeError and GeometryError for images that cannot be used.
    """
    source = Path(source)
    if source.is_dir():
        for row in gather(source).rows:
            assert row.folder is not None
            yield CohortCase(replace(row, place=worst_place(row.folder)), _made(row.folder, limits, unit))
    else:
        lines = sorted(read_table(source), key=lambda cells: cells["name"])
        for number, row in enumerate(labelled([(cells["name"], {}, None) for cells in lines])):
            yield _compared(row, lines[number], limits, unit)


def _made(folder: Path, limits: tuple[float, float] | None, unit: str) -> tuple[SheetRow, ...]:
    outputs = json.loads((folder / SEAL).read_text(encoding="utf-8")).get("outputs", {})
    kinds = {JACOBIAN: JACOBIAN, **dict.fromkeys(MAPS, HEAT)}
    names = [name for name in IMAGES if name in outputs][:1] + [name for name in kinds if name in outputs]
    rows = []
    for name in names:
        volume = read_volume(folder / outputs[name], allow_degenerate=True)
        image = name in IMAGES
        rows.append(SheetRow(name, volume, kinds.get(name, GREY), limits if image else None, unit if image else ""))
    return tuple(rows)


def _compared(row: QualityRow, paths: Mapping[str, str], limits: tuple[float, float] | None, unit: str) -> CohortCase:
    image = read_volume(paths["image"])
    if "reference" not in paths:
        return CohortCase(row, (SheetRow("image", image, limits=limits, unit=unit),))
    reference = read_volume(paths["reference"])
    image = image if image.grid.same_as(reference.grid) else image.resampled(reference.grid)
    mask = _labels(paths, "mask")
    apart = intensity_difference(reference, image, mask)
    values = {"mae": apart.mae, "ssim": apart.ssim, "psnr_db": apart.psnr_db}
    place = worst_difference(reference, image, mask, unit)
    labels, expected = _labels(paths, "labels"), _labels(paths, "reference_labels")
    if labels is not None and expected is not None:
        labels = labels if labels.grid.same_as(expected.grid) else labels.resampled(expected.grid)
        values["dice_after"] = overlap(expected, labels).mean
        place = worst_overlap(expected, labels) or place
    difference = Volume(image.data[:1] - reference.data[:1], reference.grid, name="difference")
    rows = (
        SheetRow("reference", reference, limits=limits, unit=unit),
        SheetRow("image", image, limits=limits, unit=unit),
        SheetRow("image − reference", difference, DIFFERENCE, unit=unit),
    )
    return CohortCase(replace(row, values=values, place=place), rows)


def _labels(paths: Mapping[str, str], column: str) -> Volume | None:
    return read_volume(paths[column], "labels", allow_degenerate=True) if column in paths else None


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a cohort's table, empty cells left out, paths absolute. ReportError names what is wrong and where."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(
            f"Found that {path.name} cannot be read ({type(error).__name__}), expected a folder of results, or a CSV "
            "table in UTF-8. Check the path."
        ) from error
    first = text.split("\n", 1)[0]
    lines = [line for line in csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count)) if any(line)]
    header = [cell.strip() for cell in lines[0]] if lines else []
    strange = sorted(set(header) - set(COLUMNS))
    if strange or not {"name", "image"} <= set(header) or len(lines) < 2 or len(set(header)) != len(header):
        raise ReportError(
            f"Found the columns {', '.join(header) or 'none'} and {max(0, len(lines) - 1)} rows in {path.name}, "
            f"expected name, image and, if wanted, {', '.join(COLUMNS[2:])}, each once, and at least one row."
        )
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        cells = {name: cell.strip() for name, cell in zip(header, line) if cell.strip()}
        name = cells.pop("name", "")
        paths = {column: str(path.absolute().parent / Path(cell).expanduser()) for column, cell in cells.items()}
        missing = [column for column, file in paths.items() if not Path(file).exists()]
        if not name or "image" not in paths or missing:
            fault = f"no file for {', '.join(missing)}" if missing else "no name or no image"
            raise ReportError(
                f"Found {fault} in line {number} of {path.name}, expected a name and files that exist. Correct it."
            )
        rows.append({"name": name, **paths})
    names = [row["name"] for row in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ReportError(f"Found the name {twice[0]!r} in several rows, expected each once. Rename them.")
    return rows
