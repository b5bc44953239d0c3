"""A folder that is filled out of sight and appears as the output folder, whole; report.json is the seal.

Where the output folder is new, one rename makes it appear. Where it exists, its old report.json is taken away first,
then each file is put in place by os.replace, then the new report.json: a folder without one is not a result.
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

SEAL = "report.json"
_PREFIX = ".synthreg-"
_FORGOTTEN_S = 86400.0
_CLOCK_S = 5


class Workspace:
    """Context manager: `path` is an empty folder on the file system of `target`, gone when the block ends.

    It lies in `target` where that exists and beside it where not. Workspaces of killed runs in the same places are
    removed first. Errors: OSError when the folder cannot be made.
    """

    def __init__(self, target: Path) -> None:
        self.target = target

    def __enter__(self) -> Workspace:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        for place in (self.target, self.target.parent):
            sweep(place)
        home = self.target if self.target.is_dir() else self.target.parent
        self.path = home / f"{_PREFIX}{_node()}-{os.getpid()}-{_started(os.getpid())}-{uuid.uuid4().hex[:8]}"
        self.path.mkdir()
        return self

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def publish(self, report: dict[str, Any]) -> None:
        """Seal the content with `report` and put it in place; report["files"] lists what was put."""
        files = sorted(p.relative_to(self.path).as_posix() for p in self.path.rglob("*") if p.is_file())
        text = json.dumps({**report, "files": files}, indent=2, allow_nan=False)
        (self.path / SEAL).write_text(text + "\n", encoding="utf-8")
        with suppress(OSError):
            if not self.target.exists():
                os.rename(self.path, self.target)
                return
        self.target.mkdir(exist_ok=True)
        outdated = set((read_seal(self.target) or {}).get("files", ())) - set(files)
        (self.target / SEAL).unlink(missing_ok=True)
        for name in outdated:
            with suppress(OSError):
                _inside(self.target, name).unlink()
        for name in [*files, SEAL]:
            (self.target / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.path / name, self.target / name)


def read_seal(folder: Path) -> dict[str, Any] | None:
    """The report of a whole result in `folder`; None unless it can be read and every file it lists is there."""
    try:
        report = json.loads((folder / SEAL).read_text(encoding="utf-8"))
        whole = all(_inside(folder, name).is_file() for name in report["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return report if whole else None


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if os.path.isabs(name) or ".." in Path(name).parts:
        raise ValueError(f"Found the file name {name!r} in {SEAL}, expected one inside its folder.")
    return path


def sweep(place: Path) -> None:
    """Remove the workspaces that killed runs left in `place`."""
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError, ValueError):
            node, pid, started, _ = folder.name[len(_PREFIX) :].split("-")
            dead = node == _node() and abs(_started(int(pid)) - int(started)) > _CLOCK_S
            if dead or time.time() - folder.stat().st_mtime > _FORGOTTEN_S:
                shutil.rmtree(folder, ignore_errors=True)


def _node() -> str:
    return hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()


def _started(pid: int) -> int:
    """Second at which the process began, which tells it from a later one of the same number; 0 when there is none."""
    import psutil

    try:
        process = psutil.Process(pid)
        return 0 if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time())
    except psutil.Error:
        return 0
