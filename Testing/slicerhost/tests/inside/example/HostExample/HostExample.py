"""The module that proves the host: it counts a volume's voxels above or below a threshold, and can take its time.

Written as Slicer's own template is, so that it would run in a real Slicer too.
"""

from enum import Enum
from typing import Annotated, Optional

import qt
import slicer
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

STEPS = 20


class Side(Enum):
    ABOVE = "above"
    BELOW = "below"

    def label(self):
        return self.value.capitalize()


class HostExample(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Host example")
        self.parent.categories = ["Examples"]
        slicer.app.connect("startupCompleted()", register_sample)


def register_sample():
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="HostExample",
        sampleName="HostExample1",
        uris=[],
        fileNames=[],
        customDownloader=lambda source: [make_sample()],
    )


def make_sample():
    import numpy as np

    return slicer.util.addVolumeFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5), name="ramp")


@parameterNodeWrapper
class HostExampleParameterNode:
    volume: Optional[slicer.vtkMRMLScalarVolumeNode] = None
    threshold: Annotated[float, WithinRange(0, 100)] = 40.0
    side: Side = Side.ABOVE
    slow: bool = False


class HostExampleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameter_node = None
        self._gui_tag = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/HostExample.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = HostExampleLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self._timer = qt.QTimer()
        self._timer.interval = 10
        self._timer.connect("timeout()", self.onStep)
        self._step = 0
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self._bind()

    def cleanup(self):
        self._timer.stop()
        self._unbind()
        self.removeObservers()

    def enter(self):
        self._bind()

    def exit(self):
        self._unbind()

    def onSceneStartClose(self, caller, event):
        self._timer.stop()
        self._unbind()

    def onSceneEndClose(self, caller, event):
        if self.parent.isVisible():
            self._bind()

    def _bind(self):
        if self._parameter_node is None:
            self._parameter_node = self.logic.getParameterNode()
            self._gui_tag = self._parameter_node.connectGui(self.ui)
            self.addObserver(self._parameter_node, "ModifiedEvent", self.onParameters)
            self.onParameters()

    def _unbind(self):
        if self._parameter_node is not None:
            self._parameter_node.disconnectGui(self._gui_tag)
            self.removeObserver(self._parameter_node, "ModifiedEvent", self.onParameters)
            self._parameter_node = None

    def onParameters(self, caller=None, event=None):
        ready = self._parameter_node.volume is not None
        self.ui.applyButton.enabled = ready
        self.ui.applyButton.toolTip = _("Count the voxels") if ready else _("Select a volume")
        self.ui.statusLabel.text = "" if ready else _("No volume is selected.")

    def onApply(self, checked=False):
        self._step = 0
        if self._parameter_node.slow:
            self.ui.statusLabel.text = _("Working...")
            self._timer.start()
        else:
            self.finish()

    def onStep(self):
        self._step += 1
        if self._step == STEPS:
            self._timer.stop()
            self.finish()

    def finish(self):
        count = self.logic.count(self._parameter_node)
        self.ui.statusLabel.text = _("{count} voxels").format(count=count)


class HostExampleLogic(ScriptedLoadableModuleLogic):
    def getParameterNode(self):
        return HostExampleParameterNode(super().getParameterNode())

    def count(self, parameters):
        voxels = slicer.util.arrayFromVolume(parameters.volume)
        above = voxels > parameters.threshold
        return int((above if parameters.side is Side.ABOVE else ~above).sum())


class HostExampleTest(ScriptedLoadableModuleTest):
    def runTest(self):
        self.assertEqual(make_sample().GetName(), "ramp")
