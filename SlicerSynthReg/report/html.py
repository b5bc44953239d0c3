"""HTML building blocks of self-contained report pages: no scripts, no external resources."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from SlicerSynthReg.io.files import atomic_write
from SlicerSynthReg.report.record import DISCLAIMER
from SlicerSynthReg.report.verdict import BAD, GOOD, REVIEW, Verdict

WORDS = {GOOD: "good", REVIEW: "review", BAD: "problem"}
MARKS = {GOOD: "✓", REVIEW: "!", BAD: "✕"}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2329; background: #f3f5f7; margin: 0; }
main { max-width: 1240px; margin: 0 auto; padding: 24px 28px 40px; background: #fff; }
h1 { font-size: 26px; margin: 0 0 2px; } h2 { font-size: 19px; margin: 30px 0 8px; }
p { margin: 6px 0; max-width: 85ch; } .quiet { color: #57626d; } .wide { overflow-x: auto; }
.banner { background: #5a3a00; color: #ffe9c2; padding: 7px 28px; text-align: center; font-weight: 600; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: 6px 12px 6px 0;
  border-bottom: 1px solid #dfe4e8; vertical-align: top; } th { font-weight: 600; color: #57626d; font-size: 14px; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.pairs td:first-child, .pairs th:first-child { width: 230px; }
img { width: 100%; height: auto; display: block; background: #000; border-radius: 4px; }
img.thumbnail { width: 460px; max-width: 40vw; }
.badge { display: inline-block; min-width: 92px; text-align: center; border-radius: 10px; padding: 0 9px;
  font-size: 14px; font-weight: 600; white-space: nowrap; }
.good { background: #dcf2e3; color: #115c2d; } .review { background: #fff0c7; color: #6b4a00; }
.bad { background: #fbdcd9; color: #8f1a10; }
ul { margin: 6px 0; padding-left: 22px; } a { color: #0b5cad; }
summary { cursor: pointer; color: #0b5cad; padding: 8px 0; }
@media (max-width: 800px) { main { padding: 16px; } img.thumbnail { width: 100%; max-width: none; }
  .pairs td:first-child, .pairs th:first-child { width: 38%; } .cases th { display: none; }
  .cases tr { display: block; padding: 10px 0; border-bottom: 1px solid #dfe4e8; }
  .cases td { display: block; border: 0; padding: 3px 0; } }
@media print { body, main { background: #fff; } .banner { color: #000; background: #fff; border: 1px solid; } }
"""


def document(title: str, body: str) -> str:
    """Return a page. title: plain text. body: HTML."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style></head>\n'
        f'<body><div class="banner">{DISCLAIMER}</div><main>\n{body}\n</main></body></html>\n'
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Return a table. header: plain text. rows: HTML cells. kind: "pairs" (name, value), "cases" (stacks if narrow)."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table class="{kind}"><tr>{head}</tr>\n{body}</table></div>'


def bullet_list(lines: Iterable[str]) -> str:
    """Return a bullet list of plain-text lines."""
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def collapsible(title: str, body: str) -> str:
    """Return a section of HTML `body` that expands when its title is clicked."""
    return f"<details><summary>{escape(title)}</summary>\n{body}</details>"


def badge(level: str, word: str = "") -> str:
    """Return a coloured badge for a verdict level."""
    return f'<span class="badge {level}">{MARKS[level]} {word or WORDS[level]}</span>'


def verdict_table(rows: Iterable[Verdict]) -> str:
    """Return the table of verdicts."""
    return table(
        ("Measure", "Result", "Verdict", "Meaning"),
        ((escape(row.measure), escape(row.value), badge(row.level), escape(row.text)) for row in rows),
    )


def embedded_image(png: bytes, description: str, kind: str = "picture") -> str:
    """Return an <img> element with the PNG inside. description: alternative text."""
    data = base64.b64encode(png).decode("ascii")
    return f'<img class="{kind}" alt="{escape(description)}" src="data:image/png;base64,{data}">'


def write_page(html: str, path: Path) -> Path:
    """Write the page to `path`, completely or not at all. Raises OSError."""
    with atomic_write(Path(path), ".html") as partial:
        partial.write_text(html, encoding="utf-8")
    return Path(path)
