"""Table of the values at the crosshair."""

from __future__ import annotations

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin
from SynthRegLib.review import SynthReviewParameterNode

from SynthReviewLib.probe import ProbeValues, probe

_NO_VALUE = "-"
_ROW = 24
"""Pixels."""


class ProbeTable(VTKObservationMixin):
    """table: a QTableWidget, which gets its rows here."""

    def __init__(self, table: qt.QTableWidget) -> None:
        VTKObservationMixin.__init__(self)
        self._table = table
        self._parameters: SynthReviewParameterNode | None = None
        rows = (_("Place"), _("A"), _("B"), _("B - A"), _("Label"), _("Displacement"), _("Volume change"))
        table.setRowCount(len(rows))
        table.setColumnCount(1)
        table.setVerticalHeaderLabels(list(rows))
        table.horizontalHeader().setVisible(False)
        table.horizontalHeader().setStretchLastSection(True)
        table.verticalHeader().setDefaultSectionSize(_ROW)
        table.setFixedHeight(_ROW * len(rows) + 4)
        for row in range(len(rows)):
            table.setItem(row, 0, qt.QTableWidgetItem(_NO_VALUE))

    def follow(self, parameters: SynthReviewParameterNode | None) -> None:
        """Follow the crosshair with these parameters; None stops."""
        self.removeObservers()
        self._parameters = parameters
        crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        if parameters is not None and crosshair is not None:
            event = slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent
            self.addObserver(crosshair, event, self._on_moved)

    def _on_moved(self, crosshair, event) -> None:
        ras = [0.0, 0.0, 0.0]
        if self._parameters is None or not crosshair.GetCursorPositionRAS(ras):
            texts = [_NO_VALUE] * self._table.rowCount
        else:
            images = (self._parameters.first, self._parameters.second)
            texts = lines(probe(np.array(ras), images, self._parameters.labels, self._parameters.transform))
        for row, text in enumerate(texts):
            self._table.item(row, 0).setText(text)


def lines(found: ProbeValues) -> list[str]:
    """Return one text per row; a dash for missing values."""
    places = [f"{abs(mm):.1f} {names[mm < 0]}" for mm, names in zip(found.ras, ("RL", "AP", "SI"))]
    displacement = _NO_VALUE
    if found.displacement_mm is not None:
        length = float(np.linalg.norm(found.displacement_mm))
        displacement = "{length:.2f} mm ({moves} RAS)".format(
            length=length, moves=", ".join(f"{mm:+.2f}" for mm in found.displacement_mm)
        )
    return [
        ", ".join(places) + " mm",
        _number(found.values[0]),
        _number(found.values[1]),
        _number(found.difference, "+"),
        ", ".join(found.labels) or _NO_VALUE,
        displacement,
        _NO_VALUE if found.change is None else f"{found.change:.3f}",
    ]


def _number(value: float | None, sign: str = "") -> str:
    return _NO_VALUE if value is None else f"{value:{sign}.4g}"
