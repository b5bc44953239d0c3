"""A conversion's figures in a few plain lines, and the organs' HU as a table."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from SynthContrastLib.conversion import Converted
from SynthContrastLib.organs import OrganRow


def figures(made: Converted) -> str:
    """One line a figure; what was not measured is left out."""
    report = made.report
    lines = [
        _("Synthetic {kind} by {model}: not a scan of the patient.").format(
            kind=made.settings.direction.kind(), model=report["model"]
        ),
        _("The scan looks: {before}. The result looks: {after}.").format(
            before=_looks(report["phase"]), after=_looks(report.get("phase_made"))
        ),
        _("Mean change in the body: {hu:.0f} HU").format(hu=report["change_hu"]),
    ]
    kept = ", ".join(f"{_tissue(name)} {value:.0f}" for name, value in report["kept_hu"].items())
    if kept:
        lines.append(_("Change where iodine does not reach, HU: {kept}").format(kept=kept))
    if report.get("cycle_hu") is not None:
        lines.append(_("There and back: {hu:.1f} HU off on average in soft tissue").format(hu=report["cycle_hu"]))
    lines.append(_("Computing time: {seconds:.0f} s").format(seconds=sum(report["stages"].values())))
    return "\n".join([*lines, *notes(made.warnings)])


def preview_figures(made: Converted, k: int) -> str:
    """Of slice k alone."""
    change = _("Mean change in the body: {hu:.0f} HU").format(hu=made.report["change_hu"])
    title = _("Preview of slice {number}: synthetic {kind}, not a scan of the patient.").format(
        number=k, kind=made.settings.direction.kind()
    )
    return "\n".join([title, change, *notes(made.warnings)])


def notes(warnings: list[str]) -> list[str]:
    return [_("Note: {text}").format(text=text) for text in warnings]


def fill_table(table: Any, rows: list[OrganRow]) -> None:
    """table: QTableWidget; hidden where there are no organs."""
    table.setVisible(bool(rows))
    table.setColumnCount(4)
    table.setRowCount(len(rows))
    table.verticalHeader().hide()
    table.setHorizontalHeaderLabels([_("Organ"), _("Scan, HU"), _("Synthetic, HU"), _("Change")])
    for line, row in enumerate(rows):
        cells = (row.name, f"{row.before:.0f}", f"{row.after:.0f}", f"{round(row.after - row.before):+d}")
        for column, text in enumerate(cells):
            item = qt.QTableWidgetItem(text)
            item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
            table.setItem(line, column, item)
    table.resizeColumnsToContents()
    table.resizeRowsToContents()


def _looks(phase: Any) -> str:
    return {"native": _("native"), "contrast": _("with contrast")}.get(phase, _("unclear"))


def _tissue(name: str) -> str:
    return {"fat": _("fat"), "dense bone": _("dense bone"), "air": _("air")}.get(name, name)
