"""The measures of a registration as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slicer.i18n import tr as _


def figures(report: Mapping[str, Any]) -> dict[str, float]:
    """Return the measures by which results are compared, as far as they were measured: dice, tre (mm), folding
    (fraction), similarity, seconds."""
    stages = _part(report, "run").get("stages")
    measured = {
        "dice": _part(report, "overlap").get("dice_after"),
        "tre": _part(report, "landmarks").get("tre_after"),
        "folding": _part(report, "transform_quality").get("folding_fraction"),
        "similarity": _part(report, "similarity").get("similarity_after"),
        "seconds": sum(stages.values()) if stages else None,
    }
    return {name: float(value) for name, value in measured.items() if value is not None}


def summary(report: Mapping[str, Any], warnings: list[str]) -> str:
    """Return one line per measure; measures that are missing are left out."""
    run, quality = _part(report, "run"), _part(report, "transform_quality")
    lines = [_("Method: {model}").format(model=run.get("model", "?"))]
    folding = quality.get("folding_fraction")
    if folding is not None:
        lines.append(
            _("Folding: none")
            if folding == 0
            else _("Folding: {share:.3f} % of the voxels").format(share=100 * folding)
        )
    error_mm = quality.get("inverse_consistency_mm_mean")
    if error_mm is not None:
        lines.append(_("Inverse consistency: {error:.2f} mm (mean)").format(error=error_mm))
    for part, name, text in (
        ("overlap", "dice", _("Overlap of the labels (Dice): {before:.2f} before, {after:.2f} after")),
        ("landmarks", "tre", _("Landmark error (TRE): {before:.1f} mm before, {after:.1f} mm after")),
    ):
        before, after = (_part(report, part).get(f"{name}_{when}") for when in ("before", "after"))
        if before is not None and after is not None:
            lines.append(text.format(before=before, after=after))
    if run.get("stages"):
        lines.append(_("Computing time: {seconds:.0f} s").format(seconds=sum(run["stages"].values())))
    lines += [_("Note: {text}").format(text=text) for text in warnings]
    return "\n".join(lines)


def _part(report: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return report.get(name) or {}
