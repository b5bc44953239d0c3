"""Base class of all panels: binds the parameter node while the module is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer
import vtk
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from SynthRegLib.parameter_pack import ParameterPack


class BoundPanel(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The .ui of the module's name, its logic, and the parameter node that both share.

    A subclass calls initializeParameterNode() at the end of its setup(), when all is there that the node is shown in.
    packs: the records whose parameters have generated widgets.
    """

    packs: Sequence[ParameterPack] = ()

    def makeLogic(self) -> Any:
        """Return the module's logic, which has getParameterNode()."""
        raise NotImplementedError

    def stopWork(self) -> None:
        """Stop all jobs without a message, as the panel is closed."""
        raise NotImplementedError

    def onParameterChanged(self, caller=None, event=None) -> None:
        """Called when the user, a script or undo changed the parameter node."""
        raise NotImplementedError

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._guiTag = None
        self._isImporting = False

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath(f"UI/{self.moduleName}.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        for pack in self.packs:
            pack.add_widgets(self.ui)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = self.makeLogic()
        scene = slicer.vtkMRMLScene
        self.addObserver(slicer.mrmlScene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, scene.EndCloseEvent, self.onSceneReplaced)
        self.addObserver(slicer.mrmlScene, scene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(slicer.mrmlScene, scene.EndBatchProcessEvent, self.onSceneEndBatch)
        slicer.app.connect("aboutToQuit()", self.onAboutToQuit)

    def cleanup(self) -> None:
        """Called at application exit and before a reload."""
        slicer.app.disconnect("aboutToQuit()", self.onAboutToQuit)
        self.stopWork()
        self.setParameterNode(None)
        self.removeObservers()

    @property
    def isEntered(self) -> bool:
        """Return whether the module is selected; it stays so during a reload, after which Slicer calls no enter()."""
        return bool(self.parent.isEntered)

    def enter(self) -> None:
        self.initializeParameterNode()

    def exit(self) -> None:
        self.setParameterNode(None)

    def onAboutToQuit(self) -> None:
        self.stopWork()

    def onSceneStartClose(self, caller, event) -> None:
        self.setParameterNode(None)

    def onSceneStartImport(self, caller, event) -> None:
        """Unbind, so that selectors that jump to the first new node do not change the imported parameters."""
        self._isImporting = True
        self.setParameterNode(None)

    def onSceneEndBatch(self, caller, event) -> None:
        """Bind after an import. It ends before its batch does, and only then do the selectors offer the new nodes."""
        if self._isImporting and not slicer.mrmlScene.IsImporting():
            self._isImporting = False
            self.onSceneReplaced(caller, event)

    def onSceneReplaced(self, caller, event) -> None:
        """Bind the parameter node of the scene that was closed or imported."""
        if self.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode) -> None:
        """Bind the widgets to this parameter node, or to none."""
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterChanged)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._guiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterChanged)
