"""Panel section for topological change: computation, displayed map, threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _
from SynthRegLib.job import JobSteps
from SynthRegLib.result_view import ResultView
from SynthRegLib.texts import network_note

from SynthRegisterLib.result_table import StoredResult
from SynthRegisterLib.topology_job import (
    MAPS,
    TopologyNodes,
    card,
    map_titles,
    peak,
    set_percentile_threshold,
    topology_job,
    topology_validation_error,
)


class TopologySection:
    """ui: has topologyLabel, controlsDirectory, topologyButton, mapBox, percentileSlider and percentileLabel. result:
    returns the result view, which is created later."""

    def __init__(self, ui: Any, result: Callable[[], ResultView]) -> None:
        self._ui = ui
        self._result = result
        self._kept: StoredResult | None = None
        self._filling = False
        ui.mapBox.connect("currentIndexChanged(int)", self._on_map)
        ui.percentileSlider.connect("valueChanged(double)", self._on_mark)
        self._fill("")

    def choose(self, kept: StoredResult) -> None:
        """Select a result and show its moved image."""
        self._kept = kept
        self._fill("")

    def forget(self) -> None:
        """Called when the scene is closed."""
        self._kept = None
        self._fill("")

    def update(self, running: bool) -> None:
        """running: whether anything runs."""
        known, shown = card(), self._shown()
        wrong = topology_validation_error(known, *self._pair())
        self._fill(shown)
        if shown and not self._shown():
            self._show()
        self._ui.topologyLabel.text = wrong or network_note(known)
        self._ui.topologyButton.enabled = not running and not wrong

    def work(self, device: str) -> tuple[JobSteps, list[slicer.vtkMRMLNode]]:
        """Return the job's steps and the nodes that must not be deleted meanwhile. Raises RequestError."""
        pair = self._pair()
        return topology_job(*pair, self._ui.controlsDirectory.currentPath, device), list(pair)

    def present(self, found: TopologyNodes) -> str:
        """Show the first map at its maximum; return the text of the status line."""
        name = next(iter(found.maps))
        self._fill(name)
        self._on_map()
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            node.JumpSliceByCentering(*peak(found.maps[name]))
        notes = (_("Note: {text}").format(text=text) for text in found.warnings)
        return "\n".join([_("Done: {name} is in the scene.").format(name=found.maps[name].GetName()), *notes])

    def _pair(self) -> tuple[slicer.vtkMRMLScalarVolumeNode | None, slicer.vtkMRMLScalarVolumeNode | None]:
        """Return fixed and moved image, None if deleted."""
        if self._kept is None or not slicer.mrmlScene.IsNodePresent(self._kept.moved):
            return None, None
        return self._kept.node("fixed"), self._kept.moved

    def _maps(self) -> dict[str, slicer.vtkMRMLScalarVolumeNode]:
        """Return the maps of the selected result that are in the scene."""
        if None in self._pair():
            return {}
        return {name: node for name in MAPS if (node := self._kept.node(name)) is not None}

    def _shown(self) -> str:
        return self._ui.mapBox.currentData or ""

    def _fill(self, chosen: str) -> None:
        """List the maps. chosen: the displayed one, "" for the moved image."""
        box, maps, self._filling = self._ui.mapBox, self._maps(), True
        box.clear()
        box.addItem(_("Moved image"), "")
        for name in maps:
            box.addItem(map_titles()[name], name)
        box.setCurrentIndex([*maps].index(chosen) + 1 if chosen in maps else 0)
        self._filling = False
        box.enabled = bool(maps)
        self._ui.percentileSlider.enabled = bool(self._shown())
        if not self._shown():
            self._ui.percentileLabel.text = "" if maps else _("Not computed yet.")

    def _on_map(self, index: int = 0) -> None:
        if self._filling:
            return
        shown = self._shown()
        self._ui.percentileSlider.enabled = bool(shown)
        self._ui.percentileLabel.text = ""
        self._show()
        self._on_mark(self._ui.percentileSlider.value)

    def _on_mark(self, percentile: float) -> None:
        """Update the display threshold; nothing is computed."""
        if self._shown():
            self._ui.percentileLabel.text = set_percentile_threshold(self._maps()[self._shown()], percentile)

    def _show(self) -> None:
        """Show the selected map over the fixed image; measures, review and report stay those of the result."""
        result, kept = self._result(), self._kept
        if None in self._pair():
            return
        if result.shown is None or result.shown.front is not kept.moved:
            result.show(kept.shown())
        result.show_foreground(self._maps().get(self._shown(), kept.moved))
