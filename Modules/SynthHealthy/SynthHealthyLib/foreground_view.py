"""Show one of the result images over the scan, and the anomaly segmentation."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _
from SynthRegLib.result_view import DisplayedResult, ResultView
from vtk.util.numpy_support import vtk_to_numpy

from SynthHealthyLib.report_text import figures
from SynthHealthyLib.result_nodes import SEGMENT, HealthyNodes


def foreground_choices() -> dict[str, str]:
    """Return the title of each image."""
    return {
        "healthy": _("Healthy T1"),
        "anomaly": _("Anomaly map"),
        "mirrored": _("Contralateral side"),
        "confidence": _("Confidence in the healthy T1"),
        "difference": _("Difference from the healthy T1"),
    }


class ForegroundView:
    """ui: has foregroundBox and anomaliesCheckBox, and the widgets of ResultView."""

    def __init__(self, ui: Any, result: ResultView) -> None:
        self._ui = ui
        self._result = result
        self._made: HealthyNodes | None = None
        self._threshold = 0.0
        self._text = ""
        for name, words in foreground_choices().items():
            ui.foregroundBox.addItem(words, name)
        ui.foregroundBox.connect("currentIndexChanged(int)", self._on_front)
        ui.anomaliesCheckBox.connect("toggled(bool)", self._on_anomalies)
        self.forget()

    def show(self, made: HealthyNodes, threshold: float) -> None:
        """Show the healthy T1 and the anomaly segmentation, with the views at the largest anomaly."""
        self._made, self._threshold = made, threshold
        self._text = figures(made.report, made.warnings)
        self._ui.foregroundBox.setCurrentIndex(0)
        self._ui.foregroundBox.enabled = self._ui.anomaliesCheckBox.enabled = True
        self._ui.anomaliesCheckBox.checked = True
        self._show_front()
        centre = made.report["anomaly"]["largest_centre_mm"]
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode") if centre else ():
            node.JumpSliceByCentering(*centre)

    def forget(self) -> None:
        """Clear the result."""
        self._made = None
        self._ui.foregroundBox.enabled = self._ui.anomaliesCheckBox.enabled = False

    def forget_node(self, node: slicer.vtkMRMLNode) -> None:
        """Return whether `node`, which is being removed, belongs to the result; clear the result then."""
        if self._made is not None and any(node is one for one in self._made.nodes()):
            self.forget()
            self._result.forget()

    def mark(self, threshold: float) -> None:
        """Apply the threshold of the panel."""
        if self._made is None or abs(threshold - self._threshold) < 1e-6:
            return
        self._threshold = threshold
        marked_ml = apply_threshold(self._made, threshold)
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
        front = getattr(made, self._ui.foregroundBox.currentData) or made.healthy
        self._result.show(DisplayedResult(made.image, front, self._text, made.page, labels=made.segmentation))


def apply_threshold(made: HealthyNodes, threshold: float) -> float | None:
    """Segment the anomaly map at `threshold` and return the volume in ml; None, without a change, if the segmentation
    was edited and is no longer on the map's voxels."""
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    segment = made.segmentation.GetSegmentation().GetSegment(SEGMENT)
    layer = None if segment is None else segment.GetRepresentation(kind)
    image = made.anomaly.GetImageData()
    if layer is None or layer.GetDimensions() != image.GetDimensions():
        return None
    scalars = layer.GetPointData().GetScalars()
    values = vtk_to_numpy(image.GetPointData().GetScalars())
    marked = (values >= threshold) & (values > 0)
    vtk_to_numpy(scalars)[:] = marked * segment.GetLabelValue()
    scalars.Modified()
    layer.Modified()
    made.segmentation.GetSegmentation().InvalidateNonSourceRepresentations()
    return float(np.count_nonzero(marked) * np.prod(made.anomaly.GetSpacing()) / 1000)
