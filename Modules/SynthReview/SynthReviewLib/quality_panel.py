"""Panel section for quality control: table of the measures of many cases, worst locations, report.

What needs torch runs in a process of its own.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, Callable

import qt
from slicer.i18n import tr as _
from SynthRegLib.background_task import Background

from SlicerSynthReg.errors import ReportError
from SlicerSynthReg.report.quality import Measure, QualityRow, QualityTable, WorstLocation, collect_results
from SynthReviewLib.quality_process import plot, render, worst_location
from SynthReviewLib.result_display import show_result

_REPORT = "quality-report"


class QualityPanel:
    """ui: the module's widgets by name."""

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._table: QualityTable | None = None
        self._work: Background | None = None
        ui.qualityDirectory.connect("directoryChanged(QString)", self._on_folder)
        ui.gatherButton.connect("clicked(bool)", self._on_gather)
        ui.csvButton.connect("clicked(bool)", self._on_csv)
        ui.qualityReportButton.connect("clicked(bool)", self._on_report)
        ui.qualityTable.connect("cellDoubleClicked(int,int)", self._on_case)
        ui.plotPicture.hide()

    def stop(self) -> None:
        if self._work is not None:
            self._work.abandon()
            self._work = None

    def _on_folder(self, folder: str) -> None:
        self._forget()

    def _forget(self) -> None:
        self.stop()
        self._table = None
        self._ui.qualityTable.setRowCount(0)
        self._ui.plotPicture.hide()
        self._enable()

    def _on_gather(self, checked: bool = False) -> None:
        self._forget()
        try:
            self._table = collect_results(Path(self._ui.qualityDirectory.directory))
        except (ReportError, OSError) as error:
            self._say(str(error))
            return
        self._fill()
        self._say(
            _("{count} cases, the worst first. Double-click a case to show its worst location.").format(
                count=len(self._table.rows)
            )
        )
        table = self._table
        self._start(lambda: plot(table), self._on_plot)

    def _fill(self) -> None:
        """Fill the table, worst case first; numbers are sorted as numbers."""
        table, found = self._ui.qualityTable, self._table
        table.setSortingEnabled(False)
        table.setColumnCount(1 + len(found.measures))
        table.setRowCount(len(found.rows))
        table.setHorizontalHeaderLabels([_("Case"), *(_heading(measure) for measure in found.measures)])
        for row, case in enumerate(found.worst_first()):
            label = qt.QTableWidgetItem(case.label)
            label.setToolTip(case.name)
            table.setItem(row, 0, label)
            for column, measure in enumerate(found.measures, start=1):
                table.setItem(row, column, _cell(case, measure))
        table.horizontalHeader().setSortIndicator(-1, qt.Qt.AscendingOrder)
        table.setSortingEnabled(True)
        table.resizeColumnsToContents()
        self._enable()

    def _on_plot(self, png: bytes) -> None:
        picture = qt.QPixmap()
        if png and picture.loadFromData(qt.QByteArray(png)):
            width = max(200, self._ui.qualityTable.width)
            self._ui.plotPicture.setPixmap(picture.scaledToWidth(width, qt.Qt.SmoothTransformation))
            self._ui.plotPicture.show()

    def _on_csv(self, checked: bool = False) -> None:
        path = qt.QFileDialog.getSaveFileName(None, _("Export the table"), "quality.csv", "CSV (*.csv)")
        if not path:
            return
        try:
            self._table.write_csv(Path(path))
            self._say(_("Written: {path}").format(path=path))
        except OSError as error:
            self._say(
                _("Found that {path} cannot be written ({why}). Choose another place.").format(path=path, why=error)
            )

    def _on_report(self, checked: bool = False) -> None:
        folder = Path(self._ui.qualityDirectory.directory)
        self._say(_("Rendering three views of each case ..."))
        self._start(lambda: render(folder, folder / _REPORT), self._on_rendered)

    def _on_rendered(self, page: Path) -> None:
        self._say(_("Report: {page} (HTML and PDF).").format(page=page))
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(page)))

    def _on_case(self, row: int, column: int) -> None:
        label = self._ui.qualityTable.item(row, 0).text()
        case = next(one for one in self._table.rows if one.label == label)
        self._say(_("Searching for the worst location of {case} ...").format(case=label))
        folder = case.folder
        self._start(lambda: worst_location(folder), lambda place: self._on_place(case, place))

    def _on_place(self, case: QualityRow, place: WorstLocation | None) -> None:
        shown = show_result(case.folder, case.label, place)
        if not shown:
            self._say(_("Found no image in the result of {case}, expected one.").format(case=case.label))
        elif place is None:
            self._say(_("{case} is shown. It has no map with a worst location.").format(case=case.label))
        else:
            self._say(_("{case}, {place}: {why}").format(case=case.label, place=place, why=place.reason))

    def _start(self, compute: Callable[[], Any], done: Callable[[Any], None]) -> None:
        def finished(result: Any) -> None:
            self._work = None
            self._enable()
            done(result)

        def failed(message: str) -> None:
            self._work = None
            self._enable()
            self._say(message)

        self.stop()
        self._work = Background(compute, _placed, finished, failed)
        self._enable()

    def _enable(self) -> None:
        ready = self._table is not None and bool(self._table.rows)
        self._ui.csvButton.enabled = ready
        self._ui.qualityReportButton.enabled = ready and self._work is None

    def _say(self, text: str) -> None:
        self._ui.qualityNote.text = text


def _heading(measure: Measure) -> str:
    return f"{measure.heading} ({measure.unit})" if measure.unit else measure.heading


def _cell(case: QualityRow, measure: Measure) -> qt.QTableWidgetItem:
    item = qt.QTableWidgetItem()
    if measure.name in case.values:
        item.setData(qt.Qt.DisplayRole, round(float(case.value(measure)) * measure.scale, measure.digits))
    return item


def _placed(result: Any) -> Generator[None, None, Any]:
    yield
    return result
