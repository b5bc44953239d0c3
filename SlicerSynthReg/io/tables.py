"""Rows of CSV tables, as spreadsheets export them. Imports no torch."""

from __future__ import annotations

import codecs
import csv
import io
import re
from pathlib import Path

_MAX_CELL = (1 << 31) - 1


def read_csv_rows(path: Path) -> list[list[str]]:
    """Return the non-empty rows of a CSV file in UTF-8, or UTF-16 with a mark, header first, cells stripped.

    The delimiter is that of a first line `sep=;`, else the most frequent of comma, semicolon and tab in line 1. Empty
    cells at the end of a row are left out. Raises OSError, UnicodeDecodeError.
    """
    data = path.read_bytes()
    text = data.decode("utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig")
    first, _, rest = text.partition("\n")
    declared = re.fullmatch(r"(?i)\"?sep=(.)\"?[\s,;]*", first.strip("\r"))
    delimiter = declared.group(1) if declared else max(",;\t", key=first.count)
    csv.field_size_limit(max(csv.field_size_limit(), min(len(text) + 1, _MAX_CELL)))
    lines = io.StringIO((rest if declared else text).replace("\0", "\ufffd"), newline="")
    table = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    rows = [[cell.strip() for cell in row] for row in table]
    return [row[: max(n for n, cell in enumerate(row, start=1) if cell)] for row in rows if any(row)]
