"""Stand-ins of Slicer's own widgets but for the node combo box: containers that hand the scene on."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from slicerhost.nodecombo import qMRMLNodeComboBox


class qMRMLWidget(QtWidgets.QWidget):
    """The usual top level of a .ui file: `mrmlSceneChanged(vtkMRMLScene*)` hands the scene to the widgets inside."""

    mrmlSceneChanged = QtCore.Signal(object)

    SIGNALS = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


class qSlicerWidget(qMRMLWidget):
    pass


WIDGETS = (qMRMLWidget, qSlicerWidget, qMRMLNodeComboBox)
