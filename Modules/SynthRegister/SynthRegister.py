"""Registration across contrasts: the panel, and register() for scripts. The computing is done by a worker process."""

from typing import Optional

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)
from SynthRegLib import display, install
from SynthRegLib.inputs import RegistrationNodes, missing
from SynthRegLib.job import Job, Listener
from SynthRegLib.movealong import MoveAlong
from SynthRegLib.parameters import NODE_NAMES, SynthRegisterParameterNode, nodes_of, settings_of
from SynthRegLib.phantom import make_phantom
from SynthRegLib.registered import Registered
from SynthRegLib.registration import register, work_after, work_for, wrong
from SynthRegLib.resultview import Shown
from SynthRegLib.runpanel import RunPanel
from SynthRegLib.samples import add_sample, register_sample
from SynthRegLib.settings import Preset, Settings, model_note
from SynthRegLib.summary import summary
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

    def start(
        self,
        nodes: RegistrationNodes,
        settings: Settings,
        listener: Listener,
        after: Optional[slicer.vtkMRMLTransformNode] = None,
    ) -> Job:
        """The same without waiting. after: transform of an earlier result, from which it goes on. Raises RequestError
        when the nodes cannot be registered as they are."""
        work = work_for(nodes, settings) if after is None else work_after(nodes, settings, after)
        job = Job(work, self.worker, listener)
        job.start()
        return job

    def close(self) -> None:
        """End the worker process."""
        self.worker.give_up()


class SynthRegisterWidget(RunPanel):
    """Two images, guides and settings in; the moved image and its transforms shown, and what else is to be moved."""

    sections = ("imagesCollapsibleButton", "guidesCollapsibleButton", "settingsCollapsibleButton")

    def __init__(self, parent=None) -> None:
        RunPanel.__init__(self, parent)
        self._along = self._last = None

    def setup(self) -> None:
        RunPanel.setup(self)
        for event in (slicer.vtkMRMLScene.NodeAddedEvent, slicer.vtkMRMLScene.NodeRemovedEvent):
            self.addObserver(slicer.mrmlScene, event, self.onNodesChanged)
        self.ui.refineButton.connect("clicked(bool)", self.onRefineButton)

    def makeLogic(self):
        """The list of what moves along is made here, as the parameter node is bound right after."""
        self._along = MoveAlong(self.ui)
        return SynthRegisterLogic()

    def onSceneStartClose(self, caller, event) -> None:
        self._along.forget()
        self._last = None
        RunPanel.onSceneStartClose(self, caller, event)

    def onNodesChanged(self, caller, event) -> None:
        if not slicer.mrmlScene.IsClosing():
            self._along.refresh(self._job is not None)
            self.ui.refineButton.enabled = self.canRefine()

    def onRefineButton(self, checked=False) -> None:
        self.run(self.beginAgain, self.present)

    def canRefine(self) -> bool:
        """Whether the last result is there, and of the pair that is chosen now."""
        there = self._last is not None and slicer.mrmlScene.IsNodePresent(self._last.forward)
        if not there or self._job is not None or self._parameterNode is None or self.wrong():
            return False
        made, chosen = self._last.forward, nodes_of(self._parameterNode)
        roles = made.GetFixedNodeReferenceRole(), made.GetMovingNodeReferenceRole()
        return [made.GetNodeReference(role) for role in roles] == [chosen.fixed, chosen.moving]

    def given(self):
        return nodes_of(self._parameterNode).given()

    def wrong(self):
        return wrong(nodes_of(self._parameterNode), settings_of(self._parameterNode))

    def begin(self, listener):
        return self.logic.start(nodes_of(self._parameterNode), settings_of(self._parameterNode), listener)

    def beginAgain(self, listener):
        nodes, settings = nodes_of(self._parameterNode), settings_of(self._parameterNode)
        return self.logic.start(nodes, settings, listener, after=self._last.forward)

    def present(self, registered):
        found = self._last = registered
        fixed = found.moved.GetNodeReference("SynthReg.fixed")
        text = summary(found.report, found.warnings)
        chosen = nodes_of(self.logic.getParameterNode()).given()
        stays = [fixed, *(node for role, node in chosen.items() if role.startswith("fixed"))]
        self._along.offer(found.forward, found.moved.GetNodeReference("SynthReg.moving"), stays)
        self._result.show(Shown(fixed, found.moved, text, found.page, found.forward, found.moved_labels))
        return _("Done: {name} is in the scene.").format(name=found.moved.GetName())

    def makeSample(self):
        return make_phantom, add_sample

    def presentSample(self, nodes):
        for role, node in nodes.given().items():
            setattr(self._parameterNode, NODE_NAMES[role], node)
        display.show_pair(nodes.fixed, nodes.moving, self.ui.fadeSlider.value)

    def update(self, running):
        self.ui.modelLabel.text = model_note(self._parameterNode.preset)
        self._along.refresh(running)
        self.ui.refineButton.enabled = self.canRefine()


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
