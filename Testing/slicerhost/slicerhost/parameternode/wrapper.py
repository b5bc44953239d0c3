"""The class decorator: typed properties over a vtkMRMLScriptedModuleNode, and their binding to widgets."""

from __future__ import annotations

import typing
import weakref
from typing import Any

import slicer
import vtk
from PySide6 import QtWidgets

from slicerhost.parameternode.connectors import Connector, connector_for
from slicerhost.parameternode.kinds import Default, Kind, kind_of, split

__all__ = ["SlicerParameterNamePropertyName", "isParameterNodeWrapper", "parameterNodeWrapper"]

SlicerParameterNamePropertyName = "SlicerParameterName"

# Python's garbage collector takes node -> observer -> wrapper -> node for an island although the scene still holds the
# node, empties the observer, and the next event crashes. A module that stays open keeps such islands reachable by luck.
_HELD_NODES: set[Any] = set()


class _Parameter:
    """One declared member: its name, type, kind, checks and default."""

    def __init__(self, name: str, hint: Any, owner: type) -> None:
        self.name = name
        self.hint = hint
        python_type, annotations = split(hint)
        self.kind: Kind = kind_of(python_type)
        self.checks = [annotation for annotation in annotations if hasattr(annotation, "validate")]
        defaults = [annotation.value for annotation in annotations if isinstance(annotation, Default)]
        self.default = getattr(owner, name) if hasattr(owner, name) else [*defaults, self.kind.default][0]

    def read(self, node: Any) -> Any:
        """The value; the default, written first, where closing the scene emptied the node."""
        if not self.kind.is_in(node, self.name):
            self.write(node, self.default)
        return self.kind.read(node, self.name)

    def write(self, node: Any, value: Any) -> None:
        self.kind.validate(value)
        for check in self.checks:
            check.validate(value)
        self.kind.write(node, self.name, value)


class _Cached:
    """A parameter of one node, read again only after that node was modified by somebody else."""

    def __init__(self, parameter: _Parameter, node: Any) -> None:
        self.parameter = parameter
        self.node = node
        self._writing = False
        self._value = parameter.read(node)
        myself = weakref.ref(self)
        self._tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: myself()._modified())

    def __del__(self) -> None:
        self.node.RemoveObserver(self._tag)

    def _modified(self) -> None:
        if not self._writing:
            self._value = self.parameter.read(self.node)

    def read(self) -> Any:
        return self._value

    def write(self, value: Any) -> None:
        self._writing = True
        try:
            with slicer.util.NodeModify(self.node):
                self.parameter.write(self.node, value)
                self._value = self.parameter.read(self.node)
        finally:
            self._writing = False


class _Wrapper:
    """What every decorated class can do."""

    allParameters: dict[str, _Parameter] = {}
    _is_parameter_node_wrapper = True

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        if prefix:
            raise NotImplementedError("The host's parameter nodes have no prefix")
        self.parameterNode = parameterNode
        _HELD_NODES.add(parameterNode)
        self._cached: dict[str, _Cached] = {}
        self._bound: dict[int, dict[str, Connector]] = {}
        self._updating = False
        for parameter in self.allParameters.values():
            self._cached[parameter.name] = _Cached(parameter, parameterNode)

    def getValue(self, name: str) -> Any:
        return self._cached[self._known(name)].read()

    def setValue(self, name: str, value: Any) -> None:
        self._cached[self._known(name)].write(value)

    def default(self, name: str) -> Default:
        return Default(self.allParameters[self._known(name)].default)

    def dataType(self, name: str) -> Any:
        return self.allParameters[self._known(name)].hint

    def isCached(self, name: str) -> bool:
        return bool(self._known(name))

    def _known(self, name: str) -> str:
        if name not in self.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}; found {list(self.allParameters)}")
        return name

    def connectGui(self, gui: Any) -> int:
        widgets = gui.findChildren(QtWidgets.QWidget) if isinstance(gui, QtWidgets.QWidget) else vars(gui).values()
        named = {widget.property(SlicerParameterNamePropertyName): widget for widget in widgets}
        named.pop(None, None)
        return self.connectParametersToGui(named)

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        connectors = {name: connector_for(widget, self.dataType(name)) for name, widget in mapping.items()}
        tag = max(self._bound, default=-1) + 1
        self._bound[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.on_changed(lambda name=name, connector=connector: self._widget_changed(name, connector))
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: self._node_changed())
        return tag

    def disconnectGui(self, tag: int) -> None:
        for connector in self._bound.pop(tag, {}).values():
            connector.on_changed(None)

    def _widget_changed(self, name: str, connector: Connector) -> None:
        if not self._updating:
            with slicer.util.NodeModify(self):
                self.setValue(name, connector.read())

    def _node_changed(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            with slicer.util.NodeModify(self):
                for connectors in self._bound.values():
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self._updating = False

    def StartModify(self) -> int:
        return self.parameterNode.StartModify()

    def EndModify(self, before: int) -> int:
        return self.parameterNode.EndModify(before)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()


_RESERVED = tuple(name for name in vars(_Wrapper) if not name.startswith("__"))
"""Names that a class, or one that it derives from, must not have: also not by being decorated itself."""


def _property(name: str) -> property:
    return property(lambda self: self.getValue(name), lambda self, value: self.setValue(name, value))


def parameterNodeWrapper(cls: type | None = None) -> Any:
    """`@parameterNodeWrapper`: the annotated members of `cls` become parameters."""
    if cls is None:
        return parameterNodeWrapper
    hints = typing.get_type_hints(cls, include_extras=True)
    parameters = {name: _Parameter(name, hint, cls) for name, hint in hints.items()}
    for name in _RESERVED:
        if name in parameters or hasattr(cls, name):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
    for name, value in vars(_Wrapper).items():
        if not name.startswith("__") or name == "__init__":
            setattr(cls, name, value)
    cls.allParameters = parameters
    for name in parameters:
        setattr(cls, name, _property(name))
    return cls


def isParameterNodeWrapper(thing: Any) -> bool:
    return getattr(thing, "_is_parameter_node_wrapper", False)
