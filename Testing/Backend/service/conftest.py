from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from SlicerSynthReg.request import Request

PATIENT = "DOE_JANE_19700101"
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def fake_worker() -> tuple[str, str]:
    """Command of a worker that knows only the fake task."""
    return (sys.executable, str(Path(__file__).with_name("fake_tasks.py")))


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, str]:
    """Two files in a folder named after a patient."""
    folder = tmp_path / PATIENT
    folder.mkdir()
    for name in ("fixed", "moving"):
        (folder / f"{name}.nii.gz").write_bytes(name.encode())
    return {name: str(folder / f"{name}.nii.gz") for name in ("fixed", "moving")}


@pytest.fixture
def request_for(pair: dict[str, str], tmp_path: Path):
    """A request of the fake task with the given parameters, to tmp_path/out."""

    def make(**parameters: object) -> Request:
        return Request("register", pair, str(tmp_path / "out"), parameters)

    return make


def synthreg(
    *arguments: object, cwd: Path = ROOT, before: str = "", columns: int = 2000
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own. before: a shell command to run first."""
    shell = ["/bin/sh", "-c", f'{before}; exec "$@"', "sh"] if before else []
    command = [*shell, sys.executable, "-m", "SlicerSynthReg", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": str(columns), "NO_COLOR": "1"}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=environment)


def content(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, hidden ones too."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(autouse=True)
def logs_of_workers(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the logs of crashed workers among pytest's temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("logs")))
