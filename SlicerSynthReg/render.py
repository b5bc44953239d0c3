"""`synthreg review render`: the quality of a cohort, drawn and tabled."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer
from rich.console import Console

from SlicerSynthReg.console import DEBUG, progress_bar, told_errors
from SlicerSynthReg.reading.windows import PRESETS, named_window


def render(
    source: Path = typer.Argument(
        ...,
        help="Folder of results (of runs or of a batch), or a CSV table with the columns name, image and any of "
        "reference, mask, labels, reference_labels.",
        show_default=False,
    ),
    out: Path = typer.Option(..., "--out", "-o", help="Folder for quality.html, .pdf, .csv and the sheets."),
    title: str = typer.Option("Quality of a cohort", help="Title of the report."),
    window: Optional[str] = typer.Option(None, help=f"Grey window: {', '.join(PRESETS)}, or WIDTH,LEVEL."),
    unit: str = typer.Option("", help="Unit of the images' values, such as HU."),
    names: bool = typer.Option(False, help="Show the names of folders or rows; they may lead to patients."),
    debug: bool = DEBUG,
) -> None:
    """Three-view contact sheets of every case, and a quality report to print: HTML, PDF and CSV, without a display."""
    with told_errors(debug):
        from SlicerSynthReg.report.cohort import cohort
        from SlicerSynthReg.report.figure import png_bytes, write_picture
        from SlicerSynthReg.report.html import write_page
        from SlicerSynthReg.report.quality import QualityTable
        from SlicerSynthReg.report.quality_page import picture_name, quality_page, write_pdf
        from SlicerSynthReg.report.sheet import contact_sheet

        grey = None if window is None else named_window(window)
        limits = None if grey is None else (grey.level - grey.width / 2, grey.level + grey.width / 2)
        (out / "sheets").mkdir(parents=True, exist_ok=True)
        rows, pictures = [], {}
        with progress_bar("drawing", total=None) as (bar, task):
            for case in cohort(source, limits, unit):
                row = case.quality
                rows.append(row)
                bar.update(task, description=row.label)
                if case.rows:
                    heading = f"{row.label} · {row.name}" if names else row.label
                    sheet = contact_sheet(case.rows, heading, row.place)
                    pictures[row.label] = png_bytes(sheet)
                    write_picture(sheet, out / "sheets" / picture_name(row))
            quality = QualityTable(tuple(rows))
            in_order = [pictures[row.label] for row in quality.worst_first() if row.label in pictures]
            quality.write_csv(out / "quality.csv", names)
            write_page(quality_page(quality, pictures, title, names, "sheets"), out / "quality.html")
            write_pdf(quality, in_order, out / "quality.pdf", title, names)
        Console().print(f"{len(rows)} cases. Page: {out / 'quality.html'}, to print: {out / 'quality.pdf'}")
