"""Conversion between native and arterial-phase CT: the panel, and convert() for scripts. The worker process
computes."""

from typing import Optional

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)
from SynthContrastLib.conversion_job import ConvertedNodes, conversion_job, preview_job
from SynthContrastLib.dicom_export import Exported, export_job
from SynthContrastLib.input_checks import ContrastNodes, CTChecks, contrast_validation_error
from SynthContrastLib.models import chosen, installed, note
from SynthContrastLib.parameters import CONTRAST, SynthContrastParameterNode, nodes_of
from SynthContrastLib.preview import slice_in_view
from SynthContrastLib.result_display import ResultDisplay
from SynthContrastLib.sample import SampleCT, register_sample, sample_job
from SynthContrastLib.texts import acknowledgement, help_text
from SynthRegLib import display, install
from SynthRegLib.job import Job, JobSteps, Listener
from SynthRegLib.node_checks import image_validation_error
from SynthRegLib.node_job import run_sync
from SynthRegLib.run_panel import RunPanel
from SynthRegLib.texts import documentation_link
from SynthRegLib.worker_process import WorkerProcess

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.parameters.derived_images import ContrastParameters
from SlicerSynthReg.progress import Progress, no_progress


class SynthContrast(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "SynthContrast"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.contributors = ["SlicerSynthReg contributors"]
        self.parent.helpText = help_text() + documentation_link("tutorials/synthcontrast.html")
        self.parent.acknowledgementText = acknowledgement()
        icon = self.resourcePath("Icons/SynthContrast.png")
        slicer.app.connect("startupCompleted()", lambda: register_sample(icon))


class SynthContrastLogic(ScriptedLoadableModuleLogic):
    """worker: the worker process, kept until close()."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.worker = WorkerProcess()

    def getParameterNode(self):
        return SynthContrastParameterNode(super().getParameterNode())

    def convert(
        self,
        volume: slicer.vtkMRMLScalarVolumeNode,
        parameters: Optional[ContrastParameters] = None,
        labels: Optional[slicer.vtkMRMLDisplayableNode] = None,
        progress: Progress = no_progress,
    ) -> ConvertedNodes:
        """Convert a CT synchronously; the result nodes are in the scene.

        labels: segmentation or label map of organs whose HU are measured. progress: called with fraction and text.
        Raises RequestError; the scene is then unchanged.
        """
        work = conversion_job(ContrastNodes(volume, labels), parameters or ContrastParameters())
        return run_sync(work, self.worker.client().run, progress)

    def export(self, image: slicer.vtkMRMLScalarVolumeNode, destination: str, source: str = "") -> Exported:
        """Write a converted CT as a derived DICOM series into a new folder in `destination`. source: folder of the
        source series; "" uses Slicer's DICOM database. Raises RequestError."""
        return run_sync(export_job(image, source, destination), self.worker.client().run)

    def sample(self) -> SampleCT:
        """Simulate a CT in both phases, with organs."""
        return run_sync(sample_job(), self.worker.client().run)

    def start(self, work: JobSteps, listener: Listener) -> Job:
        """Start a job without waiting."""
        job = Job(work, self.worker, listener)
        job.start()
        return job

    def close(self) -> None:
        """End the worker process."""
        self.worker.shutdown()


class SynthContrastWidget(RunPanel):
    """The panel: a CT and settings; the synthetic CT, its measures, DICOM export."""

    packs = (CONTRAST,)
    sections = ("scanCollapsibleButton", "settingsCollapsibleButton", "exportCollapsibleButton")
    actions = ("previewButton",)

    def makeLogic(self):
        return SynthContrastLogic()

    def setup(self):
        self._view = None
        self._ctChecks = CTChecks()
        RunPanel.setup(self)
        self._view = ResultDisplay(self.ui, self._result)
        self.ui.modelBox.connect("activated(int)", self.onModel)
        self.ui.previewButton.connect("clicked(bool)", self.onPreviewButton)
        self.ui.exportButton.connect("clicked(bool)", self.onExportButton)
        for box in (self.ui.sourceDirectory, self.ui.exportDirectory):
            box.connect("currentPathChanged(QString)", lambda path: self._refresh())
        self._refresh()

    def onSceneStartClose(self, caller, event):
        RunPanel.onSceneStartClose(self, caller, event)
        self._view.forget()

    def inputNodes(self):
        return nodes_of(self._parameterNode).given()

    def validationError(self):
        return contrast_validation_error(
            nodes_of(self._parameterNode), CONTRAST.read(self._parameterNode), self._ctChecks
        )

    def startJob(self, listener):
        nodes, settings = nodes_of(self._parameterNode), CONTRAST.read(self._parameterNode)
        return self.logic.start(conversion_job(nodes, settings), listener)

    def showResult(self, made):
        self._view.show(made)
        return _("Done: {name} is in the scene.").format(name=made.image.GetName())

    def onPreviewButton(self, checked=False):
        nodes, settings = nodes_of(self._parameterNode), CONTRAST.read(self._parameterNode)
        k = slice_in_view(nodes.image)
        self.run(
            lambda listener: self.logic.start(preview_job(nodes, settings, k), listener),
            lambda made: self._showPreview(made, k),
        )

    def _showPreview(self, made, k):
        self._view.show_preview(made, k)
        return _("Preview of one slice. Press Apply for the whole volume.")

    def onExportButton(self, checked=False):
        image, source = self._view.made.image, self.ui.sourceDirectory.currentPath
        work = lambda: export_job(image, source, self.ui.exportDirectory.currentPath)  # noqa: E731
        self.run(lambda listener: self.logic.start(work(), listener), self._showExport)

    def _showExport(self, exported):
        return _("Exported {count} slices as a derived DICOM series to the folder {folder}.").format(
            count=exported.slices, folder=exported.folder.parent.name
        )

    def onSampleButton(self, checked=False):
        self.run(lambda listener: self.logic.start(sample_job(), listener), self._showSample)

    def _showSample(self, made):
        if self._parameterNode is not None:
            self._parameterNode.image, self._parameterNode.labels = made.contrast, made.organs
        display.show_pair(made.contrast, made.native, 0.0)
        return _("Sample images are in the scene: a simulated CT in arterial and in native phase.")

    def onModel(self, index):
        self._parameterNode.model = self.ui.modelBox.itemData(index)

    def update(self, running):
        parameters = self._parameterNode
        cards = installed()
        names = [card.name for card in cards]
        if [self.ui.modelBox.itemData(n) for n in range(self.ui.modelBox.count)] != names:
            self.ui.modelBox.clear()
            for card in cards:
                self.ui.modelBox.addItem(card.name, card.name)
        card = chosen(CONTRAST.read(parameters))
        self.ui.modelBox.setCurrentIndex(names.index(card.name) if card is not None else -1)
        self.ui.modelLabel.text = note(card)
        image = parameters.image
        glance = self._ctChecks.of(image) if image is not None and not image_validation_error(image) else None
        notes = glance.notes or (_("The values fit a CT in HU."),) if glance and not glance.fault else ()
        self.ui.checkLabel.text = "\n".join(notes)
        self.ui.checkLabel.setVisible(bool(notes))
        if self._view is not None:
            self._view.update(running)


class SynthContrastTest(ScriptedLoadableModuleTest):
    """In Slicer: Reload and Test in the panel, or without a window

    Slicer --testing --no-main-window --python-code "import SynthContrast as m; m.SynthContrastTest().runTest(); exit()"
    """

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        for test in (self.test_a_missing_scan_is_named, self.test_the_sample_is_converted):
            self.setUp()
            test()

    def test_a_missing_scan_is_named(self) -> None:
        with self.assertRaises(RequestError):
            SynthContrastLogic().convert(None)

    def test_the_sample_is_converted(self) -> None:
        if install.torch_is_missing() or install.missing_packages() or not installed():
            self.delayDisplay("Skipped: PyTorch, its companions or a network for contrast in CT are not installed")
            return
        logic = SynthContrastLogic()
        try:
            sample = logic.sample()
            settings = ContrastParameters(model=installed()[0].name)
            made = logic.convert(sample.contrast, settings, sample.organs)
        finally:
            logic.close()
        self.assertEqual(made.image.GetImageData().GetDimensions(), sample.contrast.GetImageData().GetDimensions())
        self.assertIn("aorta", [row.name for row in made.organs])
        self.assertIn("not for diagnosis", made.image.GetAttribute("SynthReg.Derived"))
        self.delayDisplay("Test passed")
