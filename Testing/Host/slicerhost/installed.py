"""The tree that CMake installs: modules are opened from there, so that a file missing from a list is missed."""

from __future__ import annotations

import compileall
import os
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
STUB = ROOT / "Testing" / "Structure" / "stub_slicer"
PLACE = "lib/Slicer-5.12/qt-scripted-modules"
_VARIABLE = "SLICERHOST_MODULES"


def module_folder() -> Path:
    """`qt-scripted-modules` of an installation made once for each process, or of the one that the environment names.

    With bytecode, which Slicer's build makes too.
    """
    if _VARIABLE not in os.environ:
        os.environ[_VARIABLE] = str(install(ROOT, Path(tempfile.mkdtemp(prefix="slicerhost-tree-"))))
        compileall.compile_dir(os.environ[_VARIABLE], quiet=1)
    return Path(os.environ[_VARIABLE])


def install(source: Path, target: Path) -> Path:
    """Configure `source` against the stand-in for Slicer and install it below `target`: its `qt-scripted-modules`.

    Raises RuntimeError with CMake's own words.
    """
    build, prefix = target / "build", target / "prefix"
    for step in (lambda: configure(source, build), lambda: run_cmake("--install", build, "--prefix", prefix)):
        done = step()
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)
    return prefix / PLACE


def configure(source: Path, build: Path) -> subprocess.CompletedProcess[str]:
    """cmake's configuration of `source` with the stand-in for Slicer, without a compiler."""
    import ninja

    definitions = {
        "Slicer_DIR": STUB,
        "CMAKE_TOOLCHAIN_FILE": STUB / "toolchain.cmake",
        "CMAKE_MAKE_PROGRAM": Path(ninja.BIN_DIR) / "ninja",
    }
    options = [f"-D{key}={value}" for key, value in definitions.items()]
    return run_cmake("-G", "Ninja", "-S", source, "-B", build, *options)


def run_cmake(*arguments: object) -> subprocess.CompletedProcess[str]:
    import cmake

    command = [str(Path(cmake.CMAKE_BIN_DIR) / "cmake"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
