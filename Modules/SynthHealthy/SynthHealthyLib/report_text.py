"""The measures of a reconstruction as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slicer.i18n import tr as _


def figures(report: Mapping[str, Any], warnings: list[str], marked_ml: float | None = None) -> str:
    """Return one line per measure; missing measures are left out. marked_ml: volume at a changed threshold."""
    run, anomaly, error = (report.get(part) or {} for part in ("run", "anomaly", "expected_error"))
    lines = [_("Network: {model}").format(model=run.get("model", "?"))]
    if report.get("brain_ml") is not None:
        lines.append(_("Brain volume in the scan: {ml:.0f} ml").format(ml=report["brain_ml"]))
    if marked_ml is not None:
        lines.append(_("Marked as anomaly at this threshold: {ml:.1f} ml").format(ml=marked_ml))
    elif anomaly:
        lines.append(_marked(anomaly))
    for value, text in (
        (error.get("normal"), _("Expected error of the T1, normal tissue: {error:.3f} (white matter is 0.8)")),
        (error.get("lesion"), _("Expected error of the T1, anomaly: {error:.3f}")),
        (report.get("mirror_correlation"), _("Correlation with the contralateral side: {error:.2f}")),
    ):
        if value is not None:
            lines.append(text.format(error=value))
    if run.get("stages"):
        lines.append(_("Computing time: {seconds:.0f} s").format(seconds=sum(run["stages"].values())))
    lines.append(_("The healthy T1 is synthetic; a map without anomalies is no proof of health."))
    return "\n".join(lines + [_("Note: {text}").format(text=text) for text in warnings])


def _marked(anomaly: Mapping[str, Any]) -> str:
    if not anomaly.get("components"):
        return _("Marked as anomaly: nothing reaches the threshold")
    return _("Marked as anomaly: {ml:.1f} ml in {components} components, the largest {largest:.1f} ml").format(
        ml=anomaly["anomaly_ml"], components=anomaly["components"], largest=anomaly["largest_ml"]
    )
