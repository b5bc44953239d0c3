"""`synthreg contrast-pairs`: registered pairs of native and contrast-enhanced CT for training, from DICOM studies.

A pair is two series of one study in one frame of reference, one native and one arterial (or portal venous) by the HU of
its aorta, or by its tags if the aorta is not detected reliably. The contrast series is registered to the native one
with a body mask, as in MFM (B.5, B.6). Dual-energy series are excluded. The output names no patient.
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

from SlicerSynthReg.errors import ImageError
from SlicerSynthReg.io.ct_series import CTSeries, find_ct_series
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.metrics.ct_check import check_ct
from SlicerSynthReg.registration.brain_pipeline import BrainPipelineConfig, register_brains
from SlicerSynthReg.registration.inputs import RegistrationInputs
from SlicerSynthReg.spatial.morphology import largest_component
from SlicerSynthReg.spatial.transform import Affine, Transform

AIR_HU = -1024.0
PHASES = ("arterial", "portal venous or late")
SPACING_MM = 3.0
MIN_OVERLAP = 0.6
TABLE_GAP_MM = 4.0
Log = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class PhasedSeries:
    """A series with its image and its phase: "native", "arterial", "portal venous or late" or ""."""

    series: CTSeries
    image: Image
    phase: str


@dataclass(frozen=True, eq=False)
class ContrastPair:
    """A native and a contrast-enhanced series of one patient."""

    patient: str
    native: PhasedSeries
    contrast: PhasedSeries


def read_phased_series(series: CTSeries, log: Log, interpolate_gaps: bool = False) -> PhasedSeries | None:
    """Read a series and determine its phase; return None, after logging the reason, if it is unsuitable."""
    if series.dual_energy:
        log(f"  series {series.number}: dual energy, excluded")
        return None
    try:
        image = series.read(interpolate_gaps)
        check = check_ct(image)
    except ImageError as error:
        log(f"  series {series.number}: excluded. {error.text}")
        return None
    phase = check.timing or ("native" if check.phase == "native" else series.phase)
    if check.phase != "unknown" and series.phase and series.phase != phase:
        log(f"  series {series.number}: tags state {series.phase}, but {check.reasons[0]}: used as {phase}")
    elif check.phase == "unknown":
        log(f"  series {series.number}: {check.reasons[0]}; tags state {series.phase or 'no phase'}")
    tilt = series.tilt_degrees
    if tilt > 0.5:
        log(f"  series {series.number}: gantry tilt of {tilt:.1f} degrees, kept in its grid")
    return PhasedSeries(series, image, phase)


def select_pair(series: list[PhasedSeries], phase: str) -> tuple[ContrastPair | None, str]:
    """Return the native and the contrast series of `phase` with the most similar slices, or None and the reason.

    series: of one study. Only series of one frame of reference with enough common field of view are paired.
    """
    natives = [scan for scan in series if scan.phase == "native"]
    contrasts = [scan for scan in series if scan.phase == phase]
    if not natives or not contrasts:
        return None, f"{len(natives)} native and {len(contrasts)} {phase} series, expected one of each"
    reasons = []
    best: tuple[float, ContrastPair] | None = None
    for native in natives:
        for contrast in contrasts:
            reason = pairing_obstacle(native, contrast)
            if reason:
                reasons.append(reason)
                continue
            grids = native.image.grid, contrast.image.grid
            kernels = {str(item.series.header.get("ConvolutionKernel", "")) for item in (native, contrast)}
            cost = float(np.abs(np.log(grids[0].spacing / grids[1].spacing)).sum())
            cost += 0.1 * len(kernels) + 0.02 * float(grids[0].spacing.max())
            if best is None or cost < best[0]:
                best = cost, ContrastPair(native.series.patient, native, contrast)
    return (best[1], "") if best else (None, "; ".join(sorted(set(reasons))))


def pairing_obstacle(native: PhasedSeries, contrast: PhasedSeries) -> str:
    """Return why the two series cannot be a pair, or ""."""
    a, b = native.series, contrast.series
    names = f"series {a.number} and {b.number}"
    if a.study != b.study or a.patient != b.patient:
        return f"{names} are of different studies"
    if not a.frame or a.frame != b.frame:
        return f"{names} have different frames of reference: the patient moved between them"
    grids = native.image.grid, contrast.image.grid
    cosine = float(np.abs(grids[0].directions[:, 2] @ grids[1].directions[:, 2]))
    if cosine < np.cos(np.radians(5)):
        return f"{names} have different slice orientations"
    corners = [grid.index_to_world(grid.corner_indices()) for grid in grids]
    low = np.max([c.min(0) for c in corners], axis=0)
    high = np.min([c.max(0) for c in corners], axis=0)
    shared = float(np.prod(np.clip(high - low, 0, None)))
    smaller = min(float(np.prod(np.ptp(c, axis=0))) for c in corners)
    if shared < MIN_OVERLAP * smaller:
        share = f"{100 * shared / smaller:.0f} %"
        return f"{names} share {share} of their field of view, expected {100 * MIN_OVERLAP:.0f} % or more"
    return ""


def body_mask(image: Image) -> Image:
    """Return the largest component above -300 HU, filled slice by slice, without table and clothes. Raises ImageError
    (body-missing)."""
    inside = (image.data[0] > -300).numpy()
    within_slices = generate_binary_structure(3, 1)
    within_slices[:, :, [0, 2]] = False
    steps = max(1, round(TABLE_GAP_MM / float(image.grid.spacing[:2].mean())))
    body = largest_component(torch.from_numpy(binary_opening(inside, within_slices, steps))).numpy()
    if not body.any():
        raise ImageError("Found nothing denser than air, expected a body. Choose another series.", code="body-missing")
    for k in range(body.shape[2]):
        body[:, :, k] = binary_fill_holes(body[:, :, k])
    return Image(torch.from_numpy(body[None].astype(np.int32)), image.grid, "labels")


def register_pair(found: ContrastPair, spacing: float = SPACING_MM) -> tuple[Image, Transform, float, float]:
    """Return the contrast image on the native grid, the transform (native RAS mm -> contrast RAS mm), and the local
    correlation before and after.

    The affine stage starts from the common frame of reference. Outside the contrast image the result is air.
    """
    native, contrast = found.native.image, found.contrast.image
    inputs = RegistrationInputs(
        native,
        contrast,
        fixed_mask=body_mask(native),
        moving_mask=body_mask(contrast),
        initial_transform=Affine(np.eye(4)),
    )
    done = register_brains(inputs, BrainPipelineConfig(spacing_mm=spacing, network=False))
    raised = replace(contrast, data=contrast.data - AIR_HU)
    moved = raised.resampled(native.grid, done.transform)
    return replace(moved, data=moved.data + AIR_HU), done.transform, done.similarity_before, done.similarity_after


def split_patients(patients: list[str], test_share: float, seed: int = 0) -> dict[str, str]:
    """Return "train" or "test" for each patient; all studies of a patient are in one part."""
    once = sorted(set(patients))
    order = np.random.default_rng(seed).permutation(len(once))
    count = round(test_share * len(once))
    return {once[n]: "test" if rank < count else "train" for rank, n in enumerate(order)}


@dataclass(frozen=True)
class PairingOptions:
    """phase: of the contrast series, one of PHASES. test_share: fraction of patients for testing. interpolate_gaps:
    interpolate missing slices. spacing: mm, of the registration."""

    phase: str = "arterial"
    test_share: float = 0.2
    interpolate_gaps: bool = False
    spacing: float = SPACING_MM


def write_pairs(studies: Path, out: Path, options: PairingOptions, log: Log) -> int:
    """Write one pair per study into `out`/train or `out`/test/patientNNNN-V (native.nii.gz, contrast.nii.gz) and
    `out`/pairs.csv; return the number of pairs. Existing pairs are kept.

    studies: folder of DICOM files. log: called with one line per event.
    """
    series, excluded = find_ct_series(studies)
    for words in excluded:
        log(f"Excluded: {words}.")
    order = {study: n for n, study in enumerate(sorted({scan.study for scan in series}), start=1)}
    patients = {scan.study: scan.patient for scan in series}
    parts = split_patients(list(patients.values()), options.test_share)
    numbers = _patient_numbers(list(patients.values()))
    rows = []
    for study, number in order.items():
        log(f"Study {number} of {len(order)}:")
        patient = numbers[patients[study]]
        visit = 1 + sum(patients[other] == patients[study] for other in order if order[other] < number)
        case = out / parts[patients[study]] / f"patient{patient:04d}-{visit}"
        if not (case / "pair.json").exists():
            candidates = [
                read_phased_series(scan, log, options.interpolate_gaps) for scan in series if scan.study == study
            ]
            found, reason = select_pair([candidate for candidate in candidates if candidate is not None], options.phase)
            if found is None:
                log(f"  no pair: {reason}")
                continue
            _write(found, case, options.spacing, log)
        record = json.loads((case / "pair.json").read_text())
        rows.append({"case": case.name, "part": parts[patients[study]], "patient": patient, **record})
    if rows:
        with open(out / "pairs.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    log(f"{len(rows)} pairs of {len(order)} studies in {out.name}.")
    return len(rows)


def _patient_numbers(patients: list[str]) -> dict[str, int]:
    """Number the patients, those with several studies first: validation takes the last by name, and must not split a
    patient's studies."""
    once = sorted(set(patients), key=lambda item: (-patients.count(item), item))
    return {item: n for n, item in enumerate(once, start=1)}


def _write(found: ContrastPair, case: Path, spacing: float, log: Log) -> None:
    contrast, _, before, after = register_pair(found, spacing)
    numbers = f"{found.native.series.number} and {found.contrast.series.number}"
    log(f"  series {numbers}: local correlation {before:.2f}, after registration {after:.2f}")
    case.mkdir(parents=True, exist_ok=True)
    write_image(found.native.image, case / "native.nii.gz", derived=False)
    write_image(contrast, case / "contrast.nii.gz")
    record = {
        "phase": found.contrast.phase,
        "ncc_before": round(before, 4),
        "ncc_after": round(after, 4),
        "spacing_mm": [round(float(s), 4) for s in found.native.image.grid.spacing],
    }
    partial = case / ".pair.json.partial"
    partial.write_text(json.dumps(record) + "\n")
    partial.replace(case / "pair.json")
