"""What a number means, in words: the thresholds are conventions for looking twice, not proof of a good registration."""

from __future__ import annotations

import math
from dataclasses import dataclass

from SlicerSynthReg.report.record import RegistrationReport

GOOD, LOOK, BAD = "good", "look", "bad"
FOLDING_PER_MILLION = 100.0
INVERSE_GOOD_VOX, INVERSE_BAD_VOX = 0.2, 1.0
VOLUME_CHANGE = 5.0
DICE_SAME, TRE_SAME_MM = 0.005, 0.1


@dataclass(frozen=True)
class Verdict:
    """One row of a report. level: GOOD, LOOK (look twice) or BAD; text says why, in plain words."""

    measure: str
    value: str
    level: str
    text: str


def verdicts(report: RegistrationReport) -> tuple[Verdict, ...]:
    """A verdict on each number the report holds."""
    rows = [_folding(report), _volume_change(report), _inverse(report)]
    if report.dice_before is not None and report.dice_after is not None:
        rows.append(_change("Dice (mean over structures)", report.dice_before, report.dice_after, DICE_SAME, "", True))
    if report.tre_before is not None and report.tre_after is not None:
        rows.append(_change("Landmark distance (mean)", report.tre_before, report.tre_after, TRE_SAME_MM, " mm", False))
    if report.similarity_before is not None and report.similarity_after is not None:
        rows.append(_change("Image similarity", report.similarity_before, report.similarity_after, 0.0, "", True))
    return tuple(rows)


def concern(report: RegistrationReport) -> tuple[float, ...]:
    """Sorts reports: the greater, the sooner a person should look. Verdicts first, then what is left of the error."""
    levels = [verdict.level for verdict in verdicts(report)]
    overlap_lost = 0.0 if report.dice_after is None else 1 - report.dice_after
    distance_left = report.tre_after or 0.0
    rest = (overlap_lost, distance_left, report.folding_share, report.inverse_consistency_vox_mean)
    return (levels.count(BAD), levels.count(LOOK), *(math.inf if math.isnan(value) else value for value in rest))


def _unusable(measure: str) -> Verdict:
    return Verdict(measure, "not a number", BAD, "Could not be computed: do not use this result.")


def _folding(report: RegistrationReport) -> Verdict:
    name, share = "Folding", report.folding_share
    if not math.isfinite(share):
        return _unusable(name)
    if share == 0:
        return Verdict(name, "none", GOOD, "Nowhere does tissue fold over itself.")
    value = f"{share * 1e6:.3g} per million voxels" if share < 0.01 else f"{share:.1%} of voxels"
    if share * 1e6 <= FOLDING_PER_MILLION:
        return Verdict(name, value, LOOK, "A few voxels fold; usually at the border of the image.")
    return Verdict(name, value, BAD, "Tissue folds over itself in places: look at them before using the result.")


def _volume_change(report: RegistrationReport) -> Verdict:
    name, low, high = "Local change of volume", report.jacobian_min, report.jacobian_max
    if not (math.isfinite(low) and math.isfinite(high)):
        return _unusable(name)
    value = f"× {low:.2f} to × {high:.2f}"
    if low <= 0:
        return Verdict(name, value, LOOK, "Values of zero and below are the folding above.")
    if low < 1 / VOLUME_CHANGE or high > VOLUME_CHANGE:
        return Verdict(name, value, LOOK, f"More than {VOLUME_CHANGE:.0f}-fold somewhere: plausible there?")
    return Verdict(name, value, GOOD, f"Less than {VOLUME_CHANGE:.0f}-fold everywhere.")


def _inverse(report: RegistrationReport) -> Verdict:
    name, vox = "Inverse consistency (mean)", report.inverse_consistency_vox_mean
    if not math.isfinite(vox):
        return _unusable(name)
    value = f"{report.inverse_consistency_mm_mean:.3f} mm ({vox:.3f} voxels)"
    if vox <= INVERSE_GOOD_VOX:
        return Verdict(name, value, GOOD, "There and back again ends where it began.")
    if vox <= INVERSE_BAD_VOX:
        return Verdict(name, value, LOOK, "There and back again ends less than a voxel away.")
    return Verdict(name, value, BAD, "There and back again ends more than a voxel away: do not map points backwards.")


def _change(measure: str, before: float, after: float, same: float, unit: str, higher_is_better: bool) -> Verdict:
    if not (math.isfinite(before) and math.isfinite(after)):
        return _unusable(measure)
    digits = 1 if unit else 3
    value = f"{before:.{digits}f} → {after:.{digits}f}{unit}"
    gain = after - before if higher_is_better else before - after
    if gain > same:
        return Verdict(measure, value, GOOD, "Better after registration.")
    if gain >= -same:
        return Verdict(measure, value, LOOK, "No change worth naming.")
    return Verdict(measure, value, BAD, "Worse after registration.")
