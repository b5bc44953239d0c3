"""The result part of the panel: preview or whole volume in front of the scan, the organs' HU, and the export."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import slicer
from slicer.i18n import tr as _
from SynthRegLib.display import set_window
from SynthRegLib.resultview import ResultView, Shown
from SynthRegLib.review import Mode

from SynthContrastLib.conversion import ABDOMEN, Converted
from SynthContrastLib.exporting import source_files
from SynthContrastLib.figures import figures, fill_table, preview_figures


class ContrastView:
    """ui: has frontBox, organTable, sourceLabel, sourceDirectory, exportDirectory, exportButton and exportLabel, and
    what ResultView has. result: of the same panel."""

    def __init__(self, ui: Any, result: ResultView) -> None:
        self._ui = ui
        self._result = result
        self._made: Converted | None = None
        self._preview: slicer.vtkMRMLScalarVolumeNode | None = None
        ui.frontBox.addItem(_("Synthetic CT"))
        ui.frontBox.addItem(_("Cycle error"))
        ui.frontBox.connect("activated(int)", self._on_front)
        fill_table(ui.organTable, [])

    @property
    def made(self) -> Converted | None:
        """The whole volume that is shown and still in the scene; None for a preview or nothing."""
        shown = self._result.shown
        there = self._made is not None and shown is not None and shown.behind is self._made.source
        return self._made if there else None

    def show(self, made: Converted) -> None:
        """The synthetic CT in front of the scan, both in the abdomen window."""
        self._made = made
        for node in (made.source, made.image):
            set_window(node, *ABDOMEN)
        self._ui.frontBox.setCurrentIndex(0)
        fill_table(self._ui.organTable, made.organs)
        self._result.show(
            Shown(made.source, made.image, figures(made), made.page, labels=made.labels, mode=Mode.DIFFERENCE)
        )
        self._remove_preview()

    def show_preview(self, made: Converted, k: int | None) -> None:
        """One slice in front of the scan, in place of the last preview."""
        self._made = None
        if k is None:
            k = made.source.GetImageData().GetDimensions()[2] // 2
        for node in (made.source, made.image):
            set_window(node, *ABDOMEN)
        fill_table(self._ui.organTable, [])
        text = preview_figures(made, k)
        self._result.show(Shown(made.source, made.image, text, mode=Mode.DIFFERENCE))
        self._remove_preview()
        self._preview = made.image

    def forget(self) -> None:
        """The scene is being closed."""
        self._made = self._preview = None
        fill_table(self._ui.organTable, [])

    def update(self, running: bool) -> None:
        """What can be looked at and exported now."""
        made = self.made
        self._ui.frontBox.enabled = made is not None and _is_there(made.cycle)
        if made is None and self._result.shown is None:
            fill_table(self._ui.organTable, [])
        known = made is not None and bool(source_files(made.image))
        self._ui.sourceLabel.setVisible(not known)
        self._ui.sourceDirectory.setVisible(not known)
        chosen = bool(self._ui.exportDirectory.currentPath) and (known or bool(self._ui.sourceDirectory.currentPath))
        self._ui.exportButton.enabled = made is not None and chosen and not running
        self._ui.exportLabel.text = _words(made, known, chosen)

    def _on_front(self, index: int) -> None:
        made = self.made
        if made is not None:
            front = made.cycle if index == 1 and _is_there(made.cycle) else made.image
            self._result.show(replace(self._result.shown, front=front))

    def _remove_preview(self) -> None:
        preview, self._preview = self._preview, None
        if _is_there(preview):
            display = preview.GetDisplayNode()
            slicer.mrmlScene.RemoveNode(preview)
            if display is not None:
                slicer.mrmlScene.RemoveNode(display)


def _is_there(node: slicer.vtkMRMLNode | None) -> bool:
    return node is not None and bool(slicer.mrmlScene.IsNodePresent(node))


def _words(made: Converted | None, known: bool, chosen: bool) -> str:
    if made is None:
        return _("Convert a whole volume first.")
    if not chosen:
        return (
            _("Choose the folder that receives the series.")
            if known
            else _(
                "Slicer's DICOM database does not know the scan's series: choose its folder, and where to export to."
            )
        )
    return _("Ready: the series will say that it is synthetic, and refer to its source.")
