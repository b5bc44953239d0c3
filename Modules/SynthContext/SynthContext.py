"""Tasks given by examples: the panel, and apply() and fine_tune() for scripts. A worker process does the computing."""

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleTest,
)
from SynthContextLib import runs
from SynthContextLib.answers import Answer
from SynthContextLib.answerspart import AnswersPart
from SynthContextLib.examplespart import ExamplesPart
from SynthContextLib.faults import guessed, told_of_examples
from SynthContextLib.logic import SynthContextLogic
from SynthContextLib.parameters import settings_of, tuning_of
from SynthContextLib.rows import Row
from SynthContextLib.samples import add_sample, make_sample
from SynthContextLib.settings import Alignment, Kind, Settings, models
from SynthContextLib.targetspart import ModelsPart, TargetsPart
from SynthContextLib.texts import acknowledgement, help_text
from SynthContextLib.tunepart import TunePart
from SynthContextLib.tuning import told_of
from SynthContextLib.views import show_row
from SynthRegLib import install
from SynthRegLib.runpanel import RunPanel
from SynthRegLib.work import finished

from SlicerSynthReg.request import RequestError, figures_of

_TUNE_TAB = 1


class SynthContext(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "SynthContext"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.contributors = ["SlicerSynthReg contributors"]
        self.parent.helpText = help_text() + self.getDefaultModuleDocumentationLink()
        self.parent.acknowledgementText = acknowledgement()


class SynthContextWidget(RunPanel):
    """Examples, targets and models in; answers shown, corrected and made examples; models of one's own trained."""

    sections = (
        "examplesCollapsibleButton",
        "targetsCollapsibleButton",
        "settingsCollapsibleButton",
        "tuneCollapsibleButton",
    )

    def __init__(self, parent=None) -> None:
        RunPanel.__init__(self, parent)
        self._examples = self._targets = self._models = self._answers = self._tune = None
        self._tuning = False

    def setup(self) -> None:
        RunPanel.setup(self)
        for event in (slicer.vtkMRMLScene.NodeRemovedEvent, slicer.vtkMRMLScene.EndImportEvent):
            self.addObserver(slicer.mrmlScene, event, self.onNodesChanged)
        self.ui.tuneButton.connect("clicked(bool)", self.onTuneButton)
        self.ui.finishButton.connect("clicked(bool)", self.onFinishButton)
        self.ui.tabs.connect("currentChanged(int)", self.onTab)

    def makeLogic(self):
        """The parts of the panel are made here, as the parameter node is bound right after."""

        def parameters():
            return self._parameterNode

        self._examples = ExamplesPart(self.ui, parameters, self._say, self.onSaveSet, self.onExampleSelected)
        self._targets = TargetsPart(self.ui, parameters, self._say, self.onTargetSelected)
        self._models = ModelsPart(self.ui, parameters, self._say)
        self._tune = TunePart(self.ui)
        return SynthContextLogic()

    def cleanup(self) -> None:
        RunPanel.cleanup(self)
        self._examples.stop()
        self._targets.table.stop()

    def setParameterNode(self, parameterNode) -> None:
        if self._answers is None:
            self._answers = AnswersPart(self.ui, self._result, self.onCorrected)
        self._examples.bind(parameterNode)
        self._targets.bind(parameterNode)
        RunPanel.setParameterNode(self, parameterNode)

    def onSceneStartClose(self, caller, event) -> None:
        self._examples.abandon()
        self._answers.forget()
        RunPanel.onSceneStartClose(self, caller, event)

    def onNodesChanged(self, caller, event) -> None:
        if self._parameterNode is not None and not slicer.mrmlScene.IsClosing():
            self._show()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller, event, node) -> None:
        RunPanel.onNodeAboutToBeRemoved(self, caller, event, node)
        self._answers.forget_if_of(node)

    def given(self):
        rows = [*self._examples.rows(), *self._targets.rows()]
        nodes = [node for row in rows if row.use for node in (row.image, row.answer) if node is not None]
        return {node.GetID(): node for node in nodes}

    def wrong(self):
        return runs.fault_of_run(self._examples.rows(), self._targets.rows(), self._settings())

    def begin(self, listener):
        self._examples.take_chosen()
        self._targets.take_chosen()
        rows, targets = self._examples.rows(), self._targets.rows()
        for text in told_of_examples(rows, targets):
            self._log(text)
        stages = runs.applying(rows, targets, self._settings(), self.logic.folder, self.onAnswer)
        return self.logic.start(stages, listener)

    def present(self, values):
        answers = [value for value in values if isinstance(value, Answer)]
        self._answers.show(answers[-1], self._shown_elsewhere())
        if len(answers) == 1:
            return _("Done: {name} is in the scene.").format(name=answers[0].main.GetName())
        return _("Done: {count} targets. Select a row to see its answer.").format(count=len(answers))

    def onAnswer(self, answer) -> None:
        """One of several targets is done."""
        self._answers.take(answer)
        self._targets.table.show(self._answers.states())
        for text in answer.warnings:
            self._log(f"{answer.target.GetName()}: {text}")

    def makeSample(self):
        return make_sample, add_sample

    def presentSample(self, sample) -> None:
        self._examples.table.append(sample.examples)
        self._targets.table.append([sample.target])
        self.onExampleSelected(sample.examples[0].image)

    def onTuneButton(self, checked=False) -> None:
        if self._job is not None:
            self.onApplyButton()
            return
        self._tuning = True
        self._tune.begin()
        self.run(self.beginTuning, self.presentTuning)
        self._tuning = self._job is not None
        self._show()

    def beginTuning(self, listener):
        self._examples.take_chosen()
        chosen = tuning_of(self._parameterNode, self._models.start())
        return self.logic.start(runs.fine_tuning(self._examples.rows(), chosen, self.logic.folder), listener)

    def presentTuning(self, values):
        tuned = values[-1]
        self.logic.getParameterNode().model = tuned.name
        self.ui.courseLabel.text = told_of(tuned)
        return _("Done: the model {name} is in the list of models, and chosen under Apply.").format(name=tuned.name)

    def onFinishButton(self, checked=False) -> None:
        self.logic.worker.client().finish()
        self._tune.finishing()
        self._show()

    def onProgress(self, share, text) -> None:
        if self._tuning and self._tune.hear(figures_of(text)):
            self.ui.progressBar.setValue(round(100 * share))
            self.ui.statusLabel.text = _("Training ...")
            self._tune.update(True, True, "")
        else:
            RunPanel.onProgress(self, share, text)

    def onDone(self, result) -> None:
        self._endTuning()
        RunPanel.onDone(self, result)

    def onFailed(self, message) -> None:
        self._endTuning()
        RunPanel.onFailed(self, message)

    def onCancelled(self) -> None:
        if self._tuning and not self._stopReason:
            self._stopReason = _("Cancelled. Start again with the same examples to go on from the last check.")
        self._endTuning()
        RunPanel.onCancelled(self)

    def onSaveSet(self, folder) -> None:
        def present(values):
            return _("Saved: the examples are in {folder}.").format(folder=folder)

        self._examples.take_chosen()
        self.run(lambda listener: self.logic.start(runs.saving(self._examples.rows(), folder), listener), present)

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
            self._say(_("{name} is among the examples already.").format(name=row.answer.GetName()))
            return
        self._examples.table.append([row])
        self._targets.table.use(row.image, False)
        self._say(_("{name} is an example now; Apply uses it for the next target.").format(name=row.name))

    def onTab(self, index) -> None:
        self._said = ""
        self._show()

    def update(self, running) -> None:
        self._examples.update(running, self._answers.notes(self._examples.rows()))
        self._targets.update(running, self._answers.states())
        self.ui.rankingLabel.text = self._answers.ranking()
        self.ui.rankingLabel.setVisible(bool(self.ui.rankingLabel.text))
        self._models.update()
        wrong = runs.fault_of_tuning(self._examples.rows(), tuning_of(self._parameterNode, self._models.start()))
        self._tune.update(self._tuning and running, running, wrong)
        if not running and not self._said and self.ui.tabs.currentIndex == _TUNE_TAB:
            self.ui.statusLabel.text = wrong or _("Ready: press Start fine-tuning.")

    def _settings(self):
        kind = self._parameterNode.kind
        return settings_of(self._parameterNode, guessed(self._examples.rows()) if kind is Kind.GUESS else kind)

    def _shown_elsewhere(self):
        """Segmentations of examples and truths, which would cover what is to be seen."""
        rows = [*self._examples.rows(), *self._targets.rows()]
        return [row.answer for row in rows if row.answer is not None]

    def _endTuning(self) -> None:
        if self._tuning:
            self._tuning = False
            self._tune.end()


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
        sample = finished(add_sample(make_sample(voxel_mm=4.0)))
        logic = SynthContextLogic()
        try:
            examples = [(row.image, row.answer) for row in sample.examples]
            quick = Settings(alignment=Alignment.CENTRE, spread=0)
            answer = logic.apply(examples, sample.target.image, sample.target.answer, quick)
        finally:
            logic.close()
        self.assertEqual(answer.labels.GetSegmentation().GetNumberOfSegments(), 4)
        self.assertEqual(len(answer.report["dice"]), 4)
        self.delayDisplay("Test passed")
