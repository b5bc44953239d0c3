"""`synthreg review render`: quality report of a cohort."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from SlicerSynthReg.cli.console import progress_bar
from SlicerSynthReg.cli.records import QualityParameters
from SlicerSynthReg.reader_study.ct_windows import parse_window

SOURCE_HELP = (
    "Folder of results (of runs or of a batch), or a CSV table with the columns name, image and any of reference, "
    "mask, labels, reference_labels."
)


def render(source: Path, out: Path, parameters: QualityParameters) -> None:
    """Write three-view contact sheets of every case and a quality report: HTML, PDF and CSV; needs no display."""
    from SlicerSynthReg.report.cohort import cohort_cases
    from SlicerSynthReg.report.figure import png_bytes, write_picture
    from SlicerSynthReg.report.html import write_page
    from SlicerSynthReg.report.quality import QualityTable
    from SlicerSynthReg.report.quality_page import picture_file_name, quality_page, write_pdf
    from SlicerSynthReg.report.sheet import contact_sheet

    grey = None if parameters.window is None else parse_window(parameters.window)
    limits = None if grey is None else (grey.level - grey.width / 2, grey.level + grey.width / 2)
    (out / "sheets").mkdir(parents=True, exist_ok=True)
    rows, pictures = [], {}
    with progress_bar("drawing", total=None) as (bar, task):
        for case in cohort_cases(source, limits, parameters.unit):
            row = case.quality
            rows.append(row)
            bar.update(task, description=row.label)
            if case.rows:
                heading = f"{row.label} · {row.name}" if parameters.names else row.label
                sheet = contact_sheet(case.rows, heading, row.location)
                pictures[row.label] = png_bytes(sheet)
                write_picture(sheet, out / "sheets" / picture_file_name(row))
        quality = QualityTable(tuple(rows))
        in_order = [pictures[row.label] for row in quality.worst_first() if row.label in pictures]
        quality.write_csv(out / "quality.csv", parameters.names)
        write_page(quality_page(quality, pictures, parameters.title, parameters.names, "sheets"), out / "quality.html")
        write_pdf(quality, in_order, out / "quality.pdf", parameters.title, parameters.names)
    Console().print(escape(f"{len(rows)} cases. Page: {out / 'quality.html'}, to print: {out / 'quality.pdf'}"))
