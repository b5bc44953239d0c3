"""A batch on one page: a row for each case, those to look at first on top."""

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
from SlicerSynthReg.report.verdict import BAD, GOOD, LOOK, concern, verdicts

THUMBNAIL_WIDTH = 920


@dataclass(frozen=True)
class Case:
    """One row of a batch. report is None where the case failed, and error says why. picture: PNG bytes.

    page: address of the case's own page, relative to the summary.
    """

    name: str
    report: RegistrationReport | None = None
    error: str = ""
    picture: bytes | None = None
    page: str = ""


def summary_page(cases: Iterable[Case], title: str = "Registration of a batch") -> str:
    """Self-contained HTML: failed cases first, then by what speaks against them (`verdict.concern`), names last."""
    ordered = sorted(cases, key=lambda case: (case.report is not None, _reversed(case), case.name))
    levels = [_level(case) for case in ordered]
    failed = sum(case.report is None for case in ordered)
    counts = (
        f"{len(ordered)} cases: {levels.count(GOOD)} without objection, {levels.count(LOOK)} to look at twice, "
        f"{levels.count(BAD) - failed} with a problem, {failed} failed. The worst come first."
    )
    rows = [
        (_name(case), _badge(case, level), _numbers(case), _thumbnail(case)) for case, level in zip(ordered, levels)
    ]
    header = ("Case", "Verdict", "Numbers", "Before / after")
    return document(title, f"<h1>{escape(title)}</h1>\n<p>{counts}</p>\n" + table(header, rows, "cases"))


def _reversed(case: Case) -> tuple[float, ...]:
    return () if case.report is None else tuple(-value for value in concern(case.report))


def _level(case: Case) -> str:
    if case.report is None:
        return BAD
    found = {verdict.level for verdict in verdicts(case.report)}
    return next(level for level in (BAD, LOOK, GOOD) if level in found)


def _badge(case: Case, level: str) -> str:
    return badge(level, "failed" if case.report is None else "")


def _name(case: Case) -> str:
    name = escape(base_name(case.name))
    return f'<a href="{quote(case.page)}">{name}</a>' if case.page else name


def _numbers(case: Case) -> str:
    if case.report is None:
        return escape(case.error or "No reason was recorded.")
    lines = [f"{escape(row.measure)}: <b>{escape(row.value)}</b>" for row in verdicts(case.report)]
    seconds = sum(case.report.stages.values())
    lines += [f"Time: <b>{seconds:.1f} s</b>"] if math.isfinite(seconds) else []
    lines += [f"⚠ {escape(warning)}" for warning in case.report.warnings]
    return "<br>".join(lines)


def _thumbnail(case: Case) -> str:
    if case.picture is None:
        return ""
    picture = Image.open(io.BytesIO(case.picture)).convert("RGB")
    picture.thumbnail((THUMBNAIL_WIDTH, THUMBNAIL_WIDTH))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return embedded_image(buffer.getvalue(), f"Views of {base_name(case.name)}", "thumbnail")
