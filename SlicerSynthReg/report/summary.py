"""The summary page of a batch: one row per case, the highest review priority first."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from PIL import Image

from SlicerSynthReg.report.html import badge, document, embedded_image, table
from SlicerSynthReg.report.page import base_name
from SlicerSynthReg.report.record import RegistrationReport
from SlicerSynthReg.report.verdict import BAD, GOOD, REVIEW, review_priority, verdicts

THUMBNAIL_WIDTH = 400
THUMBNAIL_COLOURS = 32


@dataclass(frozen=True)
class Case:
    """One row of a batch. report: None where the case failed. error: the reason. picture: PNG bytes. page: address of
    the case's own page, relative to the summary."""

    name: str
    report: RegistrationReport | None = None
    error: str = ""
    picture: bytes | None = None
    page: str = ""


def summary_page(cases: Iterable[Case], title: str = "Batch registration") -> str:
    """Return self-contained HTML: failed cases first, then by `verdict.review_priority`, then by name."""
    ordered = sorted(cases, key=lambda case: (case.report is not None, _priority(case), case.name))
    levels = [_level(case) for case in ordered]
    failed = sum(case.report is None for case in ordered)
    counts = (
        f"{len(ordered)} cases: {levels.count(GOOD)} good, {levels.count(REVIEW)} to review, "
        f"{levels.count(BAD) - failed} with a problem, {failed} failed. The worst come first."
    )
    rows = [
        (_name(case), _badge(case, level), _measures(case), _thumbnail(case)) for case, level in zip(ordered, levels)
    ]
    header = ("Case", "Verdict", "Measures", "Before / after")
    return document(title, f"<h1>{escape(title)}</h1>\n<p>{counts}</p>\n" + table(header, rows, "cases"))


def _priority(case: Case) -> tuple[float, ...]:
    return () if case.report is None else tuple(-value for value in review_priority(case.report))


def _level(case: Case) -> str:
    if case.report is None:
        return BAD
    found = {verdict.level for verdict in verdicts(case.report)}
    return next(level for level in (BAD, REVIEW, GOOD) if level in found)


def _badge(case: Case, level: str) -> str:
    return badge(level, "failed" if case.report is None else "")


def _name(case: Case) -> str:
    name = escape(base_name(case.name))
    return f'<a href="{quote(case.page)}">{name}</a>' if case.page else name


def _measures(case: Case) -> str:
    if case.report is None:
        return escape(case.error or "No reason was recorded.")
    lines = [f"{escape(row.measure)}: <b>{escape(row.value)}</b>" for row in verdicts(case.report)]
    seconds = sum(case.report.run.stages.values())
    lines += [f"Time: <b>{seconds:.1f} s</b>"] if math.isfinite(seconds) else []
    lines += [f"⚠ {escape(warning)}" for warning in case.report.warnings]
    return "<br>".join(lines)


def _thumbnail(case: Case) -> str:
    if case.picture is None:
        return ""
    picture = Image.open(io.BytesIO(case.picture)).convert("RGB")
    picture.thumbnail((THUMBNAIL_WIDTH, THUMBNAIL_WIDTH))
    buffer = io.BytesIO()
    picture.quantize(THUMBNAIL_COLOURS).save(buffer, format="PNG", optimize=True)
    return embedded_image(buffer.getvalue(), f"Views of {base_name(case.name)}", "thumbnail")
