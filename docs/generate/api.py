"""The Python API: every name that SlicerSynthReg exports, from its docstring."""

from __future__ import annotations

import ast
from pathlib import Path

import SlicerSynthReg

ROOT = Path(__file__).resolve().parents[2]
INTRODUCTION = """# Python API

```python
import SlicerSynthReg as synthreg
```

Importing the package loads no PyTorch; a name is loaded when it is first used. Images are accepted as a path, a nibabel
image, a SimpleITK image or an `Image`. All world coordinates are RAS millimetres. A transform maps points of the fixed
image to points of the moving image. Failures raise subclasses of `SynthRegError` with a stable `code`.
"""


def page() -> str:
    """Return the page reference/api.md: functions, results and types, errors."""
    groups: dict[str, list[str]] = {"Functions": [], "Results and types": [], "Errors": []}
    for name in SlicerSynthReg.__all__:
        groups[_group(name)].append(f"::: {SlicerSynthReg._MODULE_OF[name]}.{name}\n")
    parts = [f"## {title}\n\n" + "\n".join(entries) for title, entries in groups.items() if entries]
    return INTRODUCTION + "\n" + "\n".join(parts)


def _group(name: str) -> str:
    path = ROOT / (SlicerSynthReg._MODULE_OF[name].replace(".", "/") + ".py")
    if not path.exists():
        path = path.with_suffix("") / "__init__.py"
    if path.name == "errors.py":
        return "Errors"
    defined = ast.parse(path.read_text(encoding="utf-8")).body
    functions = {node.name for node in defined if isinstance(node, ast.FunctionDef)}
    return "Functions" if name in functions else "Results and types"
