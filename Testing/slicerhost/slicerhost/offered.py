"""What the stand-ins offer, so that a test can ask whether the real classes have it too."""

from __future__ import annotations

from PySide6 import QtCore

from slicerhost import application, ctkbuttons, ctknumbers, extensionsmanager, iomanager, layout, modules, mrmlwidgets

REAL = {
    "Application": "qSlicerApplication",
    "MainWindow": "qSlicerMainWindow",
    "ModuleSelector": "qSlicerModuleSelectorToolBar",
    "ExtensionsManager": "qSlicerExtensionsManagerModel",
    "IOManager": "qSlicerCoreIOManager",
    "LayoutManager": "qSlicerLayoutManager",
    "SliceWidget": "qMRMLSliceWidget",
    "SliceViewWidget": "qMRMLSliceView",
    "SliceController": "qMRMLSliceControllerWidget",
    "ModuleManager": "qSlicerModuleManager",
    "FactoryManager": "qSlicerModuleFactoryManager",
}
OWN = {
    "Application": {"furnish", "place", "setTestingEnabled"},
    "ExtensionsManager": {"forget", "offers", "requested"},
    "LayoutManager": {"view"},
    "ModuleManager": {"add", "load_script", "remove"},
    "qMRMLNodeComboBox": {"activate_extra"},
}
"""What a test says to a stand-in, and no module does."""
_QT = {
    "childEvent",
    "eventFilter",
    "hitButton",
    "minimumSizeHint",
    "paintEvent",
    "sizeHint",
    "staticMetaObject",
    "SIGNALS",
}


def offered() -> dict[str, set[str]]:
    """Real class -> its members that the stand-in has of its own: `name`, and `name(types)` for a signal."""
    rooms = (application, ctkbuttons, ctknumbers, extensionsmanager, iomanager, layout, modules, mrmlwidgets)
    classes = {cls for room in rooms for cls in vars(room).values() if isinstance(cls, type)}
    found = {}
    for cls in sorted(classes, key=lambda one: one.__name__):
        real = REAL.get(cls.__name__, cls.__name__)
        if real.startswith(("ctk", "qMRML", "qSlicer")):
            own = {name for name in vars(cls) if not name.startswith("_")} - _QT - OWN.get(cls.__name__, set())
            signals = {name for name in own if isinstance(vars(cls)[name], QtCore.Signal)}
            found[real] = own - signals | {f"{name}()" for name in signals}
    return found
