"""Install the modules as Slicer's extension packages do, and compare what is installed with the source tree."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from slicerhost.installed import configure, install

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / "Modules"
SHARED = {"SynthRegLib"}  # packages, installed with their folder; all else is a module, installed flat


def on_disk(modules: Path) -> set[str]:
    """Return the installed path of every file below `modules`, except CMake files, tests and byte code."""
    files = set()
    for path in modules.rglob("*"):
        name, *rest = path.relative_to(modules).parts
        if path.is_file() and path.name != "CMakeLists.txt" and not {"__pycache__", "Testing"} & set(rest):
            files.add("/".join([name, *rest] if name in SHARED else rest))
    return files


def installed(source: Path, target: Path) -> set[str]:
    folder = install(source, target)
    every = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in every if not name.startswith("SlicerSynthReg/")}


@pytest.fixture
def copied_source(tmp_path: Path) -> Path:
    """Return a copy of the modules and the CMake files with one file of the backend."""
    source = tmp_path / "source"
    shutil.copytree(MODULES, source / "Modules", ignore=shutil.ignore_patterns("__pycache__"))
    package = source / "SlicerSynthReg"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copy(ROOT / "CMakeLists.txt", source)
    shutil.copy(ROOT / "SlicerSynthReg" / "CMakeLists.txt", package)
    return source


def test_what_is_on_disk_is_installed(tmp_path: Path) -> None:
    files = on_disk(MODULES)
    assert "SynthRegister.py" in files
    assert "SynthRegLib/__init__.py" in files
    assert installed(ROOT, tmp_path) == files


def test_every_module_has_an_icon_a_panel_and_its_tests(tmp_path: Path) -> None:
    assert configure(ROOT, tmp_path).returncode == 0
    tests = (tmp_path / "tests.txt").read_text().splitlines()
    names = sorted(folder.name for folder in MODULES.iterdir() if folder.is_dir() and folder.name not in SHARED)
    assert names
    for name in names:
        folder = MODULES / name / "Resources"
        assert (folder / "UI" / f"{name}.ui").is_file()
        assert any((folder / "Icons" / f"{name}{ending}").is_file() for ending in (".png", ".svg"))
        assert {f"generic {name}", f"unittest {name}.py"} <= set(tests)


@pytest.mark.parametrize(
    "new", ["SynthRegLib/new.py", "SynthRegister/SynthRegisterLib/new.py", "SynthRegister/Resources/Icons/new.svg"]
)
def test_a_new_file_is_installed_without_an_edit_of_cmake_files(new: str, copied_source: Path, tmp_path: Path) -> None:
    (copied_source / "Modules" / new).touch()
    place = new if new.startswith("SynthRegLib") else new.partition("/")[2]
    assert place in installed(copied_source, tmp_path)


def test_a_script_outside_of_the_module_package_is_noticed(copied_source: Path, tmp_path: Path) -> None:
    (copied_source / "Modules" / "SynthRegister" / "new.py").touch()
    assert on_disk(copied_source / "Modules") - installed(copied_source, tmp_path) == {"new.py"}


@pytest.mark.parametrize("required", ["SynthRegister.py", "Resources/UI/SynthRegister.ui"])
def test_a_missing_required_file_stops_the_configuration(required: str, copied_source: Path, tmp_path: Path) -> None:
    (copied_source / "Modules" / "SynthRegister" / required).unlink()
    with pytest.raises(RuntimeError, match=f"no file '{required}'"):
        install(copied_source, tmp_path)


def test_two_files_with_one_installed_path_stop_the_configuration(copied_source: Path, tmp_path: Path) -> None:
    lists = copied_source / "Modules" / "CMakeLists.txt"
    shutil.copytree(copied_source / "Modules" / "SynthRegister", copied_source / "Modules" / "Second")
    lists.write_text(lists.read_text() + "add_subdirectory(Second)\n")
    with pytest.raises(RuntimeError, match="two files are installed as"):
        install(copied_source, tmp_path)
