"""Registration across contrasts: the panel, and register() for scripts. The computing is done by a worker process."""

from typing import Optional

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin
from SynthRegLib import display, install
from SynthRegLib.background import Background
from SynthRegLib.inputs import RegistrationNodes, fault, missing
from SynthRegLib.job import Job, Listener
from SynthRegLib.parameters import NODE_NAMES, SynthRegisterParameterNode, nodes_of, settings_of
from SynthRegLib.phantom import make_phantom
from SynthRegLib.registered import Registered
from SynthRegLib.registration import register, work_for
from SynthRegLib.resultview import ResultView
from SynthRegLib.samples import add_sample, register_sample
from SynthRegLib.settings import Preset, Settings, model_note
from SynthRegLib.texts import acknowledgement, help_text
from SynthRegLib.warm import WarmWorker
from SynthRegLib.work import finished

from SlicerSynthReg.request import Progress, RequestError, silent


class SynthRegister(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "SynthRegister"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.contributors = ["SlicerSynthReg contributors"]
        self.parent.helpText = help_text() + self.getDefaultModuleDocumentationLink()
        self.parent.acknowledgementText = acknowledgement()
        icon = self.resourcePath("Icons/SynthRegister.png")
        slicer.app.connect("startupCompleted()", lambda: register_sample(icon))


class SynthRegisterLogic(ScriptedLoadableModuleLogic):
    """worker: kept warm between runs, until close()."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.worker = WarmWorker()

    def getParameterNode(self):
        return SynthRegisterParameterNode(super().getParameterNode())

    def register(
        self,
        fixed: slicer.vtkMRMLScalarVolumeNode,
        moving: slicer.vtkMRMLScalarVolumeNode,
        settings: Optional[Settings] = None,
        progress: Progress = silent,
        **more,
    ) -> Registered:
        """Register two volumes and wait for it; the nodes of the result are in the scene.

        more: other fields of RegistrationNodes (fixed_mask, moving_labels, initial_transform ...). progress: called
        with the share done and what is being done. Raises RequestError (found, expected, remedy), and adds nothing.
        """
        nodes = RegistrationNodes(fixed=fixed, moving=moving, **more)
        return register(nodes, settings or Settings(), self.worker.client().run, progress)

    def start(self, nodes: RegistrationNodes, settings: Settings, listener: Listener) -> Job:
        """The same without waiting. Raises RequestError when the nodes cannot be registered as they are."""
        job = Job(work_for(nodes, settings), self.worker, listener)
        job.start()
        return job

    def close(self) -> None:
        """End the worker process."""
        self.worker.give_up()


class SynthRegisterWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Binds the panel to the parameter node and shows what the job says."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._guiTag = None
        self._entered = False
        self._job = None
        self._jobNodes = RegistrationNodes()
        self._sample = self._result = None
        self._said = ""
        self._stopReason = ""

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/SynthRegister.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = SynthRegisterLogic()
        scene = slicer.vtkMRMLScene
        self.addObserver(slicer.mrmlScene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, scene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved)
        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.ui.sampleButton.connect("clicked(bool)", self.onSampleButton)
        self._result = ResultView(self.ui)
        slicer.app.connect("aboutToQuit()", self.onAboutToQuit)
        self.ui.progressBar.hide()
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """The panel goes away: at application exit, or for a reload."""
        slicer.app.disconnect("aboutToQuit()", self.onAboutToQuit)
        self._abandon()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        self._entered = True
        self.initializeParameterNode()

    def exit(self) -> None:
        self._entered = False
        self.setParameterNode(None)

    def onAboutToQuit(self) -> None:
        self._abandon()

    def onSceneStartClose(self, caller, event) -> None:
        self._abandon()
        self._result.forget()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event) -> None:
        self._said = ""
        if self._entered:
            self.initializeParameterNode()
        self._show()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller, event, node) -> None:
        if self._job is not None and any(node is one for one in self._jobNodes.given().values()):
            self._stopReason = _("Stopped, as {name} was deleted. Nothing was placed in the scene.").format(
                name=node.GetName()
            )
            self._job.cancel()
        self._result.forget_if_of(node)

    def initializeParameterNode(self) -> None:
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode) -> None:
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterChanged)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._guiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterChanged)
            self._show()

    def onParameterChanged(self, caller=None, event=None) -> None:
        self._said = ""
        self._show()

    def onApplyButton(self, checked=False) -> None:
        if self._job is not None:
            self._say(_("Stopping ..."))
            self._job.cancel()
            return
        self._said = self._stopReason = ""
        try:
            install.ensure()
            self._log(install.graphics_note())
            nodes = nodes_of(self._parameterNode)
            listener = Listener(self.onProgress, self.onDone, self.onFailed, self.onCancelled)
            self._jobNodes = nodes
            self._job = self.logic.start(nodes, settings_of(self._parameterNode), listener)
        except (RequestError, install.NotInstalled) as error:
            self._say(str(error))
        self._show()

    def onProgress(self, share, text) -> None:
        self.ui.progressBar.setValue(round(100 * share))
        if self._said != text:
            self._say(text)

    def onDone(self, registered) -> None:
        self._job = None
        self._result.show(registered)
        self._say(_("Done: {name} is in the scene.").format(name=registered.moved.GetName()))
        self._show()

    def onFailed(self, message) -> None:
        self._job = None
        self._say(message)
        self._show()

    def onCancelled(self) -> None:
        self._job = None
        self._say(self._stopReason or _("Cancelled. Scene and disk are as before."))
        self._show()

    def onSampleButton(self, checked=False) -> None:
        self._say(_("Making the sample images ..."))
        self.ui.sampleButton.enabled = False
        self._sample = Background(make_phantom, add_sample, self.onSample, self.onSampleFailed)

    def onSampleFailed(self, message) -> None:
        self._sample = None
        self.onFailed(message)

    def onSample(self, nodes) -> None:
        self._sample = None
        if self._parameterNode is not None:
            for role, node in nodes.given().items():
                setattr(self._parameterNode, NODE_NAMES[role], node)
        display.show_pair(nodes.fixed, nodes.moving, self.ui.fadeSlider.value)
        self._show()

    def _abandon(self) -> None:
        """Stop everything without a word: whoever could hear it is going away."""
        for running in (self._job, self._sample):
            if running is not None:
                running.abandon()
        self._job = self._sample = None
        self.logic.close()

    def _say(self, text) -> None:
        self._said = text
        self.ui.statusLabel.text = text
        self._log(text)

    def _log(self, text) -> None:
        if text:
            self.ui.logText.appendPlainText(text)

    def _show(self) -> None:
        """Everything that can be enabled, named or hidden, from what is the case now."""
        running = self._job is not None
        wrong = ""
        if self._parameterNode is not None and not running:
            nodes = nodes_of(self._parameterNode)
            wrong = missing(nodes) or fault(nodes)
            self.ui.modelLabel.text = model_note(self._parameterNode.preset)
        self.ui.applyButton.text = _("Cancel") if running else _("Apply")
        self.ui.applyButton.enabled = running or not wrong
        self.ui.applyButton.toolTip = wrong or (
            _("Stop the registration") if running else _("Register the moving image")
        )
        self.ui.progressBar.setVisible(running)
        for section in (
            self.ui.imagesCollapsibleButton,
            self.ui.guidesCollapsibleButton,
            self.ui.settingsCollapsibleButton,
        ):
            section.enabled = not running
        self.ui.sampleButton.enabled = not running and self._sample is None
        if not running:
            self.ui.statusLabel.text = self._said or wrong or _("Ready: press Apply.")


class SynthRegisterTest(ScriptedLoadableModuleTest):
    """In Slicer: Reload and Test in the panel, or without a window

    Slicer --testing --no-main-window --python-code "import SynthRegister as m; m.SynthRegisterTest().runTest(); exit()"
    """

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        for test in (self.test_missing_images_are_named, self.test_sample_pair_is_registered):
            self.setUp()
            test()

    def test_missing_images_are_named(self) -> None:
        self.assertIn("fixed image", missing(RegistrationNodes()))
        with self.assertRaises(RequestError):
            SynthRegisterLogic().register(None, None)

    def test_sample_pair_is_registered(self) -> None:
        if install.torch_is_missing() or install.missing_packages():
            self.delayDisplay("Skipped: PyTorch and its companions are not installed; open the module and press Apply")
            return
        logic = SynthRegisterLogic()
        nodes = finished(add_sample(make_phantom(voxel_mm=4.0)))
        try:
            found = logic.register(settings=Settings(preset=Preset.ANY_ANATOMY), **nodes.given())
        finally:
            logic.close()
        self.assertLess(found.report["tre_after"], 0.5 * found.report["tre_before"])
        self.assertEqual(found.moved.GetImageData().GetDimensions(), nodes.fixed.GetImageData().GetDimensions())
        self.assertIsNotNone(found.forward.GetTransformFromParent())
        self.delayDisplay("Test passed")
