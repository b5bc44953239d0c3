"""In-context prediction and fine-tuning: the panel. The worker process computes."""

from dataclasses import replace

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleTest,
)
from SynthContextLib import job_stages
from SynthContextLib.examples_section import ExamplesSection
from SynthContextLib.finetuning_job import finetuning_text
from SynthContextLib.finetuning_section import FineTuningSection
from SynthContextLib.input_checks import example_notes, guessed_output_kind
from SynthContextLib.logic import SynthContextLogic
from SynthContextLib.models import AUTO, models
from SynthContextLib.pair_rows import Row
from SynthContextLib.parameters import FINE_TUNE, IN_CONTEXT
from SynthContextLib.prediction import Prediction
from SynthContextLib.prediction_section import PredictionSection
from SynthContextLib.samples import add_sample, make_sample
from SynthContextLib.slice_display import show_row
from SynthContextLib.targets_section import ModelsSection, TargetsSection
from SynthContextLib.texts import acknowledgement, help_text
from SynthRegLib import install
from SynthRegLib.node_job import run_steps
from SynthRegLib.run_panel import RunPanel
from SynthRegLib.texts import documentation_link

from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.parameters.examples import InContextParameters
from SlicerSynthReg.progress import message_values

_TUNE_TAB = 1


class SynthContext(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "SynthContext"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.contributors = ["SlicerSynthReg contributors"]
        self.parent.helpText = help_text() + documentation_link("tutorials/synthcontext.html")
        self.parent.acknowledgementText = acknowledgement()


class SynthContextWidget(RunPanel):
    """The panel: examples, targets and models; predictions, their correction; fine-tuning."""

    packs = (IN_CONTEXT, FINE_TUNE)
    sections = (
        "examplesCollapsibleButton",
        "targetsCollapsibleButton",
        "settingsCollapsibleButton",
        "fineTuneCollapsibleButton",
    )

    def __init__(self, parent=None) -> None:
        RunPanel.__init__(self, parent)
        self._examples = self._targets = self._models = self._answers = self._fineTuningSection = None
        self._fineTuning = False

    def setup(self) -> None:
        RunPanel.setup(self)
        for event in (slicer.vtkMRMLScene.NodeRemovedEvent, slicer.vtkMRMLScene.EndImportEvent):
            self.addObserver(slicer.mrmlScene, event, self.onNodesChanged)
        self.ui.fineTuneButton.connect("clicked(bool)", self.onFineTuneButton)
        self.ui.finishButton.connect("clicked(bool)", self.onFinishButton)
        self.ui.tabs.connect("currentChanged(int)", self.onTab)

    def makeLogic(self):
        """Create the logic and the sections; the parameter node is bound afterwards."""

        def parameters():
            return self._parameterNode

        self._examples = ExamplesSection(self.ui, parameters, self._showStatus, self.onSaveSet, self.onExampleSelected)
        self._targets = TargetsSection(self.ui, parameters, self._showStatus, self.onTargetSelected)
        self._models = ModelsSection(self.ui, parameters, self._showStatus)
        self._fineTuningSection = FineTuningSection(self.ui)
        return SynthContextLogic()

    def cleanup(self) -> None:
        RunPanel.cleanup(self)
        self._examples.stop()
        self._targets.table.stop()

    def setParameterNode(self, parameterNode) -> None:
        if self._answers is None:
            self._answers = PredictionSection(self.ui, self._result, self.onCorrected)
        self._examples.bind(parameterNode)
        self._targets.bind(parameterNode)
        RunPanel.setParameterNode(self, parameterNode)

    def onSceneStartClose(self, caller, event) -> None:
        self._examples.abandon()
        self._answers.forget()
        RunPanel.onSceneStartClose(self, caller, event)

    def onNodesChanged(self, caller, event) -> None:
        if self._parameterNode is not None and not slicer.mrmlScene.IsClosing():
            self._refresh()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller, event, node) -> None:
        RunPanel.onNodeAboutToBeRemoved(self, caller, event, node)
        self._answers.forget_node(node)

    def inputNodes(self):
        rows = [*self._examples.rows(), *self._targets.rows()]
        nodes = [node for row in rows if row.use for node in (row.image, row.answer) if node is not None]
        return {node.GetID(): node for node in nodes}

    def validationError(self):
        return job_stages.prediction_validation_error(self._examples.rows(), self._targets.rows(), self._settings())

    def startJob(self, listener):
        self._examples.take_chosen()
        self._targets.take_chosen()
        rows, targets = self._examples.rows(), self._targets.rows()
        for text in example_notes(rows, targets):
            self._log(text)
        jobs = job_stages.prediction_stages(rows, targets, self._settings(), self.logic.folder, self.onAnswer)
        return self.logic.start(jobs, listener)

    def showResult(self, values):
        answers = [value for value in values if isinstance(value, Prediction)]
        self._answers.show(answers[-1], self._shown_elsewhere())
        if len(answers) == 1:
            return _("Done: {name} is in the scene.").format(name=answers[0].main.GetName())
        return _("Done: {count} targets. Select a row to show its prediction.").format(count=len(answers))

    def onAnswer(self, answer) -> None:
        """Called for each target that is done."""
        self._answers.take(answer)
        self._targets.table.show(self._answers.states())
        for text in answer.warnings:
            self._log(f"{answer.target.GetName()}: {text}")

    def makeSample(self):
        return make_sample, add_sample

    def showSample(self, sample) -> None:
        self._examples.table.append(sample.examples)
        self._targets.table.append([sample.target])
        self.onExampleSelected(sample.examples[0].image)

    def onFineTuneButton(self, checked=False) -> None:
        if self._job is not None:
            self.onApplyButton()
            return
        self._fineTuning = True
        self._fineTuningSection.begin()
        self.run(self.startFineTuning, self.showFineTuned)
        self._fineTuning = self._job is not None
        self._refresh()

    def startFineTuning(self, listener):
        self._examples.take_chosen()
        chosen = self._fineTuneParameters()
        return self.logic.start(
            job_stages.finetuning_stages(self._examples.rows(), chosen, self.logic.folder), listener
        )

    def showFineTuned(self, values):
        tuned = values[-1]
        self.logic.getParameterNode().model = tuned.name
        self.ui.courseLabel.text = finetuning_text(tuned)
        return _("Done: the model {name} is installed and selected on the tab Apply.").format(name=tuned.name)

    def onFinishButton(self, checked=False) -> None:
        self.logic.worker.client().finish()
        self._fineTuningSection.finishing()
        self._refresh()

    def onProgress(self, share, text) -> None:
        if self._fineTuning and self._fineTuningSection.hear(message_values(text)):
            self.ui.progressBar.setValue(round(100 * share))
            self.ui.statusLabel.text = _("Training ...")
            self._fineTuningSection.update(True, True, "")
        else:
            RunPanel.onProgress(self, share, text)

    def onDone(self, result) -> None:
        self._endFineTuning()
        RunPanel.onDone(self, result)

    def onFailed(self, message) -> None:
        self._endFineTuning()
        RunPanel.onFailed(self, message)

    def onCancelled(self) -> None:
        if self._fineTuning and not self._stopReason:
            self._stopReason = _("Cancelled. Start again with the same examples to continue from the last checkpoint.")
        self._endFineTuning()
        RunPanel.onCancelled(self)

    def onSaveSet(self, folder) -> None:
        def present(values):
            return _("Saved: the examples are in {folder}.").format(folder=folder)

        self._examples.take_chosen()
        self.run(
            lambda listener: self.logic.start(job_stages.saving_stages(self._examples.rows(), folder), listener),
            present,
        )

    def onExampleSelected(self, image) -> None:
        row = next((row for row in self._examples.rows() if row.image is image and image is not None), None)
        if row is not None:
            show_row(row, [*self._shown_elsewhere(), *self._answers.segmentations()])

    def onTargetSelected(self, image) -> None:
        answer = self._answers.of(image)
        row = next((row for row in self._targets.rows() if row.image is image and image is not None), None)
        if answer is not None:
            self._answers.show(answer, self._shown_elsewhere())
        elif row is not None:
            show_row(Row(row.image), [*self._shown_elsewhere(), *self._answers.segmentations()])

    def onCorrected(self, row) -> None:
        if any(one.answer is row.answer for one in self._examples.rows()):
            self._showStatus(_("{name} is already an example.").format(name=row.answer.GetName()))
            return
        self._examples.table.append([row])
        self._targets.table.use(row.image, False)
        self._showStatus(_("{name} was added to the examples.").format(name=row.name))

    def onTab(self, index) -> None:
        self._status = ""
        self._refresh()

    def update(self, running) -> None:
        self._examples.update(running, self._answers.notes(self._examples.rows()))
        self._targets.update(running, self._answers.states())
        self.ui.rankingLabel.text = self._answers.ranking()
        self.ui.rankingLabel.setVisible(bool(self.ui.rankingLabel.text))
        self._models.update()
        wrong = job_stages.finetuning_validation_error(self._examples.rows(), self._fineTuneParameters())
        self._fineTuningSection.update(self._fineTuning and running, running, wrong)
        if not running and not self._status and self.ui.tabs.currentIndex == _TUNE_TAB:
            self.ui.statusLabel.text = wrong or _("Ready: press Start fine-tuning.")

    def _settings(self):
        chosen = IN_CONTEXT.read(self._parameterNode)
        if chosen.output_kind != AUTO:
            return chosen
        return replace(chosen, output_kind=guessed_output_kind(self._examples.rows()))

    def _fineTuneParameters(self):
        return replace(FINE_TUNE.read(self._parameterNode), pretrained_model=self._models.start())

    def _shown_elsewhere(self):
        """Return the segmentations of examples and references, which would cover the prediction."""
        rows = [*self._examples.rows(), *self._targets.rows()]
        return [row.answer for row in rows if row.answer is not None]

    def _endFineTuning(self) -> None:
        if self._fineTuning:
            self._fineTuning = False
            self._fineTuningSection.end()


class SynthContextTest(ScriptedLoadableModuleTest):
    """In Slicer: Reload and Test in the panel, or without a window

    Slicer --testing --no-main-window --python-code "import SynthContext as m; m.SynthContextTest().runTest(); exit()"
    """

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        for test in (self.test_missing_examples_are_named, self.test_the_sample_is_done_by_its_examples):
            self.setUp()
            test()

    def test_missing_examples_are_named(self) -> None:
        with self.assertRaises(RequestError):
            SynthContextLogic().apply([], None)

    def test_the_sample_is_done_by_its_examples(self) -> None:
        if install.torch_is_missing() or install.missing_packages() or not models():
            self.delayDisplay("Skipped: PyTorch, its companions or a model are not installed; press Apply in the panel")
            return
        sample = run_steps(add_sample(make_sample(voxel_mm=4.0)))
        logic = SynthContextLogic()
        try:
            examples = [(row.image, row.answer) for row in sample.examples]
            quick = InContextParameters(alignment="centre", support_slices=0, support_size=3, spacing_mm=4.0)
            answer = logic.apply(examples, sample.target.image, sample.target.answer, quick)
        finally:
            logic.close()
        self.assertEqual(answer.labels.GetSegmentation().GetNumberOfSegments(), 4)
        self.assertEqual(len(answer.report["accuracy"]["dice"]), 4)
        self.delayDisplay("Test passed")
