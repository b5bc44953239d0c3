"""Verdicts on measured values. The thresholds are conventions that select results for review, not a proof of
quality."""

from __future__ import annotations

import math
from dataclasses import dataclass

from SlicerSynthReg.report.record import RegistrationReport, TransformQuality

GOOD, REVIEW, BAD = "good", "review", "bad"
MAX_FOLDING_PER_MILLION = 100.0
GOOD_INVERSE_VOX, BAD_INVERSE_VOX = 0.2, 1.0
MAX_VOLUME_CHANGE = 5.0
UNCHANGED_DICE, UNCHANGED_TRE_MM = 0.005, 0.1


@dataclass(frozen=True)
class Verdict:
    """One row of a report. level: GOOD, REVIEW or BAD. text: the reason."""

    measure: str
    value: str
    level: str
    text: str


def verdicts(report: RegistrationReport) -> tuple[Verdict, ...]:
    """Return a verdict on each measure of `report`."""
    quality = report.transform_quality
    rows = [_folding(quality), _volume_change(quality), _inverse_consistency(quality)]
    if report.overlap is not None:
        overlap = report.overlap.dice_before, report.overlap.dice_after
        rows.append(_change("Dice (mean over structures)", *overlap, tolerance=UNCHANGED_DICE))
    if report.landmarks is not None:
        error = report.landmarks.tre_before, report.landmarks.tre_after
        rows.append(_change("Landmark error (mean TRE)", *error, tolerance=UNCHANGED_TRE_MM, unit=" mm"))
    if report.similarity is not None:
        similarity = report.similarity.similarity_before, report.similarity.similarity_after
        rows.append(_change("Local correlation (NCC)", *similarity, tolerance=0.0))
    return tuple(rows)


def review_priority(report: RegistrationReport) -> tuple[float, ...]:
    """Return a sort key; the greater, the sooner a person should review. Verdicts first, then the remaining errors."""
    levels = [verdict.level for verdict in verdicts(report)]
    overlap_error = 0.0 if report.overlap is None else 1 - report.overlap.dice_after
    landmark_error = 0.0 if report.landmarks is None else report.landmarks.tre_after
    quality = report.transform_quality
    rest = (overlap_error, landmark_error, quality.folding_fraction, quality.inverse_consistency_vox_mean)
    return (levels.count(BAD), levels.count(REVIEW), *(math.inf if math.isnan(value) else value for value in rest))


def _not_a_number(measure: str) -> Verdict:
    return Verdict(measure, "not a number", BAD, "Could not be computed. Do not use this result.")


def _folding(quality: TransformQuality) -> Verdict:
    name, share = "Folding", quality.folding_fraction
    if not math.isfinite(share):
        return _not_a_number(name)
    if share == 0:
        return Verdict(name, "none", GOOD, "The Jacobian determinant is positive everywhere.")
    value = f"{share * 1e6:.3g} per million voxels" if share < 0.01 else f"{share:.1%} of voxels"
    if share * 1e6 <= MAX_FOLDING_PER_MILLION:
        return Verdict(name, value, REVIEW, "A few voxels fold, usually at the border of the image.")
    return Verdict(name, value, BAD, "The transform folds in places. Review them before you use the result.")


def _volume_change(quality: TransformQuality) -> Verdict:
    name, low, high = "Local volume change", quality.jacobian_min, quality.jacobian_max
    if not (math.isfinite(low) and math.isfinite(high)):
        return _not_a_number(name)
    value = f"× {low:.2f} to × {high:.2f}"
    if low <= 0:
        return Verdict(name, value, REVIEW, "Values of zero and below are the folding above.")
    if low < 1 / MAX_VOLUME_CHANGE or high > MAX_VOLUME_CHANGE:
        return Verdict(name, value, REVIEW, f"More than {MAX_VOLUME_CHANGE:.0f}-fold somewhere. Review that place.")
    return Verdict(name, value, GOOD, f"Less than {MAX_VOLUME_CHANGE:.0f}-fold everywhere.")


def _inverse_consistency(quality: TransformQuality) -> Verdict:
    name, vox = "Inverse consistency (mean)", quality.inverse_consistency_vox_mean
    if not math.isfinite(vox):
        return _not_a_number(name)
    value = f"{quality.inverse_consistency_mm_mean:.3f} mm ({vox:.3f} voxels)"
    if vox <= GOOD_INVERSE_VOX:
        return Verdict(name, value, GOOD, "The inverse transform maps points back to their origin.")
    if vox <= BAD_INVERSE_VOX:
        return Verdict(name, value, REVIEW, "The inverse transform misses the origin by less than a voxel.")
    text = "The inverse transform misses the origin by more than a voxel. Do not map points with it."
    return Verdict(name, value, BAD, text)


def _change(measure: str, before: float, after: float, *, tolerance: float, unit: str = "") -> Verdict:
    """Return the verdict on a change. Values with a unit are errors (lower is better); others are scores."""
    if not (math.isfinite(before) and math.isfinite(after)):
        return _not_a_number(measure)
    digits = 1 if unit else 3
    value = f"{before:.{digits}f} → {after:.{digits}f}{unit}"
    gain = before - after if unit else after - before
    if gain > tolerance:
        return Verdict(measure, value, GOOD, "Better after registration.")
    if gain >= -tolerance:
        return Verdict(measure, value, REVIEW, "Unchanged by registration.")
    return Verdict(measure, value, BAD, "Worse after registration.")
