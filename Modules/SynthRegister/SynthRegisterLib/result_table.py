"""Table of all results in the scene with their measures."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _
from SynthRegLib import review
from SynthRegLib.registration_results import FIGURES, SUMMARY
from SynthRegLib.result_view import DisplayedResult

_ROW, _MOST_ROWS = 24, 6
"""Height of a row in pixels; largest number of visible rows."""
_FORMATS = {"dice": "{:.3f}", "tre": "{:.2f}", "folding": "{:.3%}", "similarity": "{:.3f}", "seconds": "{:.0f}"}


@dataclass(frozen=True, eq=False)
class StoredResult:
    """A registration as stored in the scene with its moved image."""

    moved: slicer.vtkMRMLScalarVolumeNode

    def node(self, role: str) -> Any:
        """Return fixed, moving, forward, inverse or moved_labels; None if it does not exist."""
        return self.moved.GetNodeReference(f"SynthReg.{role}")

    def figures(self) -> dict[str, float]:
        return json.loads(self.moved.GetAttribute(FIGURES))

    def shown(self) -> DisplayedResult:
        page, text = (self.moved.GetAttribute(name) or "" for name in ("SynthReg.Report", SUMMARY))
        return DisplayedResult(
            self.node("fixed"), self.moved, text, page, self.node("forward"), self.node("moved_labels")
        )


class ResultTable:
    """ui: resultsTable, resultsCollapsibleButton and compareButton. chosen: called with the selected result."""

    def __init__(self, ui: Any, chosen: Callable[[StoredResult], None]) -> None:
        self._ui = ui
        self._chosen = chosen
        self._kept: list[StoredResult] = []
        self._filling = False
        table = ui.resultsTable
        headings = (_("Result"), _("Dice"), _("TRE, mm"), _("Folding"), _("NCC"), _("Time, s"))
        table.setColumnCount(len(headings))
        table.setHorizontalHeaderLabels(list(headings))
        table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        table.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
        table.setTextElideMode(qt.Qt.ElideMiddle)
        table.setWordWrap(False)
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(_ROW)
        table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        table.connect("itemSelectionChanged()", self._on_selected)
        ui.compareButton.connect("clicked(bool)", self._on_compare)
        self.refresh()

    @property
    def selected(self) -> list[StoredResult]:
        """Return the selected results in row order."""
        rows = sorted({index.row() for index in self._ui.resultsTable.selectionModel().selectedRows()})
        return [self._kept[row] for row in rows]

    def refresh(self, select: slicer.vtkMRMLScalarVolumeNode | None = None) -> None:
        """Update the table. select: moved image of the row to select; None keeps the selection."""
        before = {kept.moved.GetID() for kept in self.selected} if select is None else {select.GetID()}
        nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        self._kept = [
            StoredResult(node) for node in nodes if node.GetAttribute(FIGURES) and StoredResult(node).node("fixed")
        ]
        table, self._filling = self._ui.resultsTable, True
        table.clearSelection()
        table.setRowCount(len(self._kept))
        for row, kept in enumerate(self._kept):
            found = kept.figures()
            cells = [_cell_texts(found.get(name), form) for name, form in _FORMATS.items()]
            for column, text in enumerate((kept.moved.GetName(), *cells)):
                table.setItem(row, column, qt.QTableWidgetItem(text))
                table.item(row, column).setToolTip(f"{kept.moved.GetName()}\n{kept.moved.GetAttribute(SUMMARY)}")
                if kept.moved.GetID() in before:
                    table.item(row, column).setSelected(True)
        table.setFixedHeight(_ROW * (min(len(self._kept), _MOST_ROWS) + 1) + 8)
        self._filling = False
        self._ui.resultsCollapsibleButton.setVisible(bool(self._kept))
        self._update()

    def _update(self) -> None:
        two = len(self.selected) == 2
        self._ui.compareButton.enabled = two
        self._ui.compareButton.toolTip = (
            _("Opens SynthReview with both results, left and right of the split line")
            if two
            else _("Select two rows (Ctrl+click)")
        )

    def _on_selected(self) -> None:
        if self._filling:
            return
        self._update()
        if len(self.selected) == 1:
            self._chosen(self.selected[0])

    def _on_compare(self, checked: bool = False) -> None:
        first, second = (kept.moved for kept in self.selected)
        review.show(first, second, mode=review.Mode.WIPE, link_windows=True)


def _cell_texts(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
