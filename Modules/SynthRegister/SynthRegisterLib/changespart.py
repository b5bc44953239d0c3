"""The part of the panel that shows what no warp explains: its button, which map lies in front, and from where on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
from slicer.i18n import tr as _
from SynthRegLib.job import Work
from SynthRegLib.networks import network_note
from SynthRegLib.resultview import ResultView
from SynthRegLib.settings import Device

from SynthRegisterLib.changes import MAPS, Found, card, changes_work, fault, peak, show_above, words
from SynthRegisterLib.resultlist import Kept


class ChangesPart:
    """ui: changesLabel, controlsDirectory, changesButton, mapBox, markSlider and markLabel. result: gives the
    view of the result, which is made later than this part."""

    def __init__(self, ui: Any, result: Callable[[], ResultView]) -> None:
        self._ui = ui
        self._result = result
        self._kept: Kept | None = None
        self._filling = False
        ui.mapBox.connect("currentIndexChanged(int)", self._on_map)
        ui.markSlider.connect("valueChanged(double)", self._on_mark)
        self._fill("")

    def choose(self, kept: Kept) -> None:
        """The result that is shown now, its moved image in front."""
        self._kept = kept
        self._fill("")

    def forget(self) -> None:
        """The scene is closed."""
        self._kept = None
        self._fill("")

    def update(self, running: bool) -> None:
        """running: whether anything runs."""
        known, shown = card(), self._shown()
        wrong = fault(known, *self._pair())
        self._fill(shown)
        if shown and not self._shown():
            self._show()
        self._ui.changesLabel.text = wrong or network_note(known)
        self._ui.changesButton.enabled = not running and not wrong

    def work(self, device: Device) -> tuple[Work, list[slicer.vtkMRMLNode]]:
        """What the button starts, and the nodes that must stay meanwhile. Raises RequestError."""
        pair = self._pair()
        return changes_work(*pair, self._ui.controlsDirectory.currentPath, device), list(pair)

    def present(self, found: Found) -> str:
        """The first map in front, the views where it is highest; the words for the status line."""
        name = next(iter(found.maps))
        self._fill(name)
        self._on_map()
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            node.JumpSliceByCentering(*peak(found.maps[name]))
        notes = (_("Note: {text}").format(text=text) for text in found.warnings)
        return "\n".join([_("Done: {name} is in the scene.").format(name=found.maps[name].GetName()), *notes])

    def _pair(self) -> tuple[slicer.vtkMRMLScalarVolumeNode | None, slicer.vtkMRMLScalarVolumeNode | None]:
        """Fixed and moved image, as far as they are in the scene."""
        if self._kept is None or not slicer.mrmlScene.IsNodePresent(self._kept.moved):
            return None, None
        return self._kept.node("fixed"), self._kept.moved

    def _maps(self) -> dict[str, slicer.vtkMRMLScalarVolumeNode]:
        """Of the result that is chosen, those that are in the scene."""
        if None in self._pair():
            return {}
        return {name: node for name in MAPS if (node := self._kept.node(name)) is not None}

    def _shown(self) -> str:
        return self._ui.mapBox.currentData or ""

    def _fill(self, chosen: str) -> None:
        """The maps that there are. chosen: the one that is in front, "" the moved image."""
        box, maps, self._filling = self._ui.mapBox, self._maps(), True
        box.clear()
        box.addItem(_("The moved image"), "")
        for name in maps:
            box.addItem(words()[name], name)
        box.setCurrentIndex([*maps].index(chosen) + 1 if chosen in maps else 0)
        self._filling = False
        box.enabled = bool(maps)
        self._ui.markSlider.enabled = bool(self._shown())
        if not self._shown():
            self._ui.markLabel.text = "" if maps else _("Not looked for yet.")

    def _on_map(self, index: int = 0) -> None:
        if self._filling:
            return
        shown = self._shown()
        self._ui.markSlider.enabled = bool(shown)
        self._ui.markLabel.text = ""
        self._show()
        self._on_mark(self._ui.markSlider.value)

    def _on_mark(self, percentile: float) -> None:
        """What is below leaves the views at once; nothing is computed anew."""
        if self._shown():
            self._ui.markLabel.text = show_above(self._maps()[self._shown()], percentile)

    def _show(self) -> None:
        """In front of the fixed image what the box says; figures, review and report stay those of the result."""
        result, kept = self._result(), self._kept
        if None in self._pair():
            return
        if result.shown is None or result.shown.front is not kept.moved:
            result.show(kept.shown())
        result.put_in_front(self._maps().get(self._shown(), kept.moved))
