"""What lies in front of the patient's scan: one of the images that were made; and the marked anomalies."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _
from SynthRegLib.resultview import ResultView, Shown

from SynthHealthyLib.figures import figures
from SynthHealthyLib.made import Made
from SynthHealthyLib.marking import mark


def fronts() -> dict[str, str]:
    """What can be shown -> the words for it."""
    return {
        "healthy": _("Healthy T1"),
        "anomaly": _("Anomaly map"),
        "mirrored": _("The scan's other side"),
        "confidence": _("Confidence in the healthy T1"),
        "difference": _("Difference from health"),
    }


class FrontView:
    """ui: has frontBox and anomaliesCheckBox, besides what ResultView has."""

    def __init__(self, ui: Any, result: ResultView) -> None:
        self._ui = ui
        self._result = result
        self._made: Made | None = None
        self._threshold = 0.0
        self._text = ""
        for name, words in fronts().items():
            ui.frontBox.addItem(words, name)
        ui.frontBox.connect("currentIndexChanged(int)", self._on_front)
        ui.anomaliesCheckBox.connect("toggled(bool)", self._on_anomalies)
        self.forget()

    def show(self, made: Made, threshold: float) -> None:
        """The healthy T1 in front, the anomalies marked at the threshold that they were made with, and the views at the
        largest of them."""
        self._made, self._threshold = made, threshold
        self._text = figures(made.report, made.warnings)
        self._ui.frontBox.setCurrentIndex(0)
        self._ui.frontBox.enabled = self._ui.anomaliesCheckBox.enabled = True
        self._ui.anomaliesCheckBox.checked = True
        self._show_front()
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode") if made.report.get("largest_at_mm") else ():
            node.JumpSliceByCentering(*made.report["largest_at_mm"])

    def forget(self) -> None:
        """Something else is shown now, or nothing."""
        self._made = None
        self._ui.frontBox.enabled = self._ui.anomaliesCheckBox.enabled = False

    def forget_if_of(self, node: slicer.vtkMRMLNode) -> None:
        """Where `node`, which is about to leave the scene, is among what was made."""
        if self._made is not None and any(node is one for one in self._made.nodes()):
            self.forget()
            self._result.forget()

    def mark(self, threshold: float) -> None:
        """Where the threshold was moved, mark anew."""
        if self._made is None or abs(threshold - self._threshold) < 1e-6:
            return
        self._threshold = threshold
        marked_ml = mark(self._made, threshold)
        if marked_ml is not None:
            self._text = figures(self._made.report, self._made.warnings, marked_ml)
            self._ui.resultLabel.text = self._text

    def _on_front(self, index: int) -> None:
        if self._made is not None:
            self._show_front()

    def _on_anomalies(self, on: bool) -> None:
        if self._made is not None and self._made.segmentation.GetDisplayNode() is not None:
            self._made.segmentation.GetDisplayNode().SetVisibility(on)

    def _show_front(self) -> None:
        made = self._made
        front = getattr(made, self._ui.frontBox.currentData) or made.healthy
        self._result.show(Shown(made.image, front, self._text, made.page, labels=made.segmentation))
