"""Rows of CSV tables, as spreadsheets export them. Imports no torch."""

from __future__ import annotations

import csv
import io
from pathlib import Path


def read_csv_rows(path: Path) -> list[list[str]]:
    """Return the non-empty rows of a CSV file in UTF-8, header first, cells stripped.

    The delimiter is the most frequent of comma, semicolon and tab in line 1. Raises OSError, UnicodeDecodeError.
    """
    text = path.read_text(encoding="utf-8-sig")
    first = text.split("\n", 1)[0]
    table = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count), skipinitialspace=True)
    return [[cell.strip() for cell in row] for row in table if any(cell.strip() for cell in row)]
