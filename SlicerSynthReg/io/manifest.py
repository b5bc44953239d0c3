"""The manifest of a result folder, report.json: what was computed, from what, and which files belong to it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

MANIFEST = "report.json"


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a complete result in `folder`; None if it is unreadable or a listed file is missing."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        complete = all(path_inside(folder, name).is_file() for name in manifest["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return manifest if complete else None


def path_inside(folder: Path, name: str) -> Path:
    """Return folder / name. Raises ValueError for a name that leads out of the folder."""
    path = folder / name
    if os.path.isabs(name) or ".." in Path(name).parts:
        raise ValueError(f"Found the file name {name!r} in {MANIFEST}, expected one inside its folder.")
    return path
