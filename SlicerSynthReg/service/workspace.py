"""Atomic output folders: files are written to a temporary folder and published together with a manifest.

A new output folder appears by one rename. In an existing one, a journal of the old and new names is written, the old
manifest (report.json) removed, each file moved by os.replace, then the new manifest: a folder without a manifest is not
a result. Only files of an earlier result of the same task are replaced: never an input, nor a file that neither
manifest nor journal names.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.io.manifest import MANIFEST, file_seal, path_inside

_PREFIX = ".synthreg-"
_JOURNAL = f"{_PREFIX}replacing.json"
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
        self.path.mkdir(mode=0o700)
        return self

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def publish(self, report: dict[str, Any], inputs: Iterable[Path] = ()) -> None:
        """Move the content to `target` with the manifest `report`, to which "files" and "seal" are added.

        inputs: files and folders that must stay. Raises RequestError (output-occupied); nothing is then changed.
        """
        files = sorted(p.relative_to(self.path).as_posix() for p in self.path.rglob("*") if p.is_file())
        seal = {name: file_seal(self.path / name) for name in files}
        text = json.dumps({**report, "files": files, "seal": seal}, indent=2, allow_nan=False)
        (self.path / MANIFEST).write_text(text + "\n", encoding="utf-8")
        with suppress(OSError):
            if not self.target.exists():
                self.path.chmod(0o777 & ~_umask())
                os.rename(self.path, self.target)
                return
        self.target.mkdir(exist_ok=True)
        task, owned = earlier_result(self.target)
        own = owned if task in (None, report.get("task")) else ()
        require_own(self.target, {*files, *owned, MANIFEST}, own, inputs)
        journal = json.dumps({"task": report.get("task"), "files": sorted({*files, *owned})})
        (self.path / _JOURNAL).write_text(journal, encoding="utf-8")
        os.replace(self.path / _JOURNAL, self.target / _JOURNAL)
        outdated = set(owned) - {*files, MANIFEST}
        (self.target / MANIFEST).unlink(missing_ok=True)
        for name in outdated:
            with suppress(OSError):
                path_inside(self.target, name).unlink()
        for name in [*files, MANIFEST]:
            (self.target / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.path / name, self.target / name)
        (self.target / _JOURNAL).unlink(missing_ok=True)


def earlier_result(folder: Path) -> tuple[str | None, list[str]]:
    """Return task and files of the result in `folder`, complete or not; (None, []) if there is none."""
    for name in (_JOURNAL, MANIFEST):
        with suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads((folder / name).read_text(encoding="utf-8"))
            return str(found["task"]), [*(file for file in found["files"] if path_inside(folder, file)), MANIFEST]
    return None, []


def require_own(folder: Path, names: Iterable[str], owned: Iterable[str], inputs: Iterable[Path]) -> None:
    """Raise RequestError (output-occupied) if a file of `names` in `folder` is not in `owned`, or is an input."""
    kept = {Path(os.path.realpath(path)) for path in inputs}
    used, own = [], set(owned)
    for name in sorted(set(names)):
        file = folder / name
        real = Path(os.path.realpath(file))
        if os.path.lexists(file) and (name not in own or kept & {real, *real.parents}):
            used.append(name)
    if used:
        more = f" and {len(used) - 5} more" if len(used) > 5 else ""
        raise RequestError(
            f"Found {', '.join(used[:5])}{more} in the output folder, which this run did not write or reads as an "
            "input; expected a folder without them, or with an earlier result of the same task only. Choose another "
            "folder; nothing was changed.",
            code="output-occupied",
        )


def _umask() -> int:
    current = os.umask(0o077)
    os.umask(current)
    return current


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
