"""Atomic output folders: files are written to a temporary folder and published together with a manifest.

A new output folder appears by one rename. In an existing one, the old manifest (report.json) is removed first, then
each file is moved by os.replace, then the new manifest is written: a folder without a manifest is not a result.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from SlicerSynthReg.io.manifest import MANIFEST, path_inside, read_manifest

_PREFIX = ".synthreg-"
_ABANDONED_S = 86400.0
_CLOCK_TOLERANCE_S = 5


class Workspace:
    """Context manager. path: an empty folder on the file system of `target`, removed at the end.

    It lies in `target` if that exists, else beside it. Workspaces of killed runs in these folders are removed first.
    Raises OSError if the folder cannot be created.
    """

    def __init__(self, target: Path) -> None:
        self.target = target

    def __enter__(self) -> Workspace:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        for folder in (self.target, self.target.parent):
            remove_abandoned(folder)
        home = self.target if self.target.is_dir() else self.target.parent
        self.path = home / f"{_PREFIX}{_node()}-{os.getpid()}-{_started(os.getpid())}-{uuid.uuid4().hex[:8]}"
        self.path.mkdir()
        return self

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def publish(self, report: dict[str, Any]) -> None:
        """Move the content to `target` with the manifest `report`, to which "files" is added."""
        files = sorted(p.relative_to(self.path).as_posix() for p in self.path.rglob("*") if p.is_file())
        text = json.dumps({**report, "files": files}, indent=2, allow_nan=False)
        (self.path / MANIFEST).write_text(text + "\n", encoding="utf-8")
        with suppress(OSError):
            if not self.target.exists():
                os.rename(self.path, self.target)
                return
        self.target.mkdir(exist_ok=True)
        outdated = set((read_manifest(self.target) or {}).get("files", ())) - set(files)
        (self.target / MANIFEST).unlink(missing_ok=True)
        for name in outdated:
            with suppress(OSError):
                path_inside(self.target, name).unlink()
        for name in [*files, MANIFEST]:
            (self.target / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.path / name, self.target / name)


def remove_abandoned(folder: Path) -> None:
    """Remove the workspaces that killed runs left in `folder`."""
    for found in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError, ValueError):
            node, pid, started, _ = found.name[len(_PREFIX) :].split("-")
            dead = node == _node() and abs(_started(int(pid)) - int(started)) > _CLOCK_TOLERANCE_S
            if dead or time.time() - found.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(found, ignore_errors=True)


def _node() -> str:
    return hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()


def _started(pid: int) -> int:
    """Return the second at which the process began, which identifies it among reused numbers; 0 if there is none."""
    import psutil

    try:
        process = psutil.Process(pid)
        return 0 if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time())
    except psutil.Error:
        return 0
