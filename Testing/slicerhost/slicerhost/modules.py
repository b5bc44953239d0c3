"""`slicer.modules`, the module manager, and how a scripted module is loaded: constructor, `setup`, `enter`.

As in Slicer: the module's class gets a parent with `title`, `path` and so on; its Widget class is made when the panel
is first asked for, with a parent that already has a layout and the scene; `setup()` and `enter()` follow.
Different from a real Slicer: a loadable (C++) module has a logic and no panel.
"""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore, QtGui, QtWidgets

# A reload hides the widgets of the panel before it and keeps them as children: this dynamic property tells them apart.
REPLACED = "slicerhost_replaced"


def _nothing() -> None:
    """In place of an `enter` or `exit` that a module does not have."""


class LoadableModule:
    """A C++ module: its logic."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name = name
        self.title = name
        self._logic = logic

    def logic(self) -> Any:
        return self._logic

    def widgetRepresentation(self) -> None:
        return None


class ScriptedModule:
    """`qSlicerScriptedLoadableModule`: what the Python class receives as its parent, and what `slicer.modules.<name>`
    is.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = str(path)
        self.title = name
        self.helpText = self.acknowledgementText = ""
        self.categories: list[str] = []
        self.contributors: list[str] = []
        self.dependencies: list[str] = []
        self.associatedNodeTypes: list[str] = []
        self.hidden = False
        self.index = -1
        self.icon = QtGui.QIcon()
        self.slicerWikiUrl = "https://slicer.readthedocs.io/"
        self.widgetRepresentationCreationEnabled = True
        self._panel: ScriptedModuleWidget | None = None
        self._logic = slicer.vtkSlicerScriptedLoadableModuleLogic()
        self._logic.SetMRMLScene(slicer.mrmlScene)

    def logic(self) -> Any:
        return self._logic

    def widgetRepresentation(self) -> ScriptedModuleWidget:
        if self._panel is None:
            self._panel = self.createNewWidgetRepresentation()
        return self._panel

    def createNewWidgetRepresentation(self) -> ScriptedModuleWidget:
        panel = ScriptedModuleWidget(self.name)
        panel.reload()
        return panel

    def enter(self) -> None:
        self.widgetRepresentation()._entered = True
        getattr(self.widgetRepresentation().self(), "enter", _nothing)()

    def leave(self) -> None:
        if self._panel is not None:
            self._panel._entered = False
            getattr(self._panel.self(), "exit", _nothing)()

    def forget_panel(self) -> None:
        """The panel as a widget is gone: the next `widgetRepresentation` makes another."""
        if self._panel is not None:
            self._panel.close()
            self._panel.deleteLater()
        self._panel = None


class ScriptedModuleWidget(QtWidgets.QWidget):
    """`qSlicerScriptedLoadableModuleWidget`: the parent of the Python Widget."""

    mrmlSceneChanged = QtCore.Signal(object)

    SIGNALS = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}

    def __init__(self, module_name: str) -> None:
        super().__init__()
        self._module_name = module_name
        self._python: Any = None
        self._entered = False
        self.setObjectName(f"qSlicer{module_name}ModuleWidget")
        self.setLayout(QtWidgets.QVBoxLayout())

    @property
    def moduleName(self) -> str:
        return self._module_name

    @property
    def isEntered(self) -> bool:
        """True while the module is selected; a reload, which replaces the Python Widget only, does not change it."""
        return self._entered

    def mrmlScene(self) -> Any:
        return slicer.mrmlScene

    def self(self) -> Any:
        return self._python

    def reload(self) -> None:
        """Make the Python Widget anew from the module as it is loaded now, and set it up."""
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setProperty(REPLACED, True)
        python_class = getattr(sys.modules[self._module_name], f"{self._module_name}Widget")
        self._python = python_class(self)
        setattr(slicer.modules, f"{self._module_name}Widget", self._python)
        self._python.setup()
        self.mrmlSceneChanged.emit(slicer.mrmlScene)


class FactoryManager(QtCore.QObject):
    def __init__(self, manager: ModuleManager) -> None:
        super().__init__(manager)
        self._manager = manager

    def loadedModuleNames(self) -> list[str]:
        return self._manager.modulesNames()

    def isLoaded(self, name: str) -> bool:
        return self._manager.module(name) is not None


class ModuleManager(QtCore.QObject):
    moduleLoaded = QtCore.Signal(str)
    moduleAboutToBeUnloaded = QtCore.Signal(str)

    def __init__(self, logics: dict[str, Any]) -> None:
        super().__init__()
        self._modules: dict[str, Any] = {}
        self._factory = FactoryManager(self)
        for name, logic in logics.items():
            self.add(LoadableModule(name, logic))

    def add(self, module: Any) -> None:
        self._modules[module.name] = module
        setattr(slicer.modules, module.name.lower(), module)
        self.moduleLoaded.emit(module.name)

    def remove(self, name: str) -> None:
        self.moduleAboutToBeUnloaded.emit(name)
        del self._modules[name]
        if not any(isinstance(module, ScriptedModule) for module in self._modules.values()):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # usually nobody is connected any more
                self.moduleAboutToBeUnloaded.disconnect()  # where a `cleanup` raised, its Widget still is
        for attribute in (name.lower(), f"{name}Instance", f"{name}Widget"):
            if hasattr(slicer.modules, attribute):
                delattr(slicer.modules, attribute)

    def module(self, name: str) -> Any:
        return self._modules.get(name)

    def modulesNames(self) -> list[str]:
        return list(self._modules)

    def factoryManager(self) -> FactoryManager:
        return self._factory

    def load_script(self, path: Path) -> ScriptedModule:
        """Run `<Name>.py` and construct its class `<Name>`, as at Slicer's start. Its folder comes first on
        `sys.path`.
        """
        if not path.is_file():
            raise FileNotFoundError(f"Found no {path}, expected the script of a module")
        name = path.stem
        folder = str(path.parent)
        if folder in sys.path:
            sys.path.remove(folder)
        sys.path.insert(0, folder)
        spec = importlib.util.spec_from_file_location(name, path)
        script = importlib.util.module_from_spec(spec)
        sys.modules[name] = script
        spec.loader.exec_module(script)
        module = ScriptedModule(name, path)
        setattr(slicer.modules, f"{name}Instance", getattr(script, name)(module))
        self.add(module)
        return module


def install() -> types.SimpleNamespace:
    """`slicer.modules`, empty, and the classes that `slicer.util` compares with."""
    slicer.modules = types.SimpleNamespace(sampleDataSources={})
    slicer.qSlicerScriptedLoadableModule = ScriptedModule
    slicer.qSlicerScriptedLoadableModuleWidget = ScriptedModuleWidget
    return slicer.modules
