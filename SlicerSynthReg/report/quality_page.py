"""Quality report of a batch or cohort as HTML and PDF."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from PIL import Image

from SlicerSynthReg.io.files import atomic_write
from SlicerSynthReg.report.figure import png_bytes
from SlicerSynthReg.report.html import document, embedded_image, table
from SlicerSynthReg.report.quality import Measure, QualityRow, QualityTable
from SlicerSynthReg.report.record import DISCLAIMER

A4 = (11.69, 8.27)
ROWS_PER_PAGE = 28
MARKED_BELOW = 0.1
"""Fraction of cases whose value is highlighted as the worst of its column."""


def quality_page(
    quality: QualityTable, pictures: Mapping[str, bytes], title: str, show_names: bool = False, links: str = ""
) -> str:
    """Return self-contained HTML, worst cases first. pictures: label -> PNG. show_names: names may be patients'.

    links: folder of the full-size pictures, relative to the page; "" for none.
    """
    rows = quality.worst_first()
    header = ["Case", *(["Name"] if show_names else []), *map(_heading, quality.measures), "Location to review"]
    body: list[list[str]] = []
    for row in rows:
        place = f"{escape(str(row.location))}<br>{escape(row.location.reason)}" if row.location else "–"
        label = f'<a href="#{quote(row.label)}">{row.label}</a>' if row.label in pictures else row.label
        name_cell = [escape(row.name)] if show_names else []
        body.append([label, *name_cell, *(_cell(measure, row, quality) for measure in quality.measures), place])
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{len(rows)} cases, worst first by mean rank over all columns. Bold: the worst tenth of each column.</p>",
        table(header, body),
    ]
    plot = measures_plot(quality)
    if plot is not None:
        parts += ["<h2>Distributions</h2>", embedded_image(png_bytes(plot), "Values of each measure, one dot per case")]
    for row in rows:
        if row.label in pictures:
            name = f" · {escape(row.name)}" if show_names else ""
            image = embedded_image(pictures[row.label], f"Three views of {row.label}")
            linked = f'<a href="{quote(links)}/{quote(picture_file_name(row))}">{image}</a>' if links else image
            parts.append(f'<h2 id="{quote(row.label)}">{row.label}{name}</h2>\n{linked}')
    return document(title, "\n".join(parts))


def picture_file_name(row: QualityRow) -> str:
    """Return the file name of a case's picture."""
    return f"{row.label.lower().replace(' ', '-')}.png"


def measures_plot(quality: QualityTable) -> Figure | None:
    """Return a strip plot of each measure: one dot per case, the median as a line, an arrow towards better values."""
    measures = [measure for measure in quality.measures if len(_values(measure, quality)) > 0]
    if not measures:
        return None
    columns = min(4, len(measures))
    lines = -(-len(measures) // columns)
    figure = Figure(figsize=(3.1 * columns, 2.5 * lines), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes, measure in zip(panels, measures):
        values = _values(measure, quality) * measure.scale
        spread = 0.25 * np.sin(2.4 * np.arange(len(values)))
        axes.plot(spread, values, "o", color="#1f6fb2", markersize=4, alpha=0.6)
        axes.plot([-0.4, 0.4], [np.median(values)] * 2, color="#1d2329", linewidth=1.8)
        axes.set_xlim(-0.6, 0.6)
        axes.set_xticks([])
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
        arrow = {1: " ↑ better", -1: " ↓ better", 0: ""}[measure.direction]
        axes.set_title(f"{_heading(measure)}{arrow}", fontsize=9)
    for axes in panels[len(measures) :]:
        axes.set_axis_off()
    figure.supxlabel(DISCLAIMER, fontsize=8, color="#8f4a00")
    return figure


def write_pdf(quality: QualityTable, sheets: Iterable[bytes], path: Path, title: str, show_names: bool = False) -> Path:
    """Write a PDF (A4 landscape): table, distributions, and each case's sheet (PNG); completely or not at all."""
    about = {"Title": title, "Subject": DISCLAIMER, "Creator": "SlicerSynthReg"}
    with atomic_write(Path(path), ".pdf") as partial, PdfPages(partial, metadata=about) as pages:
        rows = quality.worst_first()
        for start in range(0, len(rows), ROWS_PER_PAGE):
            pages.savefig(_table_page(quality, rows[start : start + ROWS_PER_PAGE], title, show_names))
        plot = measures_plot(quality)
        if plot is not None:
            pages.savefig(plot)
        for sheet in sheets:
            pages.savefig(_sheet_page(sheet))
    return Path(path)


def _table_page(quality: QualityTable, rows: Sequence[QualityRow], title: str, show_names: bool) -> Figure:
    figure = Figure(figsize=A4, dpi=100)
    FigureCanvasAgg(figure)
    figure.text(0.04, 0.95, title, fontsize=15, weight="bold")
    figure.text(0.04, 0.03, DISCLAIMER, fontsize=9, color="#8f4a00")
    axes = figure.add_axes((0.04, 0.07, 0.92, 0.85))
    axes.set_axis_off()
    header = [
        "Case",
        *(["Name"] if show_names else []),
        *(_heading(measure).replace(" (", "\n(") for measure in quality.measures),
    ]
    cells = [
        [row.label, *([row.name] if show_names else []),
         *(measure.format(row.value(measure)) for measure in quality.measures),
         f"{row.location}: {row.location.reason}" if row.location else "–"]
        for row in rows
    ]  # fmt: skip
    widths = [1.0, *([1.6] if show_names else []), *([1.1] * len(quality.measures)), 3.4]
    drawn = axes.table(
        cells, colLabels=[*header, "Location to review"], colWidths=[w / sum(widths) for w in widths], loc="upper left",
        cellLoc="left", colLoc="left", edges="horizontal",
    )  # fmt: skip
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(7.5)
    for (line, _), cell in drawn.get_celld().items():
        cell.set_height(0.055 if line == 0 else 0.031)
        cell.set_edgecolor("#c5ccd3")
        cell.PAD = 0.03
    return figure


def _sheet_page(png: bytes) -> Figure:
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    rows, columns = picture.shape[:2]
    figure = Figure(figsize=(A4[0], A4[0] * rows / columns), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(picture, aspect="auto")
    return figure


def _heading(measure: Measure) -> str:
    return f"{measure.heading} ({measure.unit})" if measure.unit else measure.heading


def _cell(measure: Measure, row: QualityRow, quality: QualityTable) -> str:
    values = np.sort(_values(measure, quality) * (-measure.direction or 1))[::-1]
    marked = (
        measure.direction
        and len(values) > 1
        and row.value(measure) * -measure.direction >= values[int(MARKED_BELOW * len(values))]
    )
    return f"<b>{measure.format(row.value(measure))}</b>" if marked else measure.format(row.value(measure))


def _values(measure: Measure, quality: QualityTable) -> np.ndarray:
    """Return the finite values (N,) in the order of the rows."""
    values = np.array([row.value(measure) for row in quality.rows])
    return values[np.isfinite(values)]
