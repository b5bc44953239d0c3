"""What Slicer shows beside the views, hidden while cases are read; and a scene that holds nothing else."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

_PROBE = "DataProbeCollapsibleWidget"


class Blindness:
    def __init__(self) -> None:
        self._hidden: list = []

    def may_clear_scene(self) -> bool:
        """Asks, where there is something in the scene that has a name; nothing is cleared yet."""
        named = [node for node in slicer.util.getNodesByClass("vtkMRMLStorableNode") if not node.GetHideFromEditors()]
        shown = [node for node in named if node.IsA("vtkMRMLDisplayableNode")]
        return not shown or slicer.util.confirmOkCancelDisplay(
            _(
                "The scene is closed before the reading starts, so that nothing in it can tell what a case is. What is "
                "not saved is lost."
            ),
            windowTitle="SynthReview",
        )

    def put_on(self) -> None:
        """The scene is emptied; the data probe, which names images, is hidden."""
        slicer.mrmlScene.Clear(False)
        window = slicer.util.mainWindow()
        probes = slicer.util.findChildren(window, name=_PROBE) if window is not None else []
        self._hidden = [probe for probe in probes if probe.visible]
        for probe in self._hidden:
            probe.setVisible(False)

    def lift(self) -> None:
        for probe in self._hidden:
            probe.setVisible(True)
        self._hidden = []
