"""A module's panel, opened as Slicer opens it and used as a user uses it: `with opened("HostExample") as panel`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import slicer
from PySide6 import QtCore, QtTest, QtWidgets

from slicerhost import pythonqt
from slicerhost.application import MainWindow
from slicerhost.ctkbuttons import ctkCollapsibleButton
from slicerhost.errors import errors
from slicerhost.installed import module_folder
from slicerhost.modal import dialogs
from slicerhost.modules import REPLACED
from slicerhost.nodecombo import qMRMLNodeComboBox

WIDTH = 460
SAFETY_LIMIT_S = float(os.environ.get("SLICERHOST_SAFETY_LIMIT_S", "1800"))
"""Ends a test whose condition never comes true; no test depends on its value."""

# As in Slicer, where a module's Widget lives until the application ends: an observer that it forgot still finds it.
_WERE_OPEN: list[Any] = []


class Panel:
    """One open panel. Widgets are named by their object names; whatever a user could not do is refused."""

    def __init__(self, module: Any, seconds_to_open: float) -> None:
        self._module = module
        self.seconds_to_open = seconds_to_open

    @property
    def frame(self) -> QtWidgets.QWidget:
        """The widget that holds the panel; another one after `reload`."""
        return self._module.widgetRepresentation()

    @property
    def widget(self) -> Any:
        return self.frame.self()

    @property
    def logic(self) -> Any:
        return self.widget.logic

    def __getitem__(self, name: str) -> Any:
        found = [child for child in self.frame.findChildren(QtWidgets.QWidget, name) if not _is_replaced(child)]
        if len(found) != 1:
            names = sorted({child.name for child in self.frame.findChildren(QtWidgets.QWidget) if child.name})
            raise LookupError(f"Found {len(found)} widgets named {name!r}, expected one; there are {names}")
        return found[0]

    # what a user sees
    def text(self, name: str) -> str:
        """The text of a label, button or line; what a combo box shows; all of a text field."""
        widget = self[name]
        if isinstance(widget, qMRMLNodeComboBox):
            node = widget.currentNode()
            return node.GetName() if node is not None else widget.noneDisplay
        if isinstance(widget, QtWidgets.QComboBox):
            return widget.currentText
        if isinstance(widget, (QtWidgets.QTextEdit, QtWidgets.QPlainTextEdit)):
            return widget.toPlainText()
        return widget.text() if isinstance(widget, QtWidgets.QProgressBar) else widget.text

    def is_enabled(self, name: str) -> bool:
        return self[name].isEnabled()

    def is_visible(self, name: str) -> bool:
        return self[name].isVisible()

    # what a user does
    def _usable(self, name: str) -> Any:
        self.settle()
        widget = self[name]
        if not widget.isVisible():
            raise AssertionError(f"{name} is not visible: a user cannot use it")
        if not widget.isEnabled():
            raise AssertionError(f"{name} is disabled: {widget.toolTip or 'no tool tip says why'}")
        return widget

    def click(self, name: str) -> None:
        widget = self._usable(name)
        place = widget.rect.center()
        if isinstance(widget, (QtWidgets.QCheckBox, QtWidgets.QRadioButton)):
            place = QtCore.QPoint(8, place.y())
        if isinstance(widget, ctkCollapsibleButton):
            place = QtCore.QPoint(20, 6)
        hit = widget.window().childAt(widget.mapTo(widget.window(), place))
        if hit is not widget and not widget.isAncestorOf(hit):
            raise AssertionError(f"{name} is covered by {hit.name or type(hit).__name__}: a click does not reach it")
        QtTest.QTest.mouseClick(widget, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, place)
        self.settle()

    def expand(self, name: str) -> None:
        if self[name].collapsed:
            self.click(name)

    def select(self, name: str, node: Any) -> None:
        selector = self._usable(name)
        row = selector._row_of(node.GetID() if node is not None else "")
        if row < 0 or (node is not None and selector._box.itemData(row) != node.GetID()):
            rows = [selector._box.itemText(one) for one in range(selector._box.count)]
            raise LookupError(f"{name} does not offer {node.GetName() if node else None!r}; it offers {rows}")
        selector._box.currentIndex = row
        selector._box.activated.emit(row)
        self.settle()

    def choose(self, name: str, text: str) -> None:
        box = self._usable(name)
        row = box.findText(text)
        if row < 0:
            raise LookupError(
                f"{name} does not offer {text!r}; it offers {[box.itemText(i) for i in range(box.count)]}"
            )
        box.currentIndex = row
        box.activated.emit(row)
        self.settle()

    def type(self, name: str, text: str) -> None:
        line = self._usable(name)
        line.selectAll()
        QtTest.QTest.keyClicks(line, text)
        QtTest.QTest.keyClick(line, QtCore.Qt.Key_Return)
        self.settle()

    def set_value(self, name: str, value: float) -> None:
        self._usable(name).value = value
        self.settle()

    # time
    def settle(self) -> None:
        """Serve what waits in the event loop, and delete what deleteLater() named, as the loop of an application does;
        raises what slots raised meanwhile."""
        for _ in range(3):
            QtWidgets.QApplication.processEvents()
            QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)
        errors.raise_kept()

    def serve_turns(self, count: int) -> None:
        """Run the event loop `count` times, each until a timer of 10 ms or another event wakes it."""
        for _ in range(count):
            self._serve()

    def wait_until(self, condition: Callable[[], bool], what: str = "", *, seconds: float = SAFETY_LIMIT_S) -> None:
        """Run the event loop until `condition` holds. seconds: ends a test that hangs; `what` says what is missing."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"Waited {seconds} s in vain{': ' + what if what else ''}")
            self._serve()

    def _serve(self) -> None:
        """Wait inside the event loop, which wakes for its own timers and sockets."""
        loop = QtCore.QEventLoop()
        QtCore.QTimer.singleShot(10, loop.quit)
        loop.exec()
        errors.raise_kept()

    # the module
    def leave(self) -> None:
        """The user selects another module."""
        self._module.leave()
        self.frame.hide()
        self.settle()

    def return_(self) -> None:
        self._module.enter()
        self.frame.show()
        self.settle()

    def reload(self) -> None:
        """Press the developer's Reload. As in Slicer, `enter` is not called: the module was entered before."""
        self.widget.onReload()
        self.settle()

    def screenshot(self, path: Any) -> None:
        """The panel at the size that it asks for, as PNG."""
        self.fit()
        if not self.frame.grab().save(str(path)):
            raise OSError(f"Could not write {path}")

    def fit(self) -> None:
        self.settle()
        layout = self.frame.layout()
        layout.activate()
        height = layout.heightForWidth(WIDTH) if layout.hasHeightForWidth() else layout.sizeHint().height()
        self.frame.resize(WIDTH, max(height, 200))
        self.settle()


def _is_replaced(widget: QtWidgets.QWidget) -> bool:
    """Part of the panel before the last reload."""
    while widget is not None and not widget.isWindow():
        if widget.property(REPLACED):
            return True
        widget = widget.parentWidget()
    return False


@contextmanager
def opened(name: str, folder: Any = None, main_window: bool = True) -> Iterator[Panel]:
    """The panel of module `<name>.py` in `folder` (default: in the tree that CMake installed), ready for a user.

    On leaving: `exit`, `cleanup`, and an empty scene without the module's parameter node. Then it fails for what slots
    raised, for attributes that PythonQt would have refused, for planned dialogs that never opened, and for observers
    that `cleanup` left. Raises FileNotFoundError without such a module.
    """
    script = Path(folder or module_folder()) / f"{name}.py"
    errors.install()
    errors.forget()
    manager = slicer.app.moduleManager()
    window = MainWindow(manager) if main_window else None
    start = time.perf_counter()
    module = manager.load_script(script)
    slicer.app.startupCompleted.emit()
    frame = module.widgetRepresentation()
    module.enter()
    panel = Panel(module, time.perf_counter() - start)
    frame.resize(WIDTH, 800)
    frame.show()
    panel.fit()
    try:
        yield panel
        panel.settle()
        strays = pythonqt.stray_attributes()
        assert not strays, f"Attributes that PythonQt refuses: {strays}"
        assert not dialogs.unused(), f"Planned dialogs never opened: {dialogs.unused()}"
    finally:
        left = _close(module, manager, window)
    errors.raise_kept()
    assert not left, f"cleanup() left observers: {left}"


def _close(module: Any, manager: Any, window: MainWindow | None) -> list[str]:
    widget = module.widgetRepresentation().self()
    _WERE_OPEN.append(widget)
    module.leave()
    manager.remove(module.name)
    left = _observed_still(widget)
    module.forget_panel()
    if window is not None:
        window.deleteLater()
    QtWidgets.QApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)
    close_scene()
    for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
        slicer.mrmlScene.RemoveNode(node)  # a singleton, which closing the scene only empties
    dialogs.forget()
    return left


def _observed_still(widget: Any) -> list[str]:
    """What a closed panel still observes, through VTKObservationMixin, as Class.method; it is let go of now."""
    observations = list(getattr(widget, "Observations", []))
    left = [getattr(method, "__qualname__", str(method)) for _, _, method, *_ in observations]
    if observations:
        widget.removeObservers()
    return left


def close_scene() -> None:
    """File > Close scene."""
    slicer.mrmlScene.Clear(False)
    QtWidgets.QApplication.processEvents()
