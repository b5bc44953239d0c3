"""The results that are in the scene, a row each with its figures: one is chosen, two are compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _
from SynthRegLib import review
from SynthRegLib.registered import FIGURES, SUMMARY
from SynthRegLib.resultview import Shown

_ROW, _MOST_ROWS = 24, 6
"""Pixels; rows that are seen at once."""
_FORMATS = {"dice": "{:.3f}", "tre": "{:.2f}", "folding": "{:.3%}", "similarity": "{:.3f}", "seconds": "{:.0f}"}


@dataclass(frozen=True, eq=False)
class Kept:
    """A registration as the scene keeps it, told by its moved image."""

    moved: slicer.vtkMRMLScalarVolumeNode

    def node(self, role: str) -> Any:
        """fixed, moving, forward, inverse or moved_labels; None where it has left the scene or was not made."""
        return self.moved.GetNodeReference(f"SynthReg.{role}")

    def figures(self) -> dict[str, float]:
        return json.loads(self.moved.GetAttribute(FIGURES))

    def shown(self) -> Shown:
        page, text = (self.moved.GetAttribute(name) or "" for name in ("SynthReg.Report", SUMMARY))
        return Shown(self.node("fixed"), self.moved, text, page, self.node("forward"), self.node("moved_labels"))


class ResultList:
    """ui: resultsTable, resultsCollapsibleButton and compareButton. chosen: called with the result whose row the user
    selects."""

    def __init__(self, ui: Any, chosen: Callable[[Kept], None]) -> None:
        self._ui = ui
        self._chosen = chosen
        self._kept: list[Kept] = []
        self._filling = False
        table = ui.resultsTable
        headings = (_("Result"), _("Dice"), _("TRE, mm"), _("Folding"), _("Likeness"), _("Time, s"))
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
    def selected(self) -> list[Kept]:
        """In the order of their rows."""
        rows = sorted({index.row() for index in self._ui.resultsTable.selectionModel().selectedRows()})
        return [self._kept[row] for row in rows]

    def refresh(self, select: slicer.vtkMRMLScalarVolumeNode | None = None) -> None:
        """The results that are in the scene now. select: the moved image of the one to be selected; None: those that
        were stay so."""
        before = {kept.moved.GetID() for kept in self.selected} if select is None else {select.GetID()}
        nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        self._kept = [Kept(node) for node in nodes if node.GetAttribute(FIGURES) and Kept(node).node("fixed")]
        table, self._filling = self._ui.resultsTable, True
        table.clearSelection()
        table.setRowCount(len(self._kept))
        for row, kept in enumerate(self._kept):
            found = kept.figures()
            told = [_told(found.get(name), form) for name, form in _FORMATS.items()]
            for column, text in enumerate((kept.moved.GetName(), *told)):
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
            _("Opens SynthReview on both: left of its line the first one, right of it the second")
            if two
            else _("Select two rows: click one, then another with Ctrl")
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


def _told(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
