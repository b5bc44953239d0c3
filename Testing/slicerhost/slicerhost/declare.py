"""How a stand-in widget declares a Qt property: typed for the .ui loader, an attribute for Python, stored in
`_<name>`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PySide6 import QtCore


def declared(kind: Any, name: str, default: Any, changed: Callable[[Any], None] | None = None) -> QtCore.Property:
    """A property `name` of type `kind`; `changed(widget)` runs after it took another value."""

    def read(widget: Any) -> Any:
        return getattr(widget, f"_{name}", default)

    def write(widget: Any, value: Any) -> None:
        value = checked(kind, name, value)
        if value != read(widget):
            setattr(widget, f"_{name}", value)
            if changed is not None:
                changed(widget)

    return QtCore.Property(kind, read, write)


def checked(kind: Any, name: str, value: Any) -> Any:
    """`value` as Qt would store it; raises where PythonQt silently stores 0 or nothing."""
    if isinstance(value, np.generic):
        raise TypeError(f"Found a {type(value).__name__} for {name}, expected a Python value: PythonQt would store 0")
    if kind in (bool, int, float) and isinstance(value, (bool, int, float)):
        return kind(value)
    if kind is str and isinstance(value, str):
        return value
    if kind == "QStringList" and isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    raise ValueError(f"Found {value!r} for {name}, expected {kind}")
