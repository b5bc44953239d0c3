"""Keyboard shortcuts that are active while the module is shown."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer


class Shortcuts:
    """slots: key sequence -> function. Without a main window nothing happens."""

    def __init__(self, slots: dict[str, Callable[[], None]]) -> None:
        self._slots = slots
        self._shortcuts: list[qt.QShortcut] = []

    def enable(self) -> None:
        window = slicer.util.mainWindow()
        if self._shortcuts or window is None:
            return
        for key, slot in self._slots.items():
            shortcut = qt.QShortcut(qt.QKeySequence(key), window)
            shortcut.connect("activated()", slot)
            self._shortcuts.append(shortcut)

    def disable(self) -> None:
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts = []
