"""Review: comparison of two images, blinded reading, quality control of cases. The panel."""

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)
from SynthRegLib.bound_panel import BoundPanel
from SynthRegLib.node_job import run_steps
from SynthRegLib.phantom import make_phantom
from SynthRegLib.review import Mode, SynthReviewParameterNode, show
from SynthRegLib.sample_nodes import add_sample
from SynthRegLib.texts import documentation_link
from SynthReviewLib.compare_panel import ComparePanel
from SynthReviewLib.quality_panel import QualityPanel
from SynthReviewLib.reading_panel import ReadingPanel
from SynthReviewLib.texts import acknowledgement, help_text


class SynthReview(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "SynthReview"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.contributors = ["SlicerSynthReg contributors"]
        self.parent.helpText = help_text() + documentation_link("tutorials/synthreview.html")
        self.parent.acknowledgementText = acknowledgement()


class SynthReviewLogic(ScriptedLoadableModuleLogic):
    def getParameterNode(self):
        return SynthReviewParameterNode(super().getParameterNode())


class SynthReviewWidget(BoundPanel):
    """Passes the parameter node to the three sections, and informs them of scene changes and module changes."""

    def __init__(self, parent=None) -> None:
        BoundPanel.__init__(self, parent)
        self._compare = self._reading = self._quality = None

    def setup(self) -> None:
        BoundPanel.setup(self)
        self._compare = ComparePanel(self.ui)
        self._reading = ReadingPanel(self.ui, self.onReadingChanged)
        self._quality = QualityPanel(self.ui)
        scene = slicer.vtkMRMLScene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
            self.addObserver(slicer.mrmlScene, event, self.onNodesChanged)
        self.initializeParameterNode()

    def makeLogic(self):
        return SynthReviewLogic()

    def stopWork(self) -> None:
        self._reading.stop()
        self._quality.stop()

    def exit(self) -> None:
        self._reading.pause()
        BoundPanel.exit(self)

    def onSceneStartClose(self, caller, event) -> None:
        self._reading.pause()
        BoundPanel.onSceneStartClose(self, caller, event)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodesChanged(self, caller, event, node) -> None:
        if node.IsA("vtkMRMLTransformableNode") and not slicer.mrmlScene.IsClosing():
            self._compare.refresh()

    def onReadingChanged(self, isReading) -> None:
        """Disable the other sections during a blinded reading."""
        self.ui.compareCollapsibleButton.setVisible(not isReading)
        self.ui.qualityCollapsibleButton.setVisible(not isReading)
        if isReading:
            self.setParameterNode(None)
        elif self.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        if not self._reading.isReading:
            BoundPanel.initializeParameterNode(self)

    def setParameterNode(self, parameterNode) -> None:
        BoundPanel.setParameterNode(self, parameterNode)
        self._compare.show(parameterNode if self.isEntered else None)

    def onParameterChanged(self, caller=None, event=None) -> None:
        self._compare.refresh()


class SynthReviewTest(ScriptedLoadableModuleTest):
    """In Slicer: Reload and Test in the panel."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_each_mode_shows_two_images()

    def test_each_mode_shows_two_images(self) -> None:
        nodes = run_steps(add_sample(make_phantom(voxel_mm=4.0)))
        for mode in Mode:
            show(nodes.fixed, nodes.moving, mode=mode)
            self.delayDisplay(_("Showing: {mode}").format(mode=mode.label()))
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            self.assertEqual(composite.GetBackgroundVolumeID(), nodes.fixed.GetID())
            self.assertEqual(composite.GetForegroundVolumeID(), nodes.moving.GetID())
