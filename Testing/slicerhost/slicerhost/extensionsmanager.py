"""`slicer.app.extensionsManagerModel()`: extensions that a test says can be installed. Nothing is ever downloaded."""

from __future__ import annotations

from collections.abc import Callable

from PySide6 import QtCore

from slicerhost.declare import declared


class ExtensionsManager(QtCore.QObject):
    """Records every request; `offers` names what an installation finds, and what it leaves behind."""

    interactive = declared(bool, "interactive", True)

    def __init__(self) -> None:
        super().__init__()
        self._requested: list[str] = []
        self._installed: set[str] = set()
        self._offered: dict[str, Callable[[], None] | None] = {}

    @property
    def requested(self) -> list[str]:
        """Names that somebody tried to install."""
        return list(self._requested)

    def offers(self, name: str, installing: Callable[[], None] | None = None) -> None:
        """From now on `name` can be installed, which calls `installing` (put a module into `sys.modules`, say)."""
        self._offered[name] = installing

    def forget(self) -> None:
        """As after a fresh start: nothing installed, offered or requested."""
        self._requested.clear()
        self._installed.clear()
        self._offered.clear()

    def isExtensionInstalled(self, name: str) -> bool:
        return name in self._installed

    def installExtensionFromServer(self, name: str, confirm: bool = True, install_dependencies: bool = True) -> bool:
        self._requested.append(name)
        if name not in self._offered:
            return False
        self._installed.add(name)
        installing = self._offered[name]
        if installing is not None:
            installing()
        return True

    def updateExtensionsMetadataFromServer(self, force: bool = False, wait: bool = False) -> bool:
        return bool(self._offered)


extensions = ExtensionsManager()
