"""PySide6 presented as PythonQt presents Qt: the module `qt` that Slicer's Python code imports.

What is made the same: properties are attributes (`button.text`, never `button.text()`), `objectName` is also `name`,
`widget.connect("clicked(bool)", callable)`, `className()`, `exec_()`, enumerators without their enum's name, which
compare equal to integers.

What stays different from a real Slicer, always to the strict side unless said:
- `connect` with a signature that the class does not have raises; PythonQt prints a line on the console and goes on.
- A numpy number assigned to a property raises; PythonQt silently stores 0.
- A misspelt attribute (`button.enabeld = False`) raises at once in PythonQt. Here Python takes it, and
  `stray_attributes` finds it afterwards: `opened` asks when the panel closes.
- Ownership: PySide6 keeps the Python half of an object alive where PythonQt may drop it. Not reproduced.
- `sizeHint`, `minimumSizeHint` and `QProgressBar.text` stay methods: Qt itself calls them, and would find the
  attribute.

The patch changes PySide6's classes for good: a process that has it is a host process and nothing else.
"""

from __future__ import annotations

import gc
import re
import types
from typing import Any

import numpy as np
import shiboken6
from PySide6 import QtCore, QtGui, QtNetwork, QtSvg, QtTest, QtUiTools, QtWidgets

_ROOMS = (QtCore, QtGui, QtWidgets, QtNetwork, QtSvg, QtTest, QtUiTools)
_VIRTUAL = {("QWidget", "sizeHint"), ("QWidget", "minimumSizeHint"), ("QProgressBar", "text")}
_HOST = __name__.partition(".")[0]


class PropertyAttribute:
    """A Qt property as an attribute of its class; on the class itself what was there before (`QTimer.singleShot`)."""

    def __init__(self, name: str, before: Any, writable: bool) -> None:
        self.name = name
        self.before = before
        self.writable = writable

    def __get__(self, instance: QtCore.QObject | None, owner: type) -> Any:
        if instance is None:
            if self.before is None:
                raise AttributeError(f"{owner.__name__}.{self.name} is a property of instances")
            return self.before
        return instance.property(self.name)

    def __set__(self, instance: QtCore.QObject, value: Any) -> None:
        if not self.writable:
            raise AttributeError(f"{type(instance).__name__}.{self.name} cannot be written")
        if isinstance(value, np.generic):
            raise TypeError(
                f"Found a {type(value).__name__} for {type(instance).__name__}.{self.name}, expected a Python number: "
                "PythonQt would silently store 0."
            )
        if not instance.setProperty(self.name, value):
            raise ValueError(f"{type(instance).__name__}.{self.name} does not take {value!r}")


def present() -> types.ModuleType:
    """Patch PySide6 and give the module `qt`."""
    for cls in _qobject_classes():
        _present_properties(cls)
    QtCore.QObject.name = PropertyAttribute("objectName", None, True)
    QtCore.QObject.className = lambda self: type(self).__name__
    _present_connect()
    for cls in (QtWidgets.QDialog, QtWidgets.QMenu, QtCore.QEventLoop, QtCore.QCoreApplication):
        if not hasattr(cls, "exec_"):
            cls.exec_ = cls.exec
    module = types.ModuleType("qt", __doc__)
    for room in _ROOMS:
        for name in dir(room):
            if not name.startswith("_"):
                setattr(module, name, getattr(room, name))
    return module


def _qobject_classes() -> list[type]:
    """Every QObject class of PySide6, bases before the classes made from them."""
    found: dict[type, None] = {}
    for room in _ROOMS:
        for value in (getattr(room, name) for name in dir(room)):  # PySide6 makes its classes when asked for them
            if isinstance(value, type) and issubclass(value, QtCore.QObject):
                for cls in reversed(value.__mro__):
                    if issubclass(cls, QtCore.QObject):
                        found[cls] = None
    return list(found)


def _present_properties(cls: type) -> None:
    meta = cls.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        found = meta.property(index)
        name = found.name()
        if (cls.__name__, name) not in _VIRTUAL:
            before = getattr(cls, name, None)
            setattr(cls, name, PropertyAttribute(name, before, found.isWritable()))


def _present_connect() -> None:
    """Methods of PySide6 cannot be replaced on its classes, but the looking up can."""
    look_up = QtCore.QObject.__getattribute__

    def __getattribute__(self: QtCore.QObject, name: str) -> Any:
        if name not in ("connect", "disconnect"):
            return look_up(self, name)

        def by_signature(*arguments: Any) -> Any:
            if len(arguments) == 2 and isinstance(arguments[0], str):
                return getattr(bound_signal(self, arguments[0]), name)(arguments[1])
            return look_up(self, name)(*arguments)  # PySide6's own code

        return by_signature

    QtCore.QObject.__getattribute__ = __getattribute__


def bound_signal(sender: QtCore.QObject, signature: str) -> QtCore.SignalInstance:
    """The signal of `sender` by its C++ signature; raises for one that the class does not have."""
    match = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", signature)
    if not match:
        raise ValueError(f"Found {signature!r}, expected a signature such as 'clicked(bool)'")
    name, arguments = match[1], normalised(match[2])
    known = signatures(sender)
    if f"{name}({arguments})" not in known:
        raise ValueError(
            f"{type(sender).__name__} has no signal {name}({arguments}); it has {sorted(known)}: PythonQt would only "
            "print a line and never call the target."
        )
    attribute = known[f"{name}({arguments})"]
    bound = getattr(sender, attribute)
    native = f"{name}({arguments})"
    try:
        return bound[native[len(name) + 1 : -1]] if native in _native_signatures(sender) else bound
    except (KeyError, IndexError):
        return bound


def signatures(sender: QtCore.QObject) -> dict[str, str]:
    """C++ signature -> attribute of every signal; a stand-in names its own in `SIGNALS` (vtk types are objects
    here).
    """
    known = {signature: signature.partition("(")[0] for signature in _native_signatures(sender)}
    for cls in reversed(type(sender).__mro__):
        known.update(vars(cls).get("SIGNALS", {}))
    return known


def _native_signatures(sender: QtCore.QObject) -> set[str]:
    meta = sender.metaObject()
    methods = (meta.method(index) for index in range(meta.methodCount()))
    signals = (method for method in methods if method.methodType() == QtCore.QMetaMethod.MethodType.Signal)
    return {bytes(method.methodSignature().data()).decode() for method in signals}


def normalised(arguments: str) -> str:
    """As Qt writes them: no names, no spaces, no const reference; a pointer keeps its star."""
    parts = []
    for part in arguments.split(","):
        words = re.sub(r"\bconst\b|&", " ", part).replace("*", "* ").split()
        if words:
            parts.append(words[0] + ("*" if "*" in words[1:2] and "*" not in words[0] else ""))
    return ",".join(parts)


def stray_attributes() -> list[str]:
    """Python attributes that somebody put on Qt objects, which PythonQt would have refused."""
    found = []
    for thing in gc.get_objects():
        if isinstance(thing, QtCore.QObject) and shiboken6.isValid(thing):
            cls = type(thing)
            if cls.__module__.startswith(("PySide6.", _HOST)):
                allowed = "_" if cls.__module__.startswith(_HOST) else ()
                own = {name: value for name, value in vars(thing).items() if not name.startswith(allowed)}
                found += [f"{cls.__name__}.{name}" for name, value in own.items() if not _is_pyside(name, value)]
    return found


def _is_pyside(name: str, value: Any) -> bool:
    """What PySide6 itself puts there: signals, and on the top widget of a .ui file its children by their names."""
    if isinstance(value, QtCore.SignalInstance):
        return True
    return isinstance(value, QtCore.QObject) and shiboken6.isValid(value) and value.name == name
