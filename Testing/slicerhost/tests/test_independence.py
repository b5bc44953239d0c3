"""The package imports nothing of the project that it lies in: it can leave the repository."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "slicerhost"
REQUIREMENTS = {"PySide6", "shiboken6", "slicer", "vtk", "numpy", "pytest", "cmake", "ninja", "packaging"}
MADE_HERE = {"qt", "ctk", "slicerhost"}
"""Modules that the host itself creates."""


def test_only_the_requirements_are_imported() -> None:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found.update({name.partition(".")[0]: path.name for name in names})
    allowed = REQUIREMENTS | MADE_HERE | set(sys.stdlib_module_names)
    assert not {name: place for name, place in found.items() if name not in allowed}
    assert {"slicer", "PySide6"} <= found.keys()


def test_no_file_names_the_project() -> None:
    parent = PACKAGE.parents[2]
    modules = {path.name for path in (parent / "Modules").glob("*") if path.is_dir()} | {"SynthReg"}
    texts = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    assert not [(path.name, name) for path, text in texts.items() for name in modules if name in text]
