"""Every module of the backend with the first sentence of its docstring."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def page() -> str:
    """Return the page reference/modules.md: a table per package."""
    lines = ["# Modules of the package", "", "Generated from the docstrings. Layers and import rules: "
             "[Contributing](../contributing.md).", ""]  # fmt: skip
    folder = ROOT / "SlicerSynthReg"
    packages = [folder, *sorted(path.parent for path in folder.rglob("__init__.py") if path.parent != folder)]
    for package in packages:
        rows = [(path, first_sentence(path)) for path in sorted(package.glob("*.py"))]
        rows = [(path, text) for path, text in rows if text]
        if rows:
            name = ".".join(package.relative_to(ROOT).parts)
            lines += [f"## `{name}`", "", "| module | content |", "| --- | --- |"]
            lines += [f"| `{path.stem.replace('__init__', '(package)')}` | {text} |" for path, text in rows]
            lines.append("")
    return "\n".join(lines)


def first_sentence(path: Path) -> str:
    """Return the first sentence of a module's docstring as one Markdown table cell; empty without a docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return escape_cell(" ".join(text.split("\n\n")[0].split()))


def escape_cell(text: str) -> str:
    """Return `text` so that it stays in one table cell and no character of it is markup of HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")
