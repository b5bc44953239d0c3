"""Registration across contrasts: the panel, and register() for scripts. The computing is done by a worker process."""

from pathlib import Path
from typing import Optional

import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)
from SynthRegisterLib.changes import Found, changes_work
from SynthRegisterLib.changespart import ChangesPart
from SynthRegisterLib.drawing import edit
from SynthRegisterLib.exporting import export_work
from SynthRegisterLib.resultlist import Kept, ResultList
from SynthRegisterLib.series import RegisteredSeries, Series, series_work
from SynthRegisterLib.seriespart import SeriesPart, series_of, shown
from SynthRegLib import display, install
from SynthRegLib.inputs import RegistrationNodes, missing
from SynthRegLib.job import Job, Listener, Work
from SynthRegLib.movealong import MoveAlong
from SynthRegLib.parameters import NODE_NAMES, SynthRegisterParameterNode, nodes_of, settings_of
from SynthRegLib.phantom import make_phantom
from SynthRegLib.registered import Registered
from SynthRegLib.registration import register, work_after, work_for, wrong
from SynthRegLib.runpanel import RunPanel
from SynthRegLib.samples import add_sample, register_sample
from SynthRegLib.settings import Preset, Settings, model_note
from SynthRegLib.texts import acknowledgement, help_text
from SynthRegLib.warm import WarmWorker
from SynthRegLib.work import at_once, finished

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
        return self.launch(work_for(nodes, settings) if after is None else work_after(nodes, settings, after), listener)

    def registerSequence(self, series: Series, settings: Settings, progress: Progress = silent) -> RegisteredSeries:
        """Register all frames of a sequence, and wait for it. Raises RequestError as register."""
        return at_once(series_work(series, settings), self.worker.client().run, progress)

    def export(
        self,
        forward: slicer.vtkMRMLTransformNode,
        folder: str,
        suffix: str = ".h5",
        inverse: Optional[slicer.vtkMRMLTransformNode] = None,
    ) -> Path:
        """Write a result's transform and its inverse for ITK into a new folder in `folder`; see export_work."""
        return at_once(export_work(forward, inverse, folder, suffix), self.worker.client().run)

    def findChanges(self, registered: Registered, controls: str = "", progress: Progress = silent) -> Found:
        """Find where no smooth warp explains the fixed image by the moved one; see changes_work. As register."""
        work = changes_work(Kept(registered.moved).node("fixed"), registered.moved, controls)
        return at_once(work, self.worker.client().run, progress)

    def launch(self, work: Work, listener: Listener) -> Job:
        """Any of these without waiting."""
        job = Job(work, self.worker, listener)
        job.start()
        return job

    def close(self) -> None:
        """End the worker process."""
        self.worker.give_up()


class SynthRegisterWidget(RunPanel):
    """Two images, guides and settings in; the moved image and its transforms shown, and what else is to be moved."""

    sections = (
        "imagesCollapsibleButton",
        "guidesCollapsibleButton",
        "seriesCollapsibleButton",
        "settingsCollapsibleButton",
        "changesCollapsibleButton",
    )

    def __init__(self, parent=None) -> None:
        RunPanel.__init__(self, parent)
        self._along = self._series = self._results = self._changes = None
        self._chosen: Optional[Kept] = None
        self._settled = qt.QTimer()

    def setup(self) -> None:
        RunPanel.setup(self)
        self._settled.setSingleShot(True)
        self._settled.connect("timeout()", self.onNodesSettled)
        for event in (slicer.vtkMRMLScene.NodeAddedEvent, slicer.vtkMRMLScene.NodeRemovedEvent):
            self.addObserver(slicer.mrmlScene, event, self.onNodesChanged)
        self.ui.refineButton.connect("clicked(bool)", lambda checked: self.run(self.beginAgain, self.present))
        self.ui.seriesButton.connect("clicked(bool)", lambda checked: self.run(self.beginSeries, self.presentSeries))
        self.ui.exportButton.connect("clicked(bool)", lambda checked: self.run(self.beginExport, self.presentExport))
        self.ui.changesButton.connect("clicked(bool)", lambda checked: self.run(self.beginChanges, self.presentChanges))
        self.ui.exportDirectory.connect("currentPathChanged(QString)", lambda path: self._show())
        self.ui.drawFixedMaskButton.connect("clicked(bool)", lambda checked: self.drawMask("fixed"))
        self.ui.drawMovingMaskButton.connect("clicked(bool)", lambda checked: self.drawMask("moving"))

    def makeLogic(self):
        """The parts are made here, as the parameter node is bound right after."""
        self._along = MoveAlong(self.ui)
        self._series = SeriesPart(self.ui)
        self._results = ResultList(self.ui, self.choose)
        self._changes = ChangesPart(self.ui, lambda: self._result)
        return SynthRegisterLogic()

    def onSceneStartClose(self, caller, event) -> None:
        self._along.forget()
        self._changes.forget()
        self._chosen = None
        RunPanel.onSceneStartClose(self, caller, event)

    def onNodesChanged(self, caller, event) -> None:
        """Nodes come and go by the dozen: what they change is shown once, when the event loop is served again."""
        self._settled.start(0)

    def onNodesSettled(self) -> None:
        if self._parameterNode is not None:
            self._show()

    def drawMask(self, side) -> None:
        """In the Segment Editor: the mask that is chosen for this side, or a new one."""
        chosen, field = self._parameterNode, f"{side}Mask"
        setattr(chosen, field, edit(getattr(chosen, field), getattr(chosen, side)))

    def chosenForward(self):
        """The transform of the result that is chosen; None where there is none."""
        there = self._chosen is not None and slicer.mrmlScene.IsNodePresent(self._chosen.moved)
        return self._chosen.node("forward") if there else None

    def enableActions(self) -> None:
        """What can be done with the result that is chosen."""
        forward, idle = self.chosenForward(), self._job is None
        self.ui.refineButton.enabled = idle and self.canRefine()
        self._changes.update(not idle)
        self.ui.exportButton.enabled = idle and forward is not None and bool(self.ui.exportDirectory.currentPath)

    def canRefine(self) -> bool:
        """Whether the result that is chosen is of the pair that is chosen now."""
        forward = self.chosenForward()
        if forward is None or self._parameterNode is None or self.wrong():
            return False
        chosen = nodes_of(self._parameterNode)
        return [self._chosen.node(role) for role in ("fixed", "moving")] == [chosen.fixed, chosen.moving]

    def given(self):
        return nodes_of(self._parameterNode).given()

    def wrong(self):
        return wrong(nodes_of(self._parameterNode), settings_of(self._parameterNode))

    def begin(self, listener):
        return self.logic.start(nodes_of(self._parameterNode), settings_of(self._parameterNode), listener)

    def beginAgain(self, listener):
        nodes, settings = nodes_of(self._parameterNode), settings_of(self._parameterNode)
        return self.logic.start(nodes, settings, listener, after=self.chosenForward())

    def beginSeries(self, listener):
        series = series_of(self._parameterNode)
        self._jobNodes = series.given()
        return self.logic.launch(series_work(series, settings_of(self._parameterNode)), listener)

    def presentSeries(self, found):
        self._result.show(shown(found))
        return _("Done: {name} is in the scene.").format(name=found.moved.GetName())

    def beginExport(self, listener):
        forward, inverse = self.chosenForward(), self._chosen.node("inverse")
        self._jobNodes = [forward]
        folder, suffix = self.ui.exportDirectory.currentPath, self.ui.exportFormatBox.currentText
        return self.logic.launch(export_work(forward, inverse, folder, suffix), listener)

    def presentExport(self, folder):
        return _("Exported forward and inverse to the folder {folder}.").format(folder=folder.name)

    def beginChanges(self, listener):
        work, self._jobNodes = self._changes.work(settings_of(self._parameterNode).device)
        return self.logic.launch(work, listener)

    def presentChanges(self, found):
        self._results.refresh(found.moved)
        self.choose(Kept(found.moved))
        return self._changes.present(found)

    def present(self, registered):
        self._results.refresh(registered.moved)
        self.choose(Kept(registered.moved))
        return _("Done: {name} is in the scene.").format(name=registered.moved.GetName())

    def choose(self, kept) -> None:
        """The result that is shown, refined, exported, and whose transform moves others along."""
        self._chosen = kept
        chosen = nodes_of(self.logic.getParameterNode()).given()
        stays = [kept.node("fixed"), *(node for role, node in chosen.items() if role.startswith("fixed"))]
        self._along.offer(kept.node("forward"), kept.node("moving"), stays)
        self._result.show(kept.shown())
        self._changes.choose(kept)
        self.enableActions()

    def makeSample(self):
        return make_phantom, add_sample

    def presentSample(self, nodes):
        for role, node in nodes.given().items():
            setattr(self._parameterNode, NODE_NAMES[role], node)
        display.show_pair(nodes.fixed, nodes.moving, self.ui.fadeSlider.value)

    def update(self, running):
        self.ui.modelLabel.text = model_note(self._parameterNode.preset)
        self._along.refresh(running)
        self._series.update(self._parameterNode, running)
        self._results.refresh()
        self.enableActions()
        for side, button in (("fixed", self.ui.drawFixedMaskButton), ("moving", self.ui.drawMovingMaskButton)):
            button.enabled = getattr(self._parameterNode, side) is not None


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
