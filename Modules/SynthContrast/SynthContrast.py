"""Native and contrast CT, converted both ways: the panel, and convert() for scripts. A worker process computes."""

from typing import Optional

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)
from SynthContrastLib.contrastview import ContrastView
from SynthContrastLib.conversion import Converted, conversion_work, preview_work
from SynthContrastLib.exporting import Exported, export_work
from SynthContrastLib.models import chosen, installed, note
from SynthContrastLib.parameters import SynthContrastParameterNode, nodes_of, settings_of
from SynthContrastLib.preview import slice_in_view
from SynthContrastLib.sample import SampleCT, register_sample, sample_work
from SynthContrastLib.scan import ContrastNodes, Glances, fault
from SynthContrastLib.settings import ContrastSettings
from SynthContrastLib.texts import acknowledgement, help_text
from SynthRegLib import display, install
from SynthRegLib.checks import fault_of_image
from SynthRegLib.job import Job, Listener, Work
from SynthRegLib.runpanel import RunPanel
from SynthRegLib.warm import WarmWorker
from SynthRegLib.work import at_once

from SlicerSynthReg.request import Progress, RequestError, silent


class SynthContrast(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "SynthContrast"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.contributors = ["SlicerSynthReg contributors"]
        self.parent.helpText = help_text() + self.getDefaultModuleDocumentationLink()
        self.parent.acknowledgementText = acknowledgement()
        icon = self.resourcePath("Icons/SynthContrast.png")
        slicer.app.connect("startupCompleted()", lambda: register_sample(icon))


class SynthContrastLogic(ScriptedLoadableModuleLogic):
    """worker: kept warm between runs, until close()."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.worker = WarmWorker()

    def getParameterNode(self):
        return SynthContrastParameterNode(super().getParameterNode())

    def convert(
        self,
        volume: slicer.vtkMRMLScalarVolumeNode,
        settings: Optional[ContrastSettings] = None,
        labels: Optional[slicer.vtkMRMLDisplayableNode] = None,
        progress: Progress = silent,
    ) -> Converted:
        """Convert a CT and wait for it; the nodes of the result are in the scene.

        labels: segmentation or label map of organs, whose HU are told. progress: called with the share done and what is
        being done. Raises RequestError (found, expected, remedy), and adds nothing.
        """
        work = conversion_work(ContrastNodes(volume, labels), settings or ContrastSettings())
        return at_once(work, self.worker.client().run, progress)

    def export(self, image: slicer.vtkMRMLScalarVolumeNode, destination: str, source: str = "") -> Exported:
        """Write what convert() made as a derived DICOM series into a new folder in `destination`. source: folder of the
        scan's own series; "" for the files that Slicer's DICOM database knows. Raises RequestError."""
        return at_once(export_work(image, source, destination), self.worker.client().run)

    def sample(self) -> SampleCT:
        """A computed CT with and without contrast, and its organs."""
        return at_once(sample_work(), self.worker.client().run)

    def start(self, work: Work, listener: Listener) -> Job:
        """Any of these without waiting."""
        job = Job(work, self.worker, listener)
        job.start()
        return job

    def close(self) -> None:
        """End the worker process."""
        self.worker.give_up()


class SynthContrastWidget(RunPanel):
    """A CT, its direction and settings in; the synthetic counterpart shown, measured and exported."""

    sections = ("scanCollapsibleButton", "settingsCollapsibleButton", "exportCollapsibleButton")
    actions = ("previewButton",)

    def makeLogic(self):
        return SynthContrastLogic()

    def setup(self):
        self._view = None
        self._glances = Glances()
        RunPanel.setup(self)
        self._view = ContrastView(self.ui, self._result)
        self.ui.modelBox.connect("activated(int)", self.onModel)
        self.ui.previewButton.connect("clicked(bool)", self.onPreviewButton)
        self.ui.exportButton.connect("clicked(bool)", self.onExportButton)
        for box in (self.ui.sourceDirectory, self.ui.exportDirectory):
            box.connect("currentPathChanged(QString)", lambda path: self._show())
        self._show()

    def onSceneStartClose(self, caller, event):
        RunPanel.onSceneStartClose(self, caller, event)
        self._view.forget()

    def given(self):
        return nodes_of(self._parameterNode).given()

    def wrong(self):
        return fault(nodes_of(self._parameterNode), settings_of(self._parameterNode), self._glances)

    def begin(self, listener):
        nodes, settings = nodes_of(self._parameterNode), settings_of(self._parameterNode)
        return self.logic.start(conversion_work(nodes, settings), listener)

    def present(self, made):
        self._view.show(made)
        return _("Done: {name} is in the scene.").format(name=made.image.GetName())

    def onPreviewButton(self, checked=False):
        nodes, settings = nodes_of(self._parameterNode), settings_of(self._parameterNode)
        k = slice_in_view(nodes.image)
        self.run(
            lambda listener: self.logic.start(preview_work(nodes, settings, k), listener),
            lambda made: self._presentPreview(made, k),
        )

    def _presentPreview(self, made, k):
        self._view.show_preview(made, k)
        return _("This is a preview of one slice: press Apply for the whole volume.")

    def onExportButton(self, checked=False):
        image, source = self._view.made.image, self.ui.sourceDirectory.currentPath
        work = lambda: export_work(image, source, self.ui.exportDirectory.currentPath)  # noqa: E731
        self.run(lambda listener: self.logic.start(work(), listener), self._presentExport)

    def _presentExport(self, exported):
        return _("Exported {count} slices as a derived DICOM series to the folder {folder}.").format(
            count=exported.slices, folder=exported.folder.parent.name
        )

    def onSampleButton(self, checked=False):
        self.run(lambda listener: self.logic.start(sample_work(), listener), self._presentSample)

    def _presentSample(self, made):
        if self._parameterNode is not None:
            self._parameterNode.image, self._parameterNode.labels = made.contrast, made.organs
        display.show_pair(made.contrast, made.native, 0.0)
        return _("Sample images are in the scene: a computed patient with contrast, and truly native.")

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
        card = chosen(settings_of(parameters))
        self.ui.modelBox.setCurrentIndex(names.index(card.name) if card is not None else -1)
        self.ui.modelLabel.text = note(card)
        image = parameters.image
        glance = self._glances.of(image) if image is not None and not fault_of_image(image) else None
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
            settings = ContrastSettings(model=installed()[0].name)
            made = logic.convert(sample.contrast, settings, sample.organs)
        finally:
            logic.close()
        self.assertEqual(made.image.GetImageData().GetDimensions(), sample.contrast.GetImageData().GetDimensions())
        self.assertIn("aorta", [row.name for row in made.organs])
        self.assertIn("not for diagnosis", made.image.GetAttribute("SynthReg.Derived"))
        self.delayDisplay("Test passed")
