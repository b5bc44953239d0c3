"""Which widget shows which type: exact classes, as in Slicer (a subclass of QComboBox is refused there too)."""

from __future__ import annotations

import enum
import pathlib
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import slicer
from PySide6 import QtWidgets

from slicerhost.ctknumbers import ctkDirectoryButton, ctkPathLineEdit, ctkSliderWidget
from slicerhost.nodecombo import qMRMLNodeComboBox
from slicerhost.parameternode.kinds import Choice, Maximum, Minimum, WithinRange, split

__all__ = ["Decimals", "SingleStep"]


@dataclass
class Decimals:
    value: int


@dataclass
class SingleStep:
    value: float


class Connector:
    """One widget: its signal, and how its value is read and written."""

    def __init__(self, signal: Any, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        self._signal = signal
        self.read = read
        self.write = write
        self._slot: Callable[..., None] | None = None

    def on_changed(self, callback: Callable[[], None] | None) -> None:
        """Call `callback` at every change; None takes the last one away."""
        if callback is None:
            if self._slot is not None:
                self._signal.disconnect(self._slot)
            self._slot = None
            return
        self._slot = lambda *given: callback()
        self._signal.connect(self._slot)


def connector_for(widget: Any, hint: Any) -> Connector:
    """The connector of this widget for this type; raises where Slicer has none."""
    python_type, annotations = split(hint)
    exact = type(widget)
    if python_type is bool and exact is QtWidgets.QCheckBox:
        return _of_property(widget, widget.stateChanged, "checked")
    if python_type is bool and exact is QtWidgets.QPushButton:
        widget.checkable = True
        return _of_property(widget, widget.toggled, "checked")
    if python_type is int and exact in (QtWidgets.QSlider, QtWidgets.QSpinBox):
        _bound(widget, annotations, -(2**31), 2**31 - 1, exact is QtWidgets.QSlider)
        return _of_property(widget, widget.valueChanged, "value")
    if python_type is float and exact in (QtWidgets.QDoubleSpinBox, ctkSliderWidget):
        _bound(widget, annotations, float("-inf"), float("inf"), exact is ctkSliderWidget)
        return _of_property(widget, widget.valueChanged, "value")
    if exact is QtWidgets.QComboBox:
        return _of_choices(widget, python_type, annotations)
    if python_type is str and exact is QtWidgets.QLineEdit:
        return _of_property(widget, widget.textChanged, "text")
    if python_type is str and exact is QtWidgets.QTextEdit:
        return Connector(widget.textChanged, widget.toPlainText, widget.setPlainText)
    if exact is ctkPathLineEdit and _is_path(python_type):
        return _of_path(widget, widget.currentPathChanged, "currentPath", python_type)
    if exact is ctkDirectoryButton and _is_path(python_type):
        return _of_path(widget, widget.directoryChanged, "directory", python_type)
    if exact is qMRMLNodeComboBox and _node_types(python_type):
        widget.nodeTypes = _node_types(python_type)
        return Connector(widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode)
    raise RuntimeError(f"Unable to create GUI connector from datatype '{hint}' to widget type '{exact}'")


def _of_property(widget: Any, signal: Any, name: str) -> Connector:
    return Connector(signal, lambda: getattr(widget, name), lambda value: setattr(widget, name, value))


def _of_path(widget: Any, signal: Any, name: str, path_type: Any) -> Connector:
    return Connector(signal, lambda: path_type(getattr(widget, name)), lambda path: setattr(widget, name, str(path)))


def _bound(widget: Any, annotations: tuple[Any, ...], lowest: float, highest: float, must: bool) -> None:
    found = {type(annotation): annotation for annotation in annotations}
    if Decimals in found:
        widget.decimals = found[Decimals].value
    if SingleStep in found:
        widget.singleStep = found[SingleStep].value
    within = found.get(WithinRange)
    low = within.minimum if within else found[Minimum].minimum if Minimum in found else None
    high = within.maximum if within else found[Maximum].maximum if Maximum in found else None
    if must and (low is None or high is None):
        raise RuntimeError("Cannot have a connection to a slider where the type is unbounded.")
    widget.minimum = lowest if low is None else low
    widget.maximum = highest if high is None else high


def _of_choices(widget: Any, python_type: Any, annotations: tuple[Any, ...]) -> Connector:
    if isinstance(python_type, type) and issubclass(python_type, enum.Enum):
        values = list(python_type)
        label = getattr(python_type, "label", lambda member: member.name)
        texts = [label(member) for member in values]
    else:
        choices = [annotation for annotation in annotations if isinstance(annotation, Choice)]
        if not choices or python_type not in (int, float, str, bool):
            raise RuntimeError(f"A combo box shows an Enum or a type with Choice, found {python_type}")
        values = list(choices[0].choices)
        texts = [str(value) for value in values]
    widget.clear()
    for text in texts:
        widget.addItem(text)

    def write(value: Any) -> None:
        widget.currentIndex = values.index(value)

    return Connector(widget.currentIndexChanged, lambda: values[widget.currentIndex], write)


def _is_path(python_type: Any) -> bool:
    return isinstance(python_type, type) and issubclass(python_type, pathlib.PurePath)


def _node_types(python_type: Any) -> list[str]:
    """Class names of the node, or of the union of nodes and None; empty for another type."""
    members = typing.get_args(python_type) if typing.get_origin(python_type) is typing.Union else (python_type,)
    members = tuple(split(member)[0] for member in members if member is not type(None))
    if all(isinstance(member, type) and issubclass(member, slicer.vtkMRMLNode) for member in members):
        return [member.__name__ for member in members]
    return []
