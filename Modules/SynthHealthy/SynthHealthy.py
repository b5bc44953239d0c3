"""Healthy reconstruction: the panel, and reconstructHealthy() for scripts. The worker process computes."""

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
from SynthHealthyLib.foreground_view import ForegroundView
from SynthHealthyLib.healthy_job import (
    card,
    healthy_job,
    healthy_validation_error,
    pseudo_healthy_job,
    reference_validation_error,
)
from SynthHealthyLib.parameters import HEALTHY, SynthHealthyParameterNode
from SynthHealthyLib.result_nodes import HealthyNodes
from SynthHealthyLib.sample import add_lesion_phantom, make_lesion_phantom, register_sample
from SynthHealthyLib.texts import acknowledgement, help_text
from SynthRegLib import display, install
from SynthRegLib.job import Job, Listener
from SynthRegLib.node_job import run_steps, run_sync
from SynthRegLib.registration_results import RegisteredNodes
from SynthRegLib.report_text import summary
from SynthRegLib.result_view import DisplayedResult
from SynthRegLib.run_panel import RunPanel
from SynthRegLib.texts import documentation_link, network_note
from SynthRegLib.worker_process import WorkerProcess

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.parameters.derived_images import HealthyParameters
from SlicerSynthReg.progress import Progress, no_progress


class SynthHealthy(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "SynthHealthy"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.contributors = ["SlicerSynthReg contributors"]
        self.parent.helpText = help_text() + documentation_link("tutorials/synthhealthy.html")
        self.parent.acknowledgementText = acknowledgement()
        icon = self.resourcePath("Icons/SynthHealthy.png")
        slicer.app.connect("startupCompleted()", lambda: register_sample(icon))


class SynthHealthyLogic(ScriptedLoadableModuleLogic):
    """worker: the worker process, kept until close()."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.worker = WorkerProcess()

    def getParameterNode(self):
        return SynthHealthyParameterNode(super().getParameterNode())

    def reconstructHealthy(
        self,
        image: slicer.vtkMRMLScalarVolumeNode,
        parameters: Optional[HealthyParameters] = None,
        progress: Progress = no_progress,
    ) -> HealthyNodes:
        """Reconstruct the healthy T1 of a scan synchronously; the result nodes are in the scene.

        progress: called with fraction and text. Raises RequestError; the scene is then unchanged.
        """
        work = healthy_job(image, parameters or HealthyParameters())
        return run_sync(work, self.worker.client().run, progress)

    def registerViaPseudoHealthy(
        self,
        image: slicer.vtkMRMLScalarVolumeNode,
        reference: slicer.vtkMRMLScalarVolumeNode,
        parameters: Optional[HealthyParameters] = None,
        progress: Progress = no_progress,
    ) -> RegisteredNodes:
        """Register a scan with lesions to a reference via its healthy reconstruction; the transform is applied to the
        scan.

        Returns what SynthRegister's register() returns. Raises RequestError.
        """
        work = pseudo_healthy_job(image, reference, parameters or HealthyParameters())
        return run_sync(work, self.worker.client().run, progress)

    def startReconstruction(self, image, parameters: HealthyParameters, listener: Listener) -> Job:
        """Start a reconstruction. Raises RequestError for an invalid scan."""
        return self._started(healthy_job(image, parameters), listener)

    def startPseudoHealthyRegistration(
        self, image, reference, parameters: HealthyParameters, listener: Listener
    ) -> Job:
        """Start a registration via the pseudo-healthy image."""
        return self._started(pseudo_healthy_job(image, reference, parameters), listener)

    def _started(self, work, listener: Listener) -> Job:
        job = Job(work, self.worker, listener)
        job.start()
        return job

    def close(self) -> None:
        """End the worker process."""
        self.worker.shutdown()


class SynthHealthyWidget(RunPanel):
    """The panel: a scan and settings; healthy T1, anomaly map and other images; registration via the pseudo-healthy
    image."""

    packs = (HEALTHY,)
    sections = ("imagesCollapsibleButton", "settingsCollapsibleButton", "pseudoHealthyCollapsibleButton")
    actions = ("pseudoHealthyButton",)

    def __init__(self, parent=None) -> None:
        RunPanel.__init__(self, parent)
        self._front = None

    def setup(self) -> None:
        RunPanel.setup(self)
        self._front = ForegroundView(self.ui, self._result)
        self.ui.pseudoHealthyButton.connect("clicked(bool)", self.onPseudoHealthyButton)
        self._refresh()

    def makeLogic(self):
        return SynthHealthyLogic()

    def inputNodes(self):
        chosen = {"image": self._parameterNode.image, "reference": self._parameterNode.reference}
        return {role: node for role, node in chosen.items() if node is not None}

    def validationError(self):
        return healthy_validation_error(self._parameterNode.image)

    def startJob(self, listener):
        return self.logic.startReconstruction(self._parameterNode.image, HEALTHY.read(self._parameterNode), listener)

    def showResult(self, made):
        self._front.show(made, made.report["run"]["parameters"].get("threshold", 0.5))
        return _("Done: {name} is in the scene.").format(name=made.healthy.GetName())

    def onPseudoHealthyButton(self, checked=False) -> None:
        chosen = self._parameterNode
        self.run(
            lambda listener: self.logic.startPseudoHealthyRegistration(
                chosen.image, chosen.reference, HEALTHY.read(chosen), listener
            ),
            self.showRegistered,
        )

    def showRegistered(self, found) -> str:
        self._front.forget()
        fixed = found.moved.GetNodeReference("SynthReg.fixed")
        text = summary(found.report, found.warnings)
        self._result.show(DisplayedResult(fixed, found.moved, text, found.page, found.forward))
        return _("Done: {name} is in the scene.").format(name=found.moved.GetName())

    def onSceneStartClose(self, caller, event) -> None:
        self._front.forget()
        RunPanel.onSceneStartClose(self, caller, event)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller, event, node) -> None:
        RunPanel.onNodeAboutToBeRemoved(self, caller, event, node)
        self._front.forget_node(node)

    def makeSample(self):
        return make_lesion_phantom, add_lesion_phantom

    def showSample(self, nodes):
        self._parameterNode.image, self._parameterNode.reference = nodes.scan, nodes.reference
        display.show_pair(nodes.scan, nodes.scan, self.ui.opacitySlider.value)

    def update(self, running):
        chosen, network = self._parameterNode, card()
        self.ui.modelLabel.text = "" if network is None else network_note(network)
        wrong = "" if running else reference_validation_error(chosen.image, chosen.reference)
        self.ui.pseudoHealthyButton.enabled = not running and not wrong
        self.ui.pseudoHealthyButton.toolTip = wrong or _(
            "Registers the healthy reconstruction to the reference and applies the transform to the scan"
        )
        if self._front is not None and not running:
            self._front.mark(chosen.threshold)


class SynthHealthyTest(ScriptedLoadableModuleTest):
    """In Slicer: Reload and Test in the panel, or without a window

    Slicer --testing --no-main-window --python-code "import SynthHealthy as m; m.SynthHealthyTest().runTest(); exit()"
    """

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        for test in (self.test_what_is_missing_is_named, self.test_the_sample_is_reconstructed):
            self.setUp()
            test()

    def test_what_is_missing_is_named(self) -> None:
        self.assertIn("Choose the" if card() else "Found no network", healthy_validation_error(None))
        with self.assertRaises(RequestError):
            SynthHealthyLogic().reconstructHealthy(None)

    def test_the_sample_is_reconstructed(self) -> None:
        if install.torch_is_missing() or install.missing_packages():
            self.delayDisplay("Skipped: PyTorch and its companions are not installed; open the module and press Apply")
            return
        if card() is None:
            self.delayDisplay("Skipped: the network una-brains is not installed")
            return
        logic = SynthHealthyLogic()
        nodes = run_steps(add_lesion_phantom(make_lesion_phantom(voxel_mm=4.0)))
        try:
            made = logic.reconstructHealthy(nodes.scan, HealthyParameters(grid="input", mirror="none"))
        finally:
            logic.close()
        brain = slicer.util.arrayFromVolume(made.healthy) > 0
        self.assertGreater(brain.mean(), 0.1)
        self.assertTrue(slicer.util.arrayFromVolume(made.anomaly).min() >= 0)
        self.assertEqual(made.segmentation.GetSegmentation().GetNumberOfSegments(), 1)
        self.assertEqual(made.healthy.GetAttribute("SynthReg.image"), nodes.scan.GetName())
        self.delayDisplay("Test passed")
