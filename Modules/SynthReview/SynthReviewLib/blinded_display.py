"""Hide what could identify a case during a blinded reading: other nodes, the data probe."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

_PROBE = "DataProbeCollapsibleWidget"


class BlindedDisplay:
    def __init__(self) -> None:
        self._hidden: list = []

    def may_clear_scene(self) -> bool:
        """Ask the user if the scene holds named nodes; nothing is cleared yet."""
        named = [node for node in slicer.util.getNodesByClass("vtkMRMLStorableNode") if not node.GetHideFromEditors()]
        shown = [node for node in named if node.IsA("vtkMRMLDisplayableNode")]
        return not shown or slicer.util.confirmOkCancelDisplay(
            _(
                "The scene is closed before the reading starts, so that it cannot reveal the identity of a case. "
                "Unsaved data are lost."
            ),
            windowTitle="SynthReview",
        )

    def start(self) -> None:
        """Clear the scene and hide the data probe, which shows image names."""
        slicer.mrmlScene.Clear(False)
        window = slicer.util.mainWindow()
        probes = slicer.util.findChildren(window, name=_PROBE) if window is not None else []
        self._hidden = [probe for probe in probes if probe.visible]
        for probe in self._hidden:
            probe.setVisible(False)

    def stop(self) -> None:
        for probe in self._hidden:
            probe.setVisible(True)
        self._hidden = []
