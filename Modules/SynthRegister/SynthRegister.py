"""Registration across contrasts: the panel. The worker process computes."""

from typing import Optional

import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleTest,
)
from SynthRegisterLib.logic import SynthRegisterLogic
from SynthRegisterLib.mask_drawing import edit_mask
from SynthRegisterLib.result_table import ResultTable, StoredResult
from SynthRegisterLib.sequence_job import sequence_job
from SynthRegisterLib.sequence_section import SequenceSection, displayed_sequence, sequence_input
from SynthRegisterLib.topology_section import TopologySection
from SynthRegisterLib.transform_export import export_job
from SynthRegLib import display, install
from SynthRegLib.apply_to_nodes import ApplyToNodes
from SynthRegLib.node_job import run_steps
from SynthRegLib.parameters import REGISTER, nodes_of, settings_of
from SynthRegLib.phantom import make_phantom
from SynthRegLib.registration_inputs import RegistrationNodes, missing_inputs
from SynthRegLib.registration_job import registration_validation_error
from SynthRegLib.run_panel import RunPanel
from SynthRegLib.sample_nodes import add_sample, register_sample
from SynthRegLib.settings import Preset, Settings, model_note
from SynthRegLib.texts import acknowledgement, documentation_link, help_text

from SlicerSynthReg.errors import RequestError


class SynthRegister(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "SynthRegister"
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Registration")]
        self.parent.contributors = ["SlicerSynthReg contributors"]
        self.parent.helpText = help_text() + documentation_link("tutorials/synthregister.html")
        self.parent.acknowledgementText = acknowledgement()
        icon = self.resourcePath("Icons/SynthRegister.png")
        slicer.app.connect("startupCompleted()", lambda: register_sample(icon))


class SynthRegisterWidget(RunPanel):
    """The panel: images, guides and settings; the moved image and its transforms; sequences, topological change,
    results."""

    packs = (REGISTER,)

    sections = (
        "imagesCollapsibleButton",
        "guidesCollapsibleButton",
        "sequenceCollapsibleButton",
        "settingsCollapsibleButton",
        "topologyCollapsibleButton",
    )

    def __init__(self, parent=None) -> None:
        RunPanel.__init__(self, parent)
        self._applyToNodes = self._series = self._results = self._changes = None
        self._chosen: Optional[StoredResult] = None
        self._refreshTimer = qt.QTimer()

    def setup(self) -> None:
        RunPanel.setup(self)
        self._refreshTimer.setSingleShot(True)
        self._refreshTimer.connect("timeout()", self.onRefreshTimer)
        for event in (slicer.vtkMRMLScene.NodeAddedEvent, slicer.vtkMRMLScene.NodeRemovedEvent):
            self.addObserver(slicer.mrmlScene, event, self.onNodesChanged)
        self.ui.refineButton.connect("clicked(bool)", lambda checked: self.run(self.startRefinement, self.showResult))
        self.ui.sequenceButton.connect("clicked(bool)", lambda checked: self.run(self.startSequence, self.showSequence))
        self.ui.exportButton.connect("clicked(bool)", lambda checked: self.run(self.startExport, self.showExport))
        self.ui.topologyButton.connect("clicked(bool)", lambda checked: self.run(self.startTopology, self.showTopology))
        self.ui.exportDirectory.connect("currentPathChanged(QString)", lambda path: self._refresh())
        self.ui.drawFixedMaskButton.connect("clicked(bool)", lambda checked: self.drawMask("fixed"))
        self.ui.drawMovingMaskButton.connect("clicked(bool)", lambda checked: self.drawMask("moving"))

    def makeLogic(self):
        """Create the logic and the sections; the parameter node is bound afterwards."""
        self._applyToNodes = ApplyToNodes(self.ui)
        self._series = SequenceSection(self.ui)
        self._results = ResultTable(self.ui, self.choose)
        self._changes = TopologySection(self.ui, lambda: self._result)
        return SynthRegisterLogic()

    def onSceneStartClose(self, caller, event) -> None:
        self._applyToNodes.forget()
        self._changes.forget()
        self._chosen = None
        RunPanel.onSceneStartClose(self, caller, event)

    def onNodesChanged(self, caller, event) -> None:
        """Refresh once after many node events, when the event loop is idle."""
        self._refreshTimer.start(0)

    def onRefreshTimer(self) -> None:
        if self._parameterNode is not None:
            self._refresh()

    def drawMask(self, side) -> None:
        """Open the Segment Editor with the mask of this side, or with a new one."""
        chosen, field = self._parameterNode, f"{side}_mask"
        setattr(chosen, field, edit_mask(getattr(chosen, field), getattr(chosen, side)))

    def chosenForward(self):
        """Return the transform of the selected result, or None."""
        there = self._chosen is not None and slicer.mrmlScene.IsNodePresent(self._chosen.moved)
        return self._chosen.node("forward") if there else None

    def enableActions(self) -> None:
        """Enable the buttons for the selected result."""
        forward, idle = self.chosenForward(), self._job is None
        self.ui.refineButton.enabled = idle and self.canRefine()
        self._changes.update(not idle)
        self.ui.exportButton.enabled = idle and forward is not None and bool(self.ui.exportDirectory.currentPath)

    def canRefine(self) -> bool:
        """Return whether the selected result belongs to the selected pair."""
        forward = self.chosenForward()
        if forward is None or self._parameterNode is None or self.validationError():
            return False
        chosen = nodes_of(self._parameterNode)
        return [self._chosen.node(role) for role in ("fixed", "moving")] == [chosen.fixed, chosen.moving]

    def inputNodes(self):
        return nodes_of(self._parameterNode).given()

    def validationError(self):
        return registration_validation_error(nodes_of(self._parameterNode), settings_of(self._parameterNode))

    def startJob(self, listener):
        return self.logic.start(nodes_of(self._parameterNode), settings_of(self._parameterNode), listener)

    def startRefinement(self, listener):
        nodes, settings = nodes_of(self._parameterNode), settings_of(self._parameterNode)
        return self.logic.start(nodes, settings, listener, after=self.chosenForward())

    def startSequence(self, listener):
        series = sequence_input(self._parameterNode)
        self._jobNodes = series.given()
        return self.logic.launch(sequence_job(series, settings_of(self._parameterNode)), listener)

    def showSequence(self, found):
        self._result.show(displayed_sequence(found))
        return _("Done: {name} is in the scene.").format(name=found.moved.GetName())

    def startExport(self, listener):
        forward, inverse = self.chosenForward(), self._chosen.node("inverse")
        self._jobNodes = [forward]
        folder, suffix = self.ui.exportDirectory.currentPath, self.ui.exportFormatBox.currentText
        return self.logic.launch(export_job(forward, inverse, folder, suffix), listener)

    def showExport(self, folder):
        return _("Exported forward and inverse to the folder {folder}.").format(folder=folder.name)

    def startTopology(self, listener):
        work, self._jobNodes = self._changes.work(settings_of(self._parameterNode).options.device)
        return self.logic.launch(work, listener)

    def showTopology(self, found):
        self._results.refresh(found.moved)
        self.choose(StoredResult(found.moved))
        return self._changes.present(found)

    def showResult(self, registered):
        self._results.refresh(registered.moved)
        self.choose(StoredResult(registered.moved))
        return _("Done: {name} is in the scene.").format(name=registered.moved.GetName())

    def choose(self, kept) -> None:
        """Show this result and use it for refinement, export and further nodes."""
        self._chosen = kept
        chosen = nodes_of(self.logic.getParameterNode()).given()
        stays = [kept.node("fixed"), *(node for role, node in chosen.items() if role.startswith("fixed"))]
        self._applyToNodes.offer(kept.node("forward"), kept.node("moving"), stays)
        self._result.show(kept.shown())
        self._changes.choose(kept)
        self.enableActions()

    def makeSample(self):
        return make_phantom, add_sample

    def showSample(self, nodes):
        for role, node in nodes.given().items():
            setattr(self._parameterNode, role, node)
        display.show_pair(nodes.fixed, nodes.moving, self.ui.opacitySlider.value)

    def update(self, running):
        self.ui.modelLabel.text = model_note(self._parameterNode.preset)
        self._applyToNodes.refresh(running)
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
        self.assertIn("fixed image", missing_inputs(RegistrationNodes()))
        with self.assertRaises(RequestError):
            SynthRegisterLogic().register(None, None)

    def test_sample_pair_is_registered(self) -> None:
        if install.torch_is_missing() or install.missing_packages():
            self.delayDisplay("Skipped: PyTorch and its companions are not installed; open the module and press Apply")
            return
        logic = SynthRegisterLogic()
        nodes = run_steps(add_sample(make_phantom(voxel_mm=4.0)))
        try:
            found = logic.register(settings=Settings(preset=Preset.ANY_ANATOMY), **nodes.given())
        finally:
            logic.close()
        self.assertLess(found.report["landmarks"]["tre_after"], 0.5 * found.report["landmarks"]["tre_before"])
        self.assertEqual(found.moved.GetImageData().GetDimensions(), nodes.fixed.GetImageData().GetDimensions())
        self.assertIsNotNone(found.forward.GetTransformFromParent())
        self.delayDisplay("Test passed")
