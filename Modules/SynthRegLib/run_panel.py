"""Base class of the panels that compute: inputs, settings, Apply and Cancel, progress, log, result.

The .ui file has the widgets applyButton, sampleButton, progressBar, statusLabel, logText, modelLabel, and those of
ResultView.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Callable

import slicer
import vtk
from slicer.i18n import tr as _

from SlicerSynthReg.errors import RequestError
from SynthRegLib import install
from SynthRegLib.background_task import Background
from SynthRegLib.bound_panel import BoundPanel
from SynthRegLib.job import Job, Listener
from SynthRegLib.result_view import ResultView

Start = Callable[[Listener], Job]
Present = Callable[[Any], str]


class RunPanel(BoundPanel):
    """Runs one job at a time and shows its progress. sections: widgets that are disabled during a run. actions: further
    buttons that start a run, enabled with Apply."""

    sections: Sequence[str] = ()
    actions: Sequence[str] = ()

    def makeLogic(self) -> Any:
        """Return the module's logic, which has getParameterNode() and close()."""
        raise NotImplementedError

    def inputNodes(self) -> dict[str, slicer.vtkMRMLNode]:
        """Return the nodes chosen in the panel by role."""
        raise NotImplementedError

    def validationError(self) -> str:
        """Return what is missing or invalid, "" if Apply can start."""
        raise NotImplementedError

    def startJob(self, listener: Listener) -> Job:
        """Start the job of Apply. Raises RequestError."""
        raise NotImplementedError

    def showResult(self, result: Any) -> str:
        """Show the value of the job; return the text of the status line."""
        raise NotImplementedError

    def makeSample(self) -> tuple[Callable[[], Any], Callable[[Any], Generator[None, None, Any]]]:
        """Return compute and place of a Background that creates the sample data."""
        raise NotImplementedError

    def showSample(self, nodes: Any) -> None:
        """Select and show the sample nodes."""
        raise NotImplementedError

    def update(self, running: bool) -> None:
        """Update further widgets; the parameter node is set."""

    def __init__(self, parent=None) -> None:
        BoundPanel.__init__(self, parent)
        self._job = None
        self._jobNodes: list[slicer.vtkMRMLNode] = []
        self._sample = self._result = None
        self._showFinished: Present = self.showResult
        self._status = ""
        self._stopReason = ""

    def setup(self) -> None:
        BoundPanel.setup(self)
        removed = slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent
        self.addObserver(slicer.mrmlScene, removed, self.onNodeAboutToBeRemoved)
        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.ui.sampleButton.connect("clicked(bool)", self.onSampleButton)
        self._result = ResultView(self.ui)
        self.ui.progressBar.hide()
        self.initializeParameterNode()

    def onSceneStartClose(self, caller, event) -> None:
        self.stopWork()
        self._result.forget()
        BoundPanel.onSceneStartClose(self, caller, event)

    def onSceneReplaced(self, caller, event) -> None:
        self._status = ""
        BoundPanel.onSceneReplaced(self, caller, event)
        self._refresh()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller, event, node) -> None:
        if self._job is not None and any(node is one for one in self._jobNodes):
            self._stopReason = _("Stopped because {name} was deleted. Nothing was added to the scene.").format(
                name=node.GetName()
            )
            self._job.cancel()
        if self._result.forget_node(node):
            self._refresh()

    def setParameterNode(self, parameterNode) -> None:
        BoundPanel.setParameterNode(self, parameterNode)
        if parameterNode is not None:
            self._refresh()

    def onParameterChanged(self, caller=None, event=None) -> None:
        self._status = ""
        self._refresh()

    def onApplyButton(self, checked=False) -> None:
        if self._job is None:
            self.run(self.startJob, self.showResult)
        else:
            self._showStatus(_("Stopping ..."))
            self._job.cancel()

    def run(self, start: Start, present: Present) -> None:
        """Start a job. start, present: as startJob and showResult."""
        self._status = self._stopReason = ""
        try:
            install.ensure()
            self._log(install.graphics_note())
            self._jobNodes, self._showFinished = list(self.inputNodes().values()), present
            self._job = start(Listener(self.onProgress, self.onDone, self.onFailed, self.onCancelled))
        except (RequestError, install.NotInstalled) as error:
            self._showStatus(str(error))
        self._refresh()

    def onProgress(self, share, text) -> None:
        self.ui.progressBar.setValue(round(100 * share))
        if self._status != text:
            self._showStatus(text)

    def onDone(self, result) -> None:
        self._job = None
        self._showStatus(self._showFinished(result))
        self._refresh()

    def onFailed(self, message) -> None:
        self._job = None
        self._showStatus(message)
        self._refresh()

    def onCancelled(self) -> None:
        self._job = None
        self._showStatus(self._stopReason or _("Cancelled. Nothing was added to the scene."))
        self._refresh()

    def onSampleButton(self, checked=False) -> None:
        self._showStatus(_("Creating the sample images ..."))
        compute, place = self.makeSample()
        self._sample = Background(compute, place, self.onSample, self.onSampleFailed)
        self._refresh()

    def onSampleFailed(self, message) -> None:
        self._sample = None
        self.onFailed(message)

    def onSample(self, nodes) -> None:
        self._sample = None
        self._status = ""
        if self._parameterNode is not None:
            self.showSample(nodes)
        self._refresh()

    def stopWork(self) -> None:
        for running in (self._job, self._sample):
            if running is not None:
                running.abandon()
        self._job = self._sample = None
        self.logic.close()

    def _showStatus(self, text) -> None:
        self._status = text
        self.ui.statusLabel.text = text
        self._log(text)

    def _log(self, text) -> None:
        if text:
            self.ui.logText.appendPlainText(text)

    def _refresh(self) -> None:
        """Update the state of all widgets."""
        running = self._job is not None
        if self._parameterNode is None:
            wrong = _("Select this module to continue.")
        else:
            wrong = "" if running else self.validationError()
        self.ui.applyButton.text = _("Cancel") if running else _("Apply")
        self.ui.applyButton.enabled = running or not wrong
        self.ui.applyButton.toolTip = wrong or (_("Stop") if running else _("Start"))
        self.ui.progressBar.setVisible(running)
        for name in self.sections:
            getattr(self.ui, name).enabled = not running
        for name in self.actions:
            getattr(self.ui, name).enabled = not running and not wrong
        self.ui.sampleButton.enabled = not running and self._sample is None
        if not running:
            self.ui.statusLabel.text = self._status or wrong or _("Ready: press Apply.")
        if self._parameterNode is not None:
            self.update(running)
