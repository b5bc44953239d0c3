"""`slicer.app` and the main window.

Different from a real Slicer: `startupCompleted` is emitted by `opened`, after the module's constructor ran; the Python
console, the error log and the settings dialog do not exist; `restart` is only remembered.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtWidgets

from slicerhost.core import Core
from slicerhost.extensionsmanager import ExtensionsManager
from slicerhost.iomanager import IOManager

# The launcher of a real Slicer's Python starts a child and waits for it: who kills the launcher alone leaves the child.
_LAUNCHER = """#!/bin/sh
"{python}" "$@"
exit $?
"""


class Application(QtWidgets.QApplication):
    startupCompleted = QtCore.Signal()
    mrmlSceneChanged = QtCore.Signal(object)

    SIGNALS = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}

    def __init__(self, home: Path) -> None:
        super().__init__(["Slicer", "--testing-host"])
        self.setOrganizationName("SlicerHost")
        self.setApplicationName("Slicer")
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
        QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, str(home / "settings"))
        self._home = home
        self._testing = False
        self._paused = 0
        self._restarts = 0
        self._layout_manager: Any = None
        self._module_manager: Any = None
        self._make_launcher()

    def furnish(self, core: Core, io_manager: IOManager, extensions: ExtensionsManager) -> None:
        self._core = core
        self._io_manager = io_manager
        self._extensions = extensions

    def place(self, layout_manager: Any = None, module_manager: Any = None) -> None:
        self._layout_manager = layout_manager or self._layout_manager
        self._module_manager = module_manager or self._module_manager

    def _make_launcher(self) -> None:
        folder = self._home / "bin"
        folder.mkdir(parents=True, exist_ok=True)
        launcher = folder / "PythonSlicer"
        launcher.write_text(_LAUNCHER.format(python=sys.executable))
        launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR)
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"

    # what a script reads
    applicationVersion = "5.13.0-2026-08-21"
    majorVersion = 5
    minorVersion = 13
    revision = "31053"
    repositoryRevision = "583e9b3"
    releaseType = "Preview"
    os = "linux"
    arch = "amd64"
    mainApplicationName = "Slicer"
    documentationBaseUrl = "https://slicer.readthedocs.io/en/latest/"

    @property
    def slicerHome(self) -> str:
        return str(self._home)

    @property
    def temporaryPath(self) -> str:
        return self._core.application_logic.GetTemporaryPath()

    @property
    def cachePath(self) -> str:
        return str(self._home / "cache")

    @property
    def slicerUserSettingsFilePath(self) -> str:
        return self.userSettings().fileName()

    def testingEnabled(self) -> bool:
        return self._testing

    def setTestingEnabled(self, on: bool) -> None:
        """The host's own: as `Slicer --testing`, where message boxes are skipped and pip installs nothing."""
        self._testing = on

    def mrmlScene(self) -> Any:
        return self._core.scene

    def applicationLogic(self) -> Any:
        return self._core.application_logic

    def moduleLogic(self, name: str) -> Any:
        return self._core.logics.get(name)

    def coreIOManager(self) -> IOManager:
        return self._io_manager

    def ioManager(self) -> IOManager:
        return self._io_manager

    def extensionsManagerModel(self) -> ExtensionsManager:
        return self._extensions

    def layoutManager(self) -> Any:
        return self._layout_manager

    def moduleManager(self) -> Any:
        return self._module_manager

    def userSettings(self) -> QtCore.QSettings:
        return QtCore.QSettings()

    settings = userSettings
    revisionUserSettings = userSettings

    def moduleDocumentationUrl(self, name: str) -> str:
        return f"{self.documentationBaseUrl}user_guide/modules/{name.lower()}.html"

    def startupEnvironment(self) -> dict[str, str]:
        return dict(os.environ)

    def pauseRender(self) -> None:
        self._paused += 1

    def resumeRender(self) -> None:
        self._paused -= 1

    def restart(self) -> None:
        self._restarts += 1

    def pythonConsole(self) -> None:
        return None


class ModuleSelector(QtWidgets.QToolBar):
    """The module selector of the main window: `slicer.util.selectModule` ends here."""

    moduleSelected = QtCore.Signal(str)

    def __init__(self, module_manager: Any) -> None:
        super().__init__()
        self._manager = module_manager
        self._current = ""

    def selectModule(self, name: str) -> None:
        if name == self._current:
            return
        before = self._manager.module(self._current)
        if before is not None and hasattr(before, "leave"):
            before.leave()
        self._current = name
        after = self._manager.module(name)
        if after is not None and hasattr(after, "enter"):
            after.enter()
        self.moduleSelected.emit(name)

    @property
    def selectedModule(self) -> str:
        return self._current


class MainWindow(QtWidgets.QMainWindow):
    """Found by `slicer.util.mainWindow()` through its object name."""

    def __init__(self, module_manager: Any) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self._selector = ModuleSelector(module_manager)
        self.addToolBar(self._selector)
        self.statusBar()
        probe = QtWidgets.QGroupBox("Data Probe", self)
        probe.setObjectName("DataProbeCollapsibleWidget")
        self.setCentralWidget(probe)

    def moduleSelector(self) -> ModuleSelector:
        return self._selector
