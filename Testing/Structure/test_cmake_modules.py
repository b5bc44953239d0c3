"""The modules as Slicer's extension packages install them: every file on disk in a list, every listed file on disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from slicerhost.installed import ROOT, configure, install

MODULES = ROOT / "Modules"
SHARED = {"SynthRegLib"}  # packages, installed with their folder; all else is a module, installed flat


def on_disk(modules: Path) -> set[str]:
    """Where every file below `modules` belongs in qt-scripted-modules, but for CMake's lists, tests and byte code."""
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
def a_copy(tmp_path: Path) -> Path:
    """The modules and CMake's lists, without the backend's files but for one."""
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
    "new", ["SynthRegLib/new.py", "SynthRegister/new.py", "SynthRegister/Resources/Icons/new.svg"], ids=str
)
def test_a_file_in_no_list_is_noticed(new: str, a_copy: Path, tmp_path: Path) -> None:
    (a_copy / "Modules" / new).touch()
    place = new if new.startswith("SynthRegLib") else new.partition("/")[2]
    assert on_disk(a_copy / "Modules") - installed(a_copy, tmp_path) == {place}


def test_a_listed_file_that_is_gone_stops_the_configuration(a_copy: Path, tmp_path: Path) -> None:
    (a_copy / "Modules" / "SynthRegister" / "Resources" / "UI" / "SynthRegister.ui").unlink()
    with pytest.raises(RuntimeError, match=r"no file 'Resources/UI/SynthRegister\.ui'"):
        install(a_copy, tmp_path)


def test_two_files_in_one_place_stop_the_configuration(a_copy: Path, tmp_path: Path) -> None:
    lists = a_copy / "Modules" / "CMakeLists.txt"
    shutil.copytree(a_copy / "Modules" / "SynthRegister", a_copy / "Modules" / "Second")
    lists.write_text(lists.read_text() + "add_subdirectory(Second)\n")
    with pytest.raises(RuntimeError, match="two files are installed as"):
        install(a_copy, tmp_path)
