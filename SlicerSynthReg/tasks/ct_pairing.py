"""`synthreg contrast-pairs`: DICOM studies -> registered pairs of native and contrast CT to learn from.

A pair is two series of one study in one frame of reference, one native and one arterial (or portal) by its aorta's HU,
or by its tags where the aorta is not clear. The contrast is registered to the native with a mask of the body, as MFM
does (B.5, B.6), by the project's own engine; dual-energy series are left out. What is written names no patient.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import binary_fill_holes, binary_opening, generate_binary_structure

from SlicerSynthReg.evaluate.ct_check import check_ct
from SlicerSynthReg.space.pieces import largest_piece
from SlicerSynthReg.space.transform import Affine, Transform
from SlicerSynthReg.tasks.alignment import AlignmentConfig, align
from SlicerSynthReg.volume.ct_series import CTSeries, find_ct_series
from SlicerSynthReg.volume.volume import Volume, VolumeError
from SlicerSynthReg.volume.write import write_volume

AIR_HU = -1024.0
PHASES = ("arterial", "portal venous or late")
SPACING_MM = 3.0
LEAST_OVERLAP = 0.6
TABLE_GAP_MM = 4.0
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Scan:
    """A series with its volume and what phase it shows: "native", "arterial", "portal venous or late" or ""."""

    series: CTSeries
    volume: Volume
    phase: str


@dataclass(frozen=True, eq=False)
class Found:
    """A native and a contrast series that belong together."""

    patient: str
    native: Scan
    contrast: Scan


def read_scan(series: CTSeries, say: Say, interpolate_gaps: bool = False) -> Scan | None:
    """None, with the reason said, where it cannot serve."""
    if series.dual:
        say(f"  series {series.number}: dual energy, left out")
        return None
    try:
        volume = series.read(interpolate_gaps)
        check = check_ct(volume)
    except VolumeError as error:
        say(f"  series {series.number}: left out. {error.text}")
        return None
    phase = check.timing or ("native" if check.phase == "native" else series.told)
    if check.phase != "unknown" and series.told and series.told != phase:
        say(f"  series {series.number}: its tags say {series.told}, but {check.reasons[0]}: taken as {phase}")
    elif check.phase == "unknown":
        say(f"  series {series.number}: {check.reasons[0]}; its tags say {series.told or 'nothing of a phase'}")
    tilt = series.tilt_degrees
    if tilt > 0.5:
        say(f"  series {series.number}: gantry tilt of {tilt:.1f} degrees, kept in its grid")
    return Scan(series, volume, phase)


def matched(scans: list[Scan], phase: str) -> tuple[Found | None, str]:
    """The native and the contrast scan of `phase` that are most alike in slices, or None and why.

    All of one study; only those of one frame of reference that show the same place are paired.
    """
    natives = [one for one in scans if one.phase == "native"]
    contrasts = [one for one in scans if one.phase == phase]
    if not natives or not contrasts:
        return None, f"{len(natives)} native and {len(contrasts)} {phase} series, expected one of each"
    reasons = []
    best: tuple[float, Found] | None = None
    for native in natives:
        for contrast in contrasts:
            reason = unlike(native, contrast)
            if reason:
                reasons.append(reason)
                continue
            grids = native.volume.grid, contrast.volume.grid
            kernels = {str(one.series.headers[0].get("ConvolutionKernel", "")) for one in (native, contrast)}
            price = float(np.abs(np.log(grids[0].spacing / grids[1].spacing)).sum())
            price += 0.1 * len(kernels) + 0.02 * float(grids[0].spacing.max())
            if best is None or price < best[0]:
                best = price, Found(native.series.patient, native, contrast)
    return (best[1], "") if best else (None, "; ".join(sorted(set(reasons))))


def unlike(native: Scan, contrast: Scan) -> str:
    """Why the two cannot be a pair, or ""."""
    a, b = native.series, contrast.series
    names = f"series {a.number} and {b.number}"
    if a.study != b.study or a.patient != b.patient:
        return f"{names} are of different studies"
    if not a.frame or a.frame != b.frame:
        return f"{names} have different frames of reference: the patient was moved between them"
    grids = native.volume.grid, contrast.volume.grid
    turn = float(np.abs(grids[0].directions[:, 2] @ grids[1].directions[:, 2]))
    if turn < np.cos(np.radians(5)):
        return f"{names} run in different directions"
    corners = [grid.index_to_world(grid.corner_indices()) for grid in grids]
    low = np.max([c.min(0) for c in corners], axis=0)
    high = np.min([c.max(0) for c in corners], axis=0)
    shared = float(np.prod(np.clip(high - low, 0, None)))
    smaller = min(float(np.prod(np.ptp(c, axis=0))) for c in corners)
    if shared < LEAST_OVERLAP * smaller:
        return (
            f"{names} share {100 * shared / smaller:.0f} % of their place, expected {100 * LEAST_OVERLAP:.0f} % or more"
        )
    return ""


def body_mask(volume: Volume) -> Volume:
    """The largest piece above -300 HU, filled slice by slice; without table and clothes."""
    inside = (volume.data[0] > -300).numpy()
    within_slices = generate_binary_structure(3, 1)
    within_slices[:, :, [0, 2]] = False
    steps = max(1, round(TABLE_GAP_MM / float(volume.grid.spacing[:2].mean())))
    body = largest_piece(torch.from_numpy(binary_opening(inside, within_slices, steps))).numpy()
    if not body.any():
        raise VolumeError("Found nothing denser than air, expected a body. Choose another series.")
    for k in range(body.shape[2]):
        body[:, :, k] = binary_fill_holes(body[:, :, k])
    return Volume(torch.from_numpy(body[None].astype(np.int32)), volume.grid, "labels")


def registered(found: Found, spacing: float = SPACING_MM) -> tuple[Volume, Transform, float, float]:
    """The contrast on the native's grid, the transform (native RAS -> contrast RAS), and the likeness before and after.

    The frame of reference is shared, so the search starts from there. Air where the contrast scan ends.
    """
    native, contrast = found.native.volume, found.contrast.volume
    config = AlignmentConfig(network=False)
    done = align(None, spacing, native, contrast, config, body_mask(native), body_mask(contrast), Affine(np.eye(4)))
    raised = replace(contrast, data=contrast.data - AIR_HU)
    moved = raised.resampled(native.grid, done.transform)
    return replace(moved, data=moved.data + AIR_HU), done.transform, done.similarity_before, done.similarity_after


def split(patients: list[str], test_share: float, seed: int = 0) -> dict[str, str]:
    """ "train" or "test" for each patient, all of one patient's studies together."""
    once = sorted(set(patients))
    order = np.random.default_rng(seed).permutation(len(once))
    count = round(test_share * len(once))
    return {once[n]: "test" if place < count else "train" for place, n in enumerate(order)}


def make_pairs(
    studies: Path,
    out: Path,
    phase: str,
    test_share: float,
    interpolate_gaps: bool,
    say: Say,
    spacing: float = SPACING_MM,
) -> int:
    """How many pairs there are now: `out`/train or `out`/test/patientNNNN-V with native.nii.gz and contrast.nii.gz, and
    `out`/pairs.csv.

    phase: one of PHASES. test_share: of the patients, kept apart. spacing: mm, of the comparison in registration. Each
    pair is one study's; one that is there already is not made again.
    """
    series, left_out = find_ct_series(studies)
    for words in left_out:
        say(f"Left out: {words}.")
    order = {study: n for n, study in enumerate(sorted({one.study for one in series}), start=1)}
    patients = {one.study: one.patient for one in series}
    parts = split(list(patients.values()), test_share)
    numbers = _numbers(list(patients.values()))
    rows = []
    for study, place in order.items():
        say(f"Study {place} of {len(order)}:")
        patient = numbers[patients[study]]
        visit = 1 + sum(patients[other] == patients[study] for other in order if order[other] < place)
        case = out / parts[patients[study]] / f"patient{patient:04d}-{visit}"
        if not (case / "pair.json").exists():
            scans = [read_scan(one, say, interpolate_gaps) for one in series if one.study == study]
            found, reason = matched([one for one in scans if one is not None], phase)
            if found is None:
                say(f"  no pair: {reason}")
                continue
            _write(found, case, spacing, say)
        record = json.loads((case / "pair.json").read_text())
        rows.append({"case": case.name, "part": parts[patients[study]], "patient": patient, **record})
    if rows:
        with open(out / "pairs.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    say(f"{len(rows)} pairs of {len(order)} studies in {out.name}.")
    return len(rows)


def _numbers(patients: list[str]) -> dict[str, int]:
    """Those with several studies first: training holds out the last by name, and must not part a patient's studies."""
    once = sorted(set(patients), key=lambda one: (-patients.count(one), one))
    return {one: n for n, one in enumerate(once, start=1)}


def _write(found: Found, case: Path, spacing: float, say: Say) -> None:
    contrast, _, before, after = registered(found, spacing)
    numbers = f"{found.native.series.number} and {found.contrast.series.number}"
    say(f"  series {numbers}: likeness {before:.2f}, registered {after:.2f}")
    case.mkdir(parents=True, exist_ok=True)
    write_volume(found.native.volume, case / "native.nii.gz", derived=False)
    write_volume(contrast, case / "contrast.nii.gz")
    record = {
        "phase": found.contrast.phase,
        "likeness_before": round(before, 4),
        "likeness_after": round(after, 4),
        "spacing_mm": [round(float(s), 4) for s in found.native.volume.grid.spacing],
    }
    partial = case / ".pair.json.partial"
    partial.write_text(json.dumps(record) + "\n")
    partial.replace(case / "pair.json")
