"""The healthy brain behind a scan: the panel, and heal() for scripts. The computing is done by a worker process."""

from typing import Optional

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)
from SynthHealthyLib.frontview import FrontView
from SynthHealthyLib.healing import card, fault, fault_of_reference, healing_work, through_health_work
from SynthHealthyLib.made import Made
from SynthHealthyLib.parameters import SynthHealthyParameterNode, settings_of
from SynthHealthyLib.sample import add_sick_head, make_sick_head, register_sample
from SynthHealthyLib.settings import HealthySettings
from SynthHealthyLib.texts import acknowledgement, help_text
from SynthRegLib import display, install
from SynthRegLib.job import Job, Listener
from SynthRegLib.networks import network_note
from SynthRegLib.registered import Registered
from SynthRegLib.resultview import Shown
from SynthRegLib.runpanel import RunPanel
from SynthRegLib.summary import summary
from SynthRegLib.warm import WarmWorker
from SynthRegLib.work import at_once, finished

from SlicerSynthReg.request import Progress, RequestError, silent


class SynthHealthy(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "SynthHealthy"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.contributors = ["SlicerSynthReg contributors"]
        self.parent.helpText = help_text() + self.getDefaultModuleDocumentationLink()
        self.parent.acknowledgementText = acknowledgement()
        icon = self.resourcePath("Icons/SynthHealthy.png")
        slicer.app.connect("startupCompleted()", lambda: register_sample(icon))


class SynthHealthyLogic(ScriptedLoadableModuleLogic):
    """worker: kept warm between runs, until close()."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.worker = WarmWorker()

    def getParameterNode(self):
        return SynthHealthyParameterNode(super().getParameterNode())

    def heal(
        self,
        image: slicer.vtkMRMLScalarVolumeNode,
        settings: Optional[HealthySettings] = None,
        progress: Progress = silent,
    ) -> Made:
        """Show the anatomy in health behind a scan and wait for it; the nodes of the result are in the scene.

        progress: called with the share done and what is being done. Raises RequestError (found, expected, remedy), and
        adds nothing.
        """
        work = healing_work(image, settings or HealthySettings())
        return at_once(work, self.worker.client().run, progress)

    def registerThroughHealth(
        self,
        image: slicer.vtkMRMLScalarVolumeNode,
        reference: slicer.vtkMRMLScalarVolumeNode,
        settings: Optional[HealthySettings] = None,
        progress: Progress = silent,
    ) -> Registered:
        """Bring a diseased brain onto a reference: in the alignment its healthy reconstruction takes the place of
        what is abnormal, and the transform is applied to the scan itself. As heal otherwise; returns what
        SynthRegister's register() returns."""
        work = through_health_work(image, reference, settings or HealthySettings())
        return at_once(work, self.worker.client().run, progress)

    def startHealing(self, image, settings: HealthySettings, listener: Listener) -> Job:
        """heal() without waiting. Raises RequestError when the scan cannot be used as it is."""
        return self._started(healing_work(image, settings), listener)

    def startThroughHealth(self, image, reference, settings: HealthySettings, listener: Listener) -> Job:
        """registerThroughHealth() without waiting."""
        return self._started(through_health_work(image, reference, settings), listener)

    def _started(self, work, listener: Listener) -> Job:
        job = Job(work, self.worker, listener)
        job.start()
        return job

    def close(self) -> None:
        """End the worker process."""
        self.worker.give_up()


class SynthHealthyWidget(RunPanel):
    """A scan and settings in; its healthy anatomy and its anomalies shown; or the scan, registered through health."""

    sections = ("imagesCollapsibleButton", "settingsCollapsibleButton", "throughCollapsibleButton")
    actions = ("throughButton",)

    def __init__(self, parent=None) -> None:
        RunPanel.__init__(self, parent)
        self._front = None

    def setup(self) -> None:
        RunPanel.setup(self)
        self._front = FrontView(self.ui, self._result)
        self.ui.throughButton.connect("clicked(bool)", self.onThroughButton)
        self._show()

    def makeLogic(self):
        return SynthHealthyLogic()

    def given(self):
        chosen = {"image": self._parameterNode.image, "reference": self._parameterNode.reference}
        return {role: node for role, node in chosen.items() if node is not None}

    def wrong(self):
        return fault(self._parameterNode.image)

    def begin(self, listener):
        return self.logic.startHealing(self._parameterNode.image, settings_of(self._parameterNode), listener)

    def present(self, made):
        self._front.show(made, made.report.get("config", {}).get("threshold", 0.5))
        return _("Done: {name} is in the scene.").format(name=made.healthy.GetName())

    def onThroughButton(self, checked=False) -> None:
        chosen = self._parameterNode
        self.run(
            lambda listener: self.logic.startThroughHealth(
                chosen.image, chosen.reference, settings_of(chosen), listener
            ),
            self.presentRegistered,
        )

    def presentRegistered(self, found) -> str:
        self._front.forget()
        fixed = found.moved.GetNodeReference("SynthReg.fixed")
        text = summary(found.report, found.warnings)
        self._result.show(Shown(fixed, found.moved, text, found.page, found.forward))
        return _("Done: {name} is in the scene.").format(name=found.moved.GetName())

    def onSceneStartClose(self, caller, event) -> None:
        self._front.forget()
        RunPanel.onSceneStartClose(self, caller, event)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller, event, node) -> None:
        RunPanel.onNodeAboutToBeRemoved(self, caller, event, node)
        self._front.forget_if_of(node)

    def makeSample(self):
        return make_sick_head, add_sick_head

    def presentSample(self, nodes):
        self._parameterNode.image, self._parameterNode.reference = nodes.scan, nodes.reference
        display.show_pair(nodes.scan, nodes.scan, self.ui.fadeSlider.value)

    def update(self, running):
        chosen, network = self._parameterNode, card()
        self.ui.modelLabel.text = "" if network is None else network_note(network)
        wrong = "" if running else fault_of_reference(chosen.image, chosen.reference)
        self.ui.throughButton.enabled = not running and not wrong
        self.ui.throughButton.toolTip = wrong or _("Align the healthy brain with the reference, move the scan itself")
        if self._front is not None and not running:
            self._front.mark(chosen.threshold)


class SynthHealthyTest(ScriptedLoadableModuleTest):
    """In Slicer: Reload and Test in the panel, or without a window

    Slicer --testing --no-main-window --python-code "import SynthHealthy as m; m.SynthHealthyTest().runTest(); exit()"
    """

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        for test in (self.test_what_is_missing_is_named, self.test_the_sample_is_healed):
            self.setUp()
            test()

    def test_what_is_missing_is_named(self) -> None:
        self.assertIn("Choose the" if card() else "Found no network", fault(None))
        with self.assertRaises(RequestError):
            SynthHealthyLogic().heal(None)

    def test_the_sample_is_healed(self) -> None:
        if install.torch_is_missing() or install.missing_packages():
            self.delayDisplay("Skipped: PyTorch and its companions are not installed; open the module and press Apply")
            return
        if card() is None:
            self.delayDisplay("Skipped: the network una-brains is not installed")
            return
        logic = SynthHealthyLogic()
        nodes = finished(add_sick_head(make_sick_head(voxel_mm=4.0)))
        try:
            made = logic.heal(nodes.scan)
        finally:
            logic.close()
        brain = slicer.util.arrayFromVolume(made.healthy) > 0
        self.assertGreater(brain.mean(), 0.1)
        self.assertTrue(slicer.util.arrayFromVolume(made.anomaly).min() >= 0)
        self.assertEqual(made.segmentation.GetSegmentation().GetNumberOfSegments(), 1)
        self.assertEqual(made.healthy.GetAttribute("SynthReg.image"), nodes.scan.GetName())
        self.delayDisplay("Test passed")
