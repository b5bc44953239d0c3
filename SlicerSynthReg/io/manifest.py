"""The manifest of a result folder, report.json: what was computed, from what, and which files belong to it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

MANIFEST = "report.json"


def read_manifest(folder: Path, contents: bool = False) -> dict[str, Any] | None:
    """Return the manifest of a complete result in `folder`; None if it is unreadable, or a listed file is missing or of
    another size than its seal says. contents: compare the hash of every sealed file as well."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        complete = all(path_inside(folder, name).is_file() for name in manifest["files"])
        for name, seal in manifest.get("seal", {}).items():
            file = path_inside(folder, name)
            complete = complete and file.stat().st_size == seal["bytes"]
            complete = complete and (not contents or file_seal(file) == seal)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest if complete else None


def file_seal(file: Path) -> dict[str, Any]:
    """Return the size of `file` and the hash of its contents (blake2b, 128 bits)."""
    digest, size = hashlib.blake2b(digest_size=16), 0
    end = file.stat().st_size  # a file that grows meanwhile is read no further
    with open(file, "rb") as stream:
        while block := stream.read(min(end - size, 1 << 20)):
            digest.update(block)
            size += len(block)
    return {"bytes": size, "blake2b": digest.hexdigest()}


def path_inside(folder: Path, name: str) -> Path:
    """Return folder / name. Raises ValueError for a name that leads out of the folder."""
    path = folder / name
    if os.path.isabs(name) or ".." in Path(name).parts:
        raise ValueError(f"Found the file name {name!r} in {MANIFEST}, expected one inside its folder.")
    return path
