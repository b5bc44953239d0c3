"""The tree that CMake installs: modules are opened from there, so that a file missing from a list is missed."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
STUB = ROOT / "Testing" / "Structure" / "stub_slicer"
VARIABLE = "SLICERHOST_MODULES"
_PLACE = "lib/Slicer-5.12/qt-scripted-modules"


def module_folder() -> Path:
    """`qt-scripted-modules` of an installation made once for all processes of a test run."""
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = str(install(ROOT, Path(tempfile.mkdtemp(prefix="slicerhost-tree-"))))
    return Path(os.environ[VARIABLE])


def install(source: Path, target: Path) -> Path:
    """Configure `source` against the stand-in for Slicer and install it below `target`; raises with CMake's words."""
    import cmake
    import ninja

    program = Path(cmake.CMAKE_BIN_DIR) / "cmake"
    definitions = [
        f"-DSlicer_DIR={STUB}",
        f"-DCMAKE_TOOLCHAIN_FILE={STUB / 'toolchain.cmake'}",
        f"-DCMAKE_MAKE_PROGRAM={Path(ninja.BIN_DIR) / 'ninja'}",
    ]
    build, prefix = target / "build", target / "prefix"
    for command in (
        [program, "-G", "Ninja", "-S", source, "-B", build, *definitions],
        [program, "--install", build, "--prefix", prefix],
    ):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)
    return prefix / _PLACE
