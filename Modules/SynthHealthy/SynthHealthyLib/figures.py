"""A reconstruction's figures in a few plain lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slicer.i18n import tr as _


def figures(report: Mapping[str, Any], warnings: list[str], marked_ml: float | None = None) -> str:
    """One line a figure; what was not measured is left out. marked_ml: since the threshold was moved."""
    lines = [_("Network: {model}").format(model=report.get("model", "?"))]
    if report.get("brain_ml") is not None:
        lines.append(_("Brain that was scanned: {ml:.0f} ml").format(ml=report["brain_ml"]))
    if marked_ml is not None:
        lines.append(_("Marked as anomaly at this threshold: {ml:.1f} ml").format(ml=marked_ml))
    elif report.get("anomaly_ml") is not None:
        lines.append(_marked(report))
    for name, text in (
        ("error_well", _("Expected error of the T1, healthy part: {error:.3f} (white matter is 0.8)")),
        ("error_sick", _("Expected error of the T1, under the anomaly: {error:.3f}")),
        ("likeness", _("Likeness of both sides: {error:.2f}")),
    ):
        if report.get(name) is not None:
            lines.append(text.format(error=report[name]))
    if report.get("stages"):
        lines.append(_("Computing time: {seconds:.0f} s").format(seconds=sum(report["stages"].values())))
    lines.append(_("The healthy brain is made up; a map without anomalies is no proof of health."))
    return "\n".join(lines + [_("Note: {text}").format(text=text) for text in warnings])


def _marked(report: Mapping[str, Any]) -> str:
    if not report.get("pieces"):
        return _("Marked as anomaly: nothing reaches the threshold")
    return _("Marked as anomaly: {ml:.1f} ml in {pieces} pieces, the largest {largest:.1f} ml").format(
        ml=report["anomaly_ml"], pieces=report["pieces"], largest=report["largest_ml"]
    )
