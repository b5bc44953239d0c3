"""`qt.QUiLoader` that refuses what a real Slicer would show as an empty place or silently forget.

Refused: a widget class that neither Qt nor the host has, a property that its class does not declare, a signal or slot
of a `<connection>` that does not exist. Dynamic properties (`stdset="0"`) are taken, as `SlicerParameterName` is one.
Connections with vtk arguments are made in Python: PySide6 knows no such types.
"""

from __future__ import annotations

import functools
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from PySide6 import QtCore, QtUiTools, QtWidgets

from slicerhost.pythonqt import bound_signal


class UiError(ValueError):
    """A .ui file that a real Slicer would not show as it was drawn."""


class UiLoader(QtUiTools.QUiLoader):
    stand_ins: tuple[type, ...] = ()

    def __init__(self, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        for cls in self.stand_ins:
            self.registerCustomWidget(cls)

    def load(self, device: QtCore.QIODevice, parent: QtWidgets.QWidget | None = None) -> QtWidgets.QWidget:
        """The widget that the file describes; raises `UiError`."""
        content = Path(device.fileName()).read_bytes()
        tree = ElementTree.fromstring(content)
        self._check(tree)
        connections = tree.find("connections")
        if connections is not None:
            tree.remove(connections)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.ReadOnly)
        widget = super().load(buffer, parent)
        if widget is None:
            raise UiError(self.errorString())
        for connection in () if connections is None else connections:
            _connect(widget, connection)
        return widget

    def _check(self, tree: ElementTree.Element) -> None:
        for element in tree.iter("widget"):
            cls = self._class(element.get("class"))
            known = _properties(cls)
            for found in element.findall("property"):
                name = found.get("name")
                if found.get("stdset") != "0" and name not in known:
                    raise UiError(f"{element.get('name')}: {cls.__name__} declares no property {name!r}")

    def _class(self, name: str) -> type:
        own = {cls.__name__: cls for cls in self.stand_ins}
        if name == "Line":
            return QtWidgets.QFrame
        cls = own.get(name) or getattr(QtWidgets, name, None)
        if cls is None:
            raise UiError(f"Found a widget of class {name!r}; the host has Qt's and {sorted(own)}")
        return cls


@functools.cache
def _properties(cls: type) -> frozenset[str]:
    """Names of every property that the class or a base declares; asked once, PySide6 may drop the answer's source."""
    meta = cls.staticMetaObject
    return frozenset(meta.property(index).name() for index in range(meta.propertyCount()))


def _connect(root: QtWidgets.QWidget, connection: ElementTree.Element) -> None:
    sender, receiver = (_named(root, connection.findtext(end)) for end in ("sender", "receiver"))
    slot = connection.findtext("slot").partition("(")[0]
    if not callable(getattr(receiver, slot, None)):
        raise UiError(f"{receiver.name}: {type(receiver).__name__} has no slot {slot!r}")
    try:
        bound_signal(sender, connection.findtext("signal")).connect(getattr(receiver, slot))
    except ValueError as error:
        raise UiError(f"{sender.name}: {error}") from None


def _named(root: QtWidgets.QWidget, name: str) -> QtCore.QObject:
    if root.name == name:
        return root
    found = root.findChild(QtCore.QObject, name)
    if found is None:
        raise UiError(f"A connection names {name!r}, which is not in the file")
    return found
