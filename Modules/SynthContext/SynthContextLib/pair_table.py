"""Table of pairs with check marks, thumbnails and drag and drop; the rows are stored in the scene (pair_rows.Rows)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

import qt
import slicer
from slicer.i18n import tr as _
from SynthRegLib.nodes import is_labels

from SynthContextLib.drag_and_drop import DropFilter
from SynthContextLib.pair_rows import Row, Rows, added
from SynthContextLib.thumbnail import PIXELS, thumbnails

_USE, _ANSWER, _STATE = 0, 1, 2
_AT_ONCE_MS = 0


class PairTable:
    """table: a QTableWidget. headings: of image, output and state. selected: called with the image of the selected row.
    folder: called with a dropped folder; None if folders are not accepted. One thumbnail is drawn per event and cached
    until the node's image changes."""

    def __init__(
        self,
        table: Any,
        headings: Sequence[str],
        selected: Callable[[Any], None] = lambda image: None,
        folder: Callable[[Path], None] | None = None,
    ) -> None:
        self._table = table
        self._rows: Rows | None = None
        self._shown: list[Row] = []
        self._states: Mapping[str, str] = {}
        self._selected = selected
        self._folder = folder
        self._icons: dict[Any, tuple[Any, Any]] = {}
        self._filling = False
        table.setColumnCount(3)
        table.setHorizontalHeaderLabels(list(headings))
        table.setIconSize(qt.QSize(PIXELS, PIXELS))
        table.verticalHeader().hide()
        for column in (_USE, _ANSWER):
            table.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.Stretch)
        table.horizontalHeader().setSectionResizeMode(_STATE, qt.QHeaderView.ResizeToContents)
        table.connect("itemChanged(QTableWidgetItem*)", self._on_item)
        table.connect("itemSelectionChanged()", self._on_selected)
        self._drops = DropFilter(table.viewport(), self._on_dropped)
        self._timer = qt.QTimer()
        self._timer.setInterval(_AT_ONCE_MS)
        self._timer.connect("timeout()", self._draw_one)

    def stop(self) -> None:
        self._timer.stop()
        self._drops.stop()

    def bind(self, rows: Rows | None) -> None:
        """Set the rows that are shown; None without a scene."""
        self._rows = rows
        self.show(self._states)

    def rows(self) -> list[Row]:
        return self._rows.read() if self._rows is not None else []

    def add(self, images: Sequence[Any], answers: Sequence[Any]) -> None:
        """Pair the nodes (pair_rows.added) and show them."""
        if self._rows is not None:
            self._rows.write(added(self._rows.read(), images, answers))

    def append(self, rows: Sequence[Row]) -> None:
        if self._rows is not None:
            self._rows.write([*self._rows.read(), *rows])

    def remove_selected(self) -> None:
        """Remove the selected rows; their nodes stay in the scene."""
        gone = {index.row() for index in self._table.selectionModel().selectedRows()}
        if self._rows is not None and gone:
            self._rows.write([row for n, row in enumerate(self._shown) if n not in gone])

    def use(self, image: Any, use: bool) -> None:
        """Check or uncheck the rows of `image`."""
        if self._rows is not None:
            kept = [Row(row.image, row.answer, use) if row.image is image else row for row in self._rows.read()]
            self._rows.write(kept)

    def show(self, states: Mapping[str, str]) -> None:
        """states: ID of an image -> text of the last column."""
        rows, self._states = self.rows(), dict(states)
        same = [(row.image, row.answer) for row in rows] == [(row.image, row.answer) for row in self._shown]
        self._shown = rows
        self._filling = True
        if not same or self._table.rowCount != len(rows):
            self._table.setRowCount(0)
            self._table.setRowCount(len(rows))
        for n, row in enumerate(rows):
            self._fill(n, row)
        self._filling = False
        self._timer.start()

    def _fill(self, n: int, row: Row) -> None:
        if self._table.item(n, _USE) is None:
            for column in (_USE, _ANSWER, _STATE):
                self._table.setItem(n, column, qt.QTableWidgetItem())
            self._table.setRowHeight(n, PIXELS + 4)
        first, second, state = (self._table.item(n, column) for column in (_USE, _ANSWER, _STATE))
        first.setCheckState(qt.Qt.Checked if row.use else qt.Qt.Unchecked)
        first.setText(row.image.GetName() if row.image is not None else _("(image missing)"))
        second.setText(row.answer.GetName() if row.answer is not None else "")
        state.setText(self._states.get(row.image.GetID(), "") if row.image is not None else "")
        for item in (first, second, state):
            item.setToolTip(item.text())
        icons = self._icons.get(_picture_key(row))
        if icons is not None:
            first.setIcon(icons[0])
            if icons[1] is not None:
                second.setIcon(icons[1])

    def _draw_one(self) -> None:
        """Draw the next missing thumbnail."""
        for n, row in enumerate(self._shown):
            key = _picture_key(row)
            if key is None or key in self._icons or not _present(row):
                continue
            self._icons[key] = thumbnails(row.image, row.answer)
            self._filling = True
            self._fill(n, row)
            self._filling = False
            return
        self._timer.stop()

    def _on_item(self, item: Any) -> None:
        if self._filling or item.column() != _USE or self._rows is None:
            return
        use = item.checkState() == qt.Qt.Checked
        row = self._shown[item.row()]
        if use != row.use:
            changed = [Row(one.image, one.answer, use) if one is row else one for one in self._shown]
            self._rows.write(changed)

    def _on_selected(self) -> None:
        places = {index.row() for index in self._table.selectionModel().selectedRows()}
        if len(places) == 1 and not self._filling:
            self._selected(self._shown[places.pop()].image)

    def _on_dropped(self, nodes: list[Any], folders: list[Path], x: int) -> None:
        """Add dropped nodes; volumes are images unless dropped on the column of outputs."""
        if not self._table.isEnabled():
            return
        scans = [node for node in nodes if node.IsA("vtkMRMLScalarVolumeNode") and not is_labels(node)]
        answers = [node for node in nodes if is_labels(node)]
        if self._table.columnAt(x) == _ANSWER and not answers:
            scans, answers = [], scans
        self.add(scans, answers)
        for folder in folders if self._folder is not None else []:
            self._folder(folder)


def _present(row: Row) -> bool:
    nodes = [node for node in (row.image, row.answer) if node is not None]
    return all(slicer.mrmlScene.IsNodePresent(node) for node in nodes)


def _picture_key(row: Row) -> Any:
    """Return the cache key, None without an image."""
    if row.image is None or row.image.GetImageData() is None:
        return None
    answer = row.answer
    if answer is None:
        return row.image.GetID(), row.image.GetImageData().GetMTime(), "", 0
    data = answer.GetSegmentation() if answer.IsA("vtkMRMLSegmentationNode") else answer.GetImageData()
    if data is None:
        return None
    return row.image.GetID(), row.image.GetImageData().GetMTime(), answer.GetID(), data.GetMTime()
