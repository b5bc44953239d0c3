"""The measures of a conversion as text, and the organs' HU as a table."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from SynthContrastLib.conversion_job import ConvertedNodes, phase_text
from SynthContrastLib.organ_labels import OrganRow


def figures(made: ConvertedNodes) -> str:
    """Return one line per measure; missing measures are left out."""
    report = made.report
    change = report["change"]
    lines = [
        _("Synthetic {kind} by {model}: not a scan of the patient.").format(
            kind=phase_text(made.parameters.target_phase), model=report["run"]["model"]
        ),
        _("Detected phase: {before} (scan), {after} (result)").format(
            before=_looks(report["phase"]["input"]), after=_looks(report["phase"]["output"])
        ),
        _("Mean change in the body: {hu:.0f} HU").format(hu=change["body_hu"]),
    ]
    kept = ", ".join(f"{_tissue(name)} {value:.0f}" for name, value in change["unenhanced_hu"].items())
    if kept:
        lines.append(_("Median change in tissue without iodine uptake, HU: {kept}").format(kept=kept))
    if change["cycle_hu"] is not None:
        lines.append(_("Cycle error in soft tissue: {hu:.1f} HU").format(hu=change["cycle_hu"]))
    lines.append(_("Computing time: {seconds:.0f} s").format(seconds=sum(report["run"]["stages"].values())))
    return "\n".join([*lines, *notes(made.warnings)])


def preview_figures(made: ConvertedNodes, k: int) -> str:
    """Return the measures of slice k."""
    change = _("Mean change in the body: {hu:.0f} HU").format(hu=made.report["change"]["body_hu"])
    title = _("Preview of slice {number}: synthetic {kind}, not a scan of the patient.").format(
        number=k, kind=phase_text(made.parameters.target_phase)
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
    return {"native": _("native"), "contrast": _("contrast-enhanced")}.get(phase, _("unknown"))


def _tissue(name: str) -> str:
    return {"fat": _("fat"), "dense bone": _("dense bone"), "air": _("air")}.get(name, name)
