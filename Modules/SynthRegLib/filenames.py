"""A node's name as a file's. Knows no Slicer and no torch: both sides of the worker use it."""

from __future__ import annotations


def file_name(name: str) -> str:
    """A node's name as a file's, which the report shows."""
    kept = "".join(c if c.isalnum() or c in " -_." else "_" for c in name).strip(" .")
    return kept[:80] or "image"
