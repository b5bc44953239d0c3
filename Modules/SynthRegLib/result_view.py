"""Result section of a panel: measures, opacity, checkerboard, review, report."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from SynthRegLib import display, review


@dataclass(frozen=True, eq=False)
class DisplayedResult:
    """behind: background image. front: result image. text: measures. page: path of the HTML report. transform, labels,
    mode: for SynthReview."""

    behind: slicer.vtkMRMLScalarVolumeNode
    front: slicer.vtkMRMLScalarVolumeNode
    text: str
    page: str = ""
    transform: slicer.vtkMRMLTransformNode | None = None
    labels: slicer.vtkMRMLDisplayableNode | None = None
    mode: review.Mode | None = None


class ResultView:
    """ui: has resultCollapsibleButton, resultLabel, opacitySlider, reviewButton, reportButton and, if wanted,
    checkerboardCheckBox."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._shown: DisplayedResult | None = None
        self._front: slicer.vtkMRMLScalarVolumeNode | None = None
        self._checkerboard = getattr(ui, "checkerboardCheckBox", None)
        ui.opacitySlider.connect("valueChanged(double)", display.set_foreground_opacity)
        if self._checkerboard is not None:
            self._checkerboard.connect("toggled(bool)", self._on_checkerboard)
        ui.reviewButton.connect("clicked(bool)", self._on_review)
        ui.reportButton.connect("clicked(bool)", self._on_report)
        self.forget()

    @property
    def shown(self) -> DisplayedResult | None:
        """The displayed result."""
        return self._shown

    def show(self, shown: DisplayedResult) -> None:
        """Show the measures, and the images in the views."""
        self._uncheck()
        self._shown, self._front = shown, shown.front
        self._ui.resultLabel.text = shown.text
        self._ui.resultCollapsibleButton.enabled = True
        self._ui.resultCollapsibleButton.collapsed = False
        self._ui.reportButton.enabled = os.path.isfile(shown.page)
        display.show_pair(shown.behind, shown.front, self._ui.opacitySlider.value)

    def show_foreground(self, node: slicer.vtkMRMLScalarVolumeNode) -> None:
        """Show an image in the views only; measures, review and report stay those of the result."""
        self._uncheck()
        self._front = node
        display.show_pair(self._shown.behind, node, self._ui.opacitySlider.value)

    def forget(self) -> None:
        """Clear the result."""
        self._shown = self._front = None
        self._uncheck()
        self._ui.resultLabel.text = _("No result yet.")
        self._ui.resultCollapsibleButton.enabled = False

    def forget_node(self, node: slicer.vtkMRMLNode) -> bool:
        """Clear the result if `node`, which is being removed, is displayed; return whether it was."""
        if self._shown is None or (node is not self._shown.front and node is not self._shown.behind):
            return False
        self.forget()
        return True

    def _uncheck(self) -> None:
        if self._checkerboard is not None:
            self._checkerboard.checked = False

    def _on_checkerboard(self, on: bool) -> None:
        display.remove_checkerboards()
        if self._shown is None:
            return
        front = display.checkerboard(self._shown.front) if on else self._front
        display.show_pair(self._shown.behind, front, 1.0 if on else self._ui.opacitySlider.value)

    def _on_review(self, checked: bool = False) -> None:
        found = self._shown
        self._uncheck()
        review.show(found.behind, found.front, found.transform, found.labels, found.mode)

    def _on_report(self, checked: bool = False) -> None:
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(self._shown.page))
