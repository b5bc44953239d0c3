"""Configures and installs the extension against a stand-in for Slicer and compares what arrived with the package.

A file that CMake does not know is missing from the extension that users download, while every test in the source
tree passes: only the installed tree can tell.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from slicerhost.installed import MODULES_FOLDER, configure, install

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = Path(MODULES_FOLDER) / "SlicerSynthReg"


def package_files(package: Path) -> set[str]:
    """Every file of the package, by its path below it, but for CMake's own lists and byte code."""
    return {
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.name != "CMakeLists.txt" and "__pycache__" not in path.parts
    }


def installed_files(source: Path, tmp_path: Path) -> set[str]:
    """Configure `source`, install it below `tmp_path` and list what arrived in the package's place."""
    return package_files(install(source, tmp_path) / "SlicerSynthReg")


@pytest.fixture
def small_extension(tmp_path: Path) -> Path:
    """A copy of the project's CMake lists around a package of four files, one of each kind that must be installed."""
    source = tmp_path / "source"
    package = source / "SlicerSynthReg"
    for name in ("__init__.py", "spatial/grid.py", "weights/brains.json", "weights/brains.safetensors"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).touch()
    lists = (ROOT / "CMakeLists.txt").read_text()
    assert "add_subdirectory(Modules)" in lists
    (source / "CMakeLists.txt").write_text(lists.replace("add_subdirectory(Modules)", ""))
    shutil.copy(ROOT / "SlicerSynthReg" / "CMakeLists.txt", package)
    return source


def test_every_file_of_the_package_is_installed(tmp_path: Path) -> None:
    assert installed_files(ROOT, tmp_path) == package_files(ROOT / "SlicerSynthReg")


def test_the_installed_package_is_imported_from_the_module_folder(tmp_path: Path) -> None:
    installed_files(ROOT, tmp_path)
    folder = tmp_path / "prefix" / INSTALLED
    statement = "import SlicerSynthReg, SlicerSynthReg.spatial.grid as grid; print(grid.__file__)"
    command = [sys.executable, "-c", statement]
    found = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).resolve() == (folder / "spatial" / "grid.py").resolve()


def test_code_cards_and_weights_of_a_new_file_are_installed(small_extension: Path, tmp_path: Path) -> None:
    assert installed_files(small_extension, tmp_path) == package_files(small_extension / "SlicerSynthReg")


@pytest.mark.parametrize(
    ("pattern", "lost"),
    [
        ("/*.py", {"__init__.py", "spatial/grid.py"}),
        ("/weights/*.json", {"weights/brains.json"}),
        ("/weights/*.safetensors", {"weights/brains.safetensors"}),
    ],
)
def test_a_kind_of_file_that_the_rule_forgets_is_noticed(
    small_extension: Path, tmp_path: Path, pattern: str, lost: set[str]
) -> None:
    rules = small_extension / "SlicerSynthReg" / "CMakeLists.txt"
    line = "${CMAKE_CURRENT_SOURCE_DIR}" + pattern
    assert line in rules.read_text()
    replacement = "${CMAKE_CURRENT_SOURCE_DIR}/weights/*.json" if pattern == "/*.py" else ""
    rules.write_text(rules.read_text().replace(line, replacement))
    assert package_files(small_extension / "SlicerSynthReg") - installed_files(small_extension, tmp_path) == lost


def test_a_file_of_an_unforeseen_kind_is_noticed(small_extension: Path, tmp_path: Path) -> None:
    package = small_extension / "SlicerSynthReg"
    (package / "synthesis" / "shapes.txt").parent.mkdir()
    (package / "synthesis" / "shapes.txt").touch()
    assert package_files(package) - installed_files(small_extension, tmp_path) == {"synthesis/shapes.txt"}


def test_the_index_finds_its_metadata(tmp_path: Path) -> None:
    configured = configure(ROOT, tmp_path)
    assert configured.returncode == 0, configured.stdout + configured.stderr
    metadata = dict(line.split("=", 1) for line in (tmp_path / "metadata.txt").read_text().splitlines())
    assert metadata["NAME"] == "SynthReg", "a name in the Extensions Index must not start with Slicer"
    assert metadata["CATEGORY"] == "Registration"
    assert metadata["RECOMMENDS"] == "PyTorch"
    assert metadata["PACKAGED"] == "ON"


@pytest.mark.parametrize("field", ["ICONURL", "RECOMMENDS"])
def test_missing_metadata_stops_the_stand_in(small_extension: Path, tmp_path: Path, field: str) -> None:
    lists = small_extension / "CMakeLists.txt"
    kept = [line for line in lists.read_text().splitlines() if not line.startswith(f"set(EXTENSION_{field} ")]
    lists.write_text("\n".join(kept))
    configured = configure(small_extension, tmp_path / "build")
    assert configured.returncode != 0
    assert f"EXTENSION_{field} is not set" in configured.stderr
