"""Result section: preview or volume over the scan, the organs' HU, export."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import slicer
from slicer.i18n import tr as _
from SynthRegLib.display import remove_volume, set_window
from SynthRegLib.result_view import DisplayedResult, ResultView
from SynthRegLib.review import Mode

from SynthContrastLib.conversion_job import ABDOMEN, ConvertedNodes
from SynthContrastLib.dicom_export import source_files
from SynthContrastLib.report_text import figures, fill_table, preview_figures


class ResultDisplay:
    """ui: has foregroundBox, organTable, sourceLabel, sourceDirectory, exportDirectory, exportButton and exportLabel,
    and the widgets of ResultView. result: the result view."""

    def __init__(self, ui: Any, result: ResultView) -> None:
        self._ui = ui
        self._result = result
        self._made: ConvertedNodes | None = None
        self._preview: slicer.vtkMRMLScalarVolumeNode | None = None
        ui.foregroundBox.addItem(_("Synthetic CT"))
        ui.foregroundBox.addItem(_("Cycle error"))
        ui.foregroundBox.connect("activated(int)", self._on_front)
        fill_table(ui.organTable, [])

    @property
    def made(self) -> ConvertedNodes | None:
        """The displayed conversion of a volume; None for a preview or nothing."""
        shown = self._result.shown
        there = self._made is not None and shown is not None and shown.behind is self._made.source
        return self._made if there else None

    def show(self, made: ConvertedNodes) -> None:
        """Show the synthetic CT over the scan, in the abdomen window."""
        self._made = made
        for node in (made.source, made.image):
            set_window(node, *ABDOMEN)
        self._ui.foregroundBox.setCurrentIndex(0)
        fill_table(self._ui.organTable, made.organs)
        self._result.show(
            DisplayedResult(made.source, made.image, figures(made), made.page, labels=made.labels, mode=Mode.DIFFERENCE)
        )
        self._remove_preview()

    def show_preview(self, made: ConvertedNodes, k: int | None) -> None:
        """Show one slice over the scan; remove the last preview."""
        self._made = None
        if k is None:
            k = made.source.GetImageData().GetDimensions()[2] // 2
        for node in (made.source, made.image):
            set_window(node, *ABDOMEN)
        fill_table(self._ui.organTable, [])
        text = preview_figures(made, k)
        self._result.show(DisplayedResult(made.source, made.image, text, mode=Mode.DIFFERENCE))
        self._remove_preview()
        self._preview = made.image

    def forget(self) -> None:
        """Called when the scene is closed."""
        self._made = self._preview = None
        fill_table(self._ui.organTable, [])

    def update(self, running: bool) -> None:
        """Enable what can be reviewed and exported."""
        made = self.made
        self._ui.foregroundBox.enabled = made is not None and _is_there(made.cycle)
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
            remove_volume(preview)


def _is_there(node: slicer.vtkMRMLNode | None) -> bool:
    return node is not None and bool(slicer.mrmlScene.IsNodePresent(node))


def _words(made: ConvertedNodes | None, known: bool, chosen: bool) -> str:
    if made is None:
        return _("Convert a whole volume first.")
    if not chosen:
        return (
            _("Choose the export folder.")
            if known
            else _("The source series is not in Slicer's DICOM database: choose its folder and the export folder.")
        )
    return _("Ready to export: the series is marked as synthetic and refers to its source.")
