"""A registration's figures in a few plain lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slicer.i18n import tr as _


def figures(report: Mapping[str, Any]) -> dict[str, float]:
    """The numbers by which results are compared, those that were measured: dice, tre (mm), folding (share),
    similarity, seconds."""
    stages = report.get("stages")
    found = {
        "dice": report.get("dice_after"),
        "tre": report.get("tre_after"),
        "folding": report.get("folding_share"),
        "similarity": report.get("similarity_after"),
        "seconds": sum(stages.values()) if stages else None,
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def summary(report: Mapping[str, Any], warnings: list[str]) -> str:
    """One line a figure; what was not measured is left out."""
    lines = [_("Method: {model}").format(model=report.get("model", "?"))]
    folding = report.get("folding_share")
    if folding is not None:
        lines.append(
            _("Folding: none")
            if folding == 0
            else _("Folding: {share:.3f} % of the voxels").format(share=100 * folding)
        )
    if report.get("inverse_consistency_mm_mean") is not None:
        lines.append(
            _("There and back: {error:.2f} mm off on average").format(error=report["inverse_consistency_mm_mean"])
        )
    for before, after, text in (
        ("dice_before", "dice_after", _("Overlap of the labels (Dice): {before:.2f} before, {after:.2f} after")),
        ("tre_before", "tre_after", _("Distance of the landmarks: {before:.1f} mm before, {after:.1f} mm after")),
    ):
        if report.get(before) is not None and report.get(after) is not None:
            lines.append(text.format(before=report[before], after=report[after]))
    if report.get("stages"):
        lines.append(_("Computing time: {seconds:.0f} s").format(seconds=sum(report["stages"].values())))
    lines += [_("Note: {text}").format(text=text) for text in warnings]
    return "\n".join(lines)
