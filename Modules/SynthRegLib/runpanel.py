"""What the panels have in common: images, settings, Apply that becomes Cancel, progress, a log, a result.

The .ui has the object names that RunPanel uses, besides those of its own: applyButton, sampleButton, progressBar,
statusLabel, logText, modelLabel, and those of ResultView.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Callable

import slicer
import vtk
from slicer.i18n import tr as _

from SlicerSynthReg.request import RequestError
from SynthRegLib import install
from SynthRegLib.background import Background
from SynthRegLib.boundpanel import BoundPanel
from SynthRegLib.job import Job, Listener
from SynthRegLib.resultview import ResultView

Start = Callable[[Listener], Job]
Present = Callable[[Any], str]


class RunPanel(BoundPanel):
    """Shows what the job says; the module's widget says the rest.

    sections: object names of what cannot be used during a run. actions: of buttons beside Apply that start a run too,
    disabled as Apply is.
    """

    sections: Sequence[str] = ()
    actions: Sequence[str] = ()

    def makeLogic(self) -> Any:
        """The module's logic: getParameterNode(), close()."""
        raise NotImplementedError

    def given(self) -> dict[str, slicer.vtkMRMLNode]:
        """Role -> node of those chosen in the panel."""
        raise NotImplementedError

    def wrong(self) -> str:
        """What is missing, or wrong with what is chosen; "" when Apply can be pressed."""
        raise NotImplementedError

    def begin(self, listener: Listener) -> Job:
        """Start what Apply stands for. Raises RequestError."""
        raise NotImplementedError

    def present(self, result: Any) -> str:
        """Show what the job of begin() returned; the words for the status line."""
        raise NotImplementedError

    def makeSample(self) -> tuple[Callable[[], Any], Callable[[Any], Generator[None, None, Any]]]:
        """compute and place of a Background that makes the sample data."""
        raise NotImplementedError

    def presentSample(self, nodes: Any) -> None:
        """Choose and show what place returned; the parameter node is there."""
        raise NotImplementedError

    def update(self, running: bool) -> None:
        """Further widgets to be enabled, named or hidden; the parameter node is there."""

    def __init__(self, parent=None) -> None:
        BoundPanel.__init__(self, parent)
        self._job = None
        self._jobNodes: list[slicer.vtkMRMLNode] = []
        self._sample = self._result = None
        self._present: Present = self.present
        self._said = ""
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

    def onSceneEndClose(self, caller, event) -> None:
        self._said = ""
        BoundPanel.onSceneEndClose(self, caller, event)
        self._show()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller, event, node) -> None:
        if self._job is not None and any(node is one for one in self._jobNodes):
            self._stopReason = _("Stopped, as {name} was deleted. Nothing was placed in the scene.").format(
                name=node.GetName()
            )
            self._job.cancel()
        if self._result.forget_if_of(node):
            self._show()

    def setParameterNode(self, parameterNode) -> None:
        BoundPanel.setParameterNode(self, parameterNode)
        if parameterNode is not None:
            self._show()

    def onParameterChanged(self, caller=None, event=None) -> None:
        self._said = ""
        self._show()

    def onApplyButton(self, checked=False) -> None:
        if self._job is None:
            self.run(self.begin, self.present)
        else:
            self._say(_("Stopping ..."))
            self._job.cancel()

    def run(self, start: Start, present: Present) -> None:
        """One job, beside which there is no other. start and present: see begin and present."""
        self._said = self._stopReason = ""
        try:
            install.ensure()
            self._log(install.graphics_note())
            self._jobNodes, self._present = list(self.given().values()), present
            self._job = start(Listener(self.onProgress, self.onDone, self.onFailed, self.onCancelled))
        except (RequestError, install.NotInstalled) as error:
            self._say(str(error))
        self._show()

    def onProgress(self, share, text) -> None:
        self.ui.progressBar.setValue(round(100 * share))
        if self._said != text:
            self._say(text)

    def onDone(self, result) -> None:
        self._job = None
        self._say(self._present(result))
        self._show()

    def onFailed(self, message) -> None:
        self._job = None
        self._say(message)
        self._show()

    def onCancelled(self) -> None:
        self._job = None
        self._say(self._stopReason or _("Cancelled. Scene and disk are as before."))
        self._show()

    def onSampleButton(self, checked=False) -> None:
        self._say(_("Making the sample images ..."))
        compute, place = self.makeSample()
        self._sample = Background(compute, place, self.onSample, self.onSampleFailed)
        self._show()

    def onSampleFailed(self, message) -> None:
        self._sample = None
        self.onFailed(message)

    def onSample(self, nodes) -> None:
        self._sample = None
        self._said = ""
        if self._parameterNode is not None:
            self.presentSample(nodes)
        self._show()

    def stopWork(self) -> None:
        for running in (self._job, self._sample):
            if running is not None:
                running.abandon()
        self._job = self._sample = None
        self.logic.close()

    def _say(self, text) -> None:
        self._said = text
        self.ui.statusLabel.text = text
        self._log(text)

    def _log(self, text) -> None:
        if text:
            self.ui.logText.appendPlainText(text)

    def _show(self) -> None:
        """Everything that can be enabled, named or hidden, from what is the case now."""
        running = self._job is not None
        wrong = self.wrong() if self._parameterNode is not None and not running else ""
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
            self.ui.statusLabel.text = self._said or wrong or _("Ready: press Apply.")
        if self._parameterNode is not None:
            self.update(running)
