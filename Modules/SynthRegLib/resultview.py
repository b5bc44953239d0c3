"""The result part of a panel: figures, fading, checkerboard, review, report."""

from __future__ import annotations

import os
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from SynthRegLib import display, review
from SynthRegLib.registered import Registered
from SynthRegLib.summary import summary


class ResultView:
    """ui: has resultCollapsibleButton, resultLabel, fadeSlider, checkerboardCheckBox, reviewButton and reportButton."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._registered: Registered | None = None
        ui.fadeSlider.connect("valueChanged(double)", display.fade)
        ui.checkerboardCheckBox.connect("toggled(bool)", self._on_checkerboard)
        ui.reviewButton.connect("clicked(bool)", self._on_review)
        ui.reportButton.connect("clicked(bool)", self._on_report)
        self.forget()

    def show(self, registered: Registered) -> None:
        """Its figures, and its images in the views."""
        self._ui.checkerboardCheckBox.checked = False
        self._registered = registered
        self._ui.resultLabel.text = summary(registered.report, registered.warnings)
        self._ui.resultCollapsibleButton.enabled = True
        self._ui.resultCollapsibleButton.collapsed = False
        self._ui.reportButton.enabled = os.path.isfile(registered.page)
        display.show_pair(self._fixed(), registered.moved, self._ui.fadeSlider.value)

    def forget(self) -> None:
        """There is no result, or it has left the scene."""
        self._registered = None
        self._ui.checkerboardCheckBox.checked = False
        self._ui.resultLabel.text = _("No result yet.")
        self._ui.resultCollapsibleButton.enabled = False

    def forget_if_of(self, node: slicer.vtkMRMLNode) -> None:
        """Where `node`, which is about to leave the scene, is one of the images that are shown."""
        if self._registered is not None and (node is self._registered.moved or node is self._fixed()):
            self.forget()

    def _fixed(self) -> slicer.vtkMRMLVolumeNode:
        return self._registered.moved.GetNodeReference("SynthReg.fixed")

    def _on_checkerboard(self, on: bool) -> None:
        display.remove_checkerboards()
        if self._registered is None:
            return
        front = display.checkerboard(self._registered.moved) if on else self._registered.moved
        display.show_pair(self._fixed(), front, 1.0 if on else self._ui.fadeSlider.value)

    def _on_review(self, checked: bool = False) -> None:
        found = self._registered
        self._ui.checkerboardCheckBox.checked = False
        review.show(self._fixed(), found.moved, found.forward, found.moved_labels)

    def _on_report(self, checked: bool = False) -> None:
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(self._registered.page))
