"""Install an extension with CMake against the stand-in for Slicer's build tree, and open its modules from there.

A file that CMake does not install is missing in the tree, so that tests notice it.
"""

from __future__ import annotations

import atexit
import compileall
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

STUB = Path(__file__).with_name("cmake")
MODULES_FOLDER = "lib/Slicer-5.12/qt-scripted-modules"
"""Where an installation keeps its scripted modules."""
EXTENSION = "SLICERHOST_EXTENSION"
"""Environment variable: the source folder of the extension whose modules are opened by name."""
TREES = "SLICERHOST_TREES"
"""Environment variable: the folder of installed trees that processes, running one after another, share."""
_MODULES = "SLICERHOST_MODULES"


def module_folder() -> Path:
    """Return the `qt-scripted-modules` that the environment names, or install the extension.

    It is installed once for all processes with the same TREES, and without that, once for this process. Byte code is
    compiled, as Slicer's build does. Raises LookupError when no extension was named.
    """
    if _MODULES not in os.environ:
        if EXTENSION not in os.environ:
            raise LookupError(
                f"Found no extension, expected its source folder. Call start(extension=...), set {EXTENSION}, or give "
                "opened() the module's folder."
            )
        os.environ[_MODULES] = str(_installed(Path(os.environ[EXTENSION])))
    return Path(os.environ[_MODULES])


def _installed(source: Path) -> Path:
    """Return the `qt-scripted-modules` of an installation of `source`, made unless a finished one is there."""
    trees = os.environ.get(TREES) or _temporary_folder()
    target = Path(trees) / hashlib.sha256(str(source).encode()).hexdigest()[:16]
    finished = target / "finished"
    if not finished.exists():
        shutil.rmtree(target, ignore_errors=True)
        compileall.compile_dir(install(source, target), quiet=1)
        finished.touch()
    return target / "prefix" / MODULES_FOLDER


def _temporary_folder() -> str:
    folder = tempfile.mkdtemp(prefix="slicerhost-trees-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def install(source: Path, target: Path) -> Path:
    """Configure the extension `source`, install it below `target` and return its `qt-scripted-modules`.

    Raises RuntimeError with CMake's output.
    """
    build, prefix = target / "build", target / "prefix"
    for step in (lambda: configure(source, build), lambda: run_cmake("--install", build, "--prefix", prefix)):
        done = step()
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)
    return prefix / MODULES_FOLDER


def configure(source: Path, build: Path) -> subprocess.CompletedProcess[str]:
    """Configure `source` in the folder `build` with the stand-in for Slicer, without a compiler."""
    import ninja

    definitions = {
        "Slicer_DIR": STUB,
        "CMAKE_TOOLCHAIN_FILE": STUB / "toolchain.cmake",
        "CMAKE_MAKE_PROGRAM": Path(ninja.BIN_DIR) / "ninja",
    }
    options = [f"-D{key}={value}" for key, value in definitions.items()]
    return run_cmake("-G", "Ninja", "-S", source, "-B", build, *options)


def run_cmake(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run cmake and return its status and output."""
    import cmake

    command = [str(Path(cmake.CMAKE_BIN_DIR) / "cmake"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
