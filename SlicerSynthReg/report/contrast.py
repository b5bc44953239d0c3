"""Report of a conversion between native and contrast-enhanced CT: record, picture and page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from matplotlib.figure import Figure

from SlicerSynthReg.contrast.evaluation import BoundaryChange, HUChange, NetworkUse, OrganHU, PhaseCheck
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.report.figure import ImageColumn, column_figure
from SlicerSynthReg.report.html import badge, bullet_list, document, embedded_image, table, verdict_table
from SlicerSynthReg.report.page import parameter_rows, run_table
from SlicerSynthReg.report.record import RunRecord
from SlicerSynthReg.report.verdict import GOOD, REVIEW, Verdict
from SlicerSynthReg.report.views import Framing, display_array, display_spacing, foreground_framing, require_one_grid
from SlicerSynthReg.weights.registry import Card

ABDOMEN_HU = (-160.0, 240.0)
CHANGE_HU, CYCLE_HU = 200.0, 60.0
BODY_HU = -300.0
CYCLE_LIMIT_HU, UNENHANCED_LIMIT_HU = 15.0, 5.0
SHIFT_LIMIT_MM, SHARPNESS_LIMIT = 0.1, 0.95
PHASES = {"native": "native (unenhanced)", "arterial": "arterial-phase", "contrast": "contrast-enhanced"}
LIMITS = (
    "The result is a prediction of the other phase. It can miss lesions and can show structures that do not exist: a "
    "lesion that is visible only after contrast injection cannot be predicted from a native scan.",
    "The cycle error shows where conversion and back-conversion disagree. A small error does not prove that the result "
    "is correct.",
    "Do not draw conclusions on a patient from a synthetic series alone.",
)


@dataclass(frozen=True)
class ContrastReport:
    """Report of one conversion. image_name: base name of the input. target_phase: "native" or "arterial". boundaries,
    reference: None if not measured; see contrast.evaluation.ContrastMeasures."""

    image_name: str
    target_phase: str
    phase: PhaseCheck
    change: HUChange
    network: NetworkUse
    run: RunRecord
    boundaries: BoundaryChange | None = None
    organs: tuple[OrganHU, ...] = ()
    reference: dict[str, float] | None = None
    warnings: tuple[str, ...] = ()


def contrast_page(report: ContrastReport, picture: bytes, card: Card) -> str:
    """Return the report as self-contained HTML. picture: PNG."""
    title = f"Synthetic {report.target_phase} CT"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Input: <b>{escape(report.image_name)}</b>. Output: synthetic {PHASES[report.target_phase]} CT by "
        f"<b>{escape(report.run.model)}</b>. {badge(REVIEW, 'synthetic')} Not a scan of the patient.</p>",
    ]
    if card.synthetic_training_only:
        parts.append(f"<p>{badge(REVIEW, 'phantoms only')} This model was trained on phantoms and not validated on "
                     "patients.</p>")  # fmt: skip
    if report.warnings:
        parts += ["<h2>Warnings</h2>", bullet_list(report.warnings)]
    parts += [
        "<h2>Input, output and difference</h2>",
        embedded_image(picture, "Three planes of the scan, the synthetic CT, their difference and the cycle error"),
        '<p class="quiet">Radiological convention: the patient’s right is on the left of the axial and coronal '
        "views. Abdomen window: level 40, width 400 HU.</p>",
        "<h2>Measures</h2>",
        verdict_table(verdicts(report)),
    ]
    if report.organs:
        parts += ["<h2>Organs, median HU</h2>", _organ_table(report.organs)]
    if report.reference:
        rows = [(escape(name), escape(f"{value:.4g}")) for name, value in report.reference.items()]
        parts += ["<h2>Error against the reference image</h2>", table(("Measure", "Value"), rows, "pairs")]
    parts += ["<h2>Limits</h2>", bullet_list((*LIMITS, card.limits)), "<h2>Computation</h2>", _network_line(report)]
    parts += [run_table(report.run), "<h2>Parameters</h2>", parameter_rows(report.run)]
    return document(f"{title} of {report.image_name}", "\n".join(parts))


def verdicts(report: ContrastReport) -> tuple[Verdict, ...]:
    """Return a verdict on each measure; the limits are conventions for a review."""
    change, boundaries = report.change, report.boundaries
    rows = [
        Verdict("Mean change in the body", f"{change.body_hu:.1f} HU", GOOD, "Difference between output and input."),
        *(_unenhanced(name, value) for name, value in change.unenhanced_hu.items()),
    ]
    if report.phase.output != "unknown":
        expected = "native" if report.target_phase == "native" else "contrast"
        agrees = report.phase.output == expected
        text = "As requested." if agrees else f"Expected {PHASES[report.target_phase]}: review the aorta."
        rows.append(Verdict("Detected phase", PHASES[report.phase.output], GOOD if agrees else REVIEW, text))
    if boundaries is not None:
        moved, blurred = boundaries.shift_mm > SHIFT_LIMIT_MM, boundaries.sharpness < SHARPNESS_LIMIT
        text = "Shifted: the anatomy must not move." if moved else "The anatomy did not move."
        rows.append(Verdict("Boundary shift", f"{boundaries.shift_mm:.2f} mm", REVIEW if moved else GOOD, text))
        text = "Blurred." if blurred else "As sharp as the input."
        rows.append(Verdict("Boundary sharpness", f"{boundaries.sharpness:.2f}", REVIEW if blurred else GOOD, text))
    if change.cycle_hu is not None:
        good = change.cycle_hu < CYCLE_LIMIT_HU
        text = "Back-conversion recovers soft tissue." if good else "Back-conversion does not recover soft tissue."
        rows.append(Verdict("Cycle error", f"{change.cycle_hu:.1f} HU", GOOD if good else REVIEW, text))
    return tuple(rows)


def _unenhanced(name: str, value: float) -> Verdict:
    good = value <= UNENHANCED_LIMIT_HU
    text = "Unchanged." if good else "Changed, although it takes up no iodine: review the difference."
    return Verdict(f"Median change in {name}", f"{value:.1f} HU", GOOD if good else REVIEW, text)


def _organ_table(organs: Sequence[OrganHU]) -> str:
    reference = any(organ.reference is not None for organ in organs)
    header = ("Organ", "Voxels", "Scan", "Synthetic", "Change") + (("Reference",) if reference else ())
    rows = []
    for organ in organs:
        change = f"{organ.after - organ.before:+.0f}".replace("-", "−")
        cells = [escape(organ.name), f"{organ.voxels}", f"{organ.before:.0f}", f"{organ.after:.0f}", change]
        rows.append([*cells, "" if organ.reference is None else f"{organ.reference:.0f}"] if reference else cells)
    return table(header, rows)


def _network_line(report: ContrastReport) -> str:
    use = report.network
    pixels = " x ".join(map(str, use.pixels))
    return (
        f"<p>Network: {use.slices} slices of {pixels} pixels, {use.nfe} evaluations (NFE) per slice and direction.</p>"
    )


def contrast_picture(scan: Image, converted: Image, target_phase: str, cycle_error: Image | None = None) -> Figure:
    """Draw rows axial, coronal, sagittal and columns scan, synthetic, difference and, if given, cycle error.

    All images on one grid, in HU. The slices pass through the largest change within the body.
    """
    require_one_grid(scan, [converted, *([cycle_error] if cycle_error else [])])
    before, after = (display_array(image).astype(np.float32) for image in (scan, converted))
    columns = [
        ImageColumn("Scan", before, "gray", ABDOMEN_HU),
        ImageColumn(f"Synthetic {target_phase}", after, "gray", ABDOMEN_HU),
        ImageColumn(f"Difference, ±{CHANGE_HU:.0f} HU", after - before, "RdBu_r", (-CHANGE_HU, CHANGE_HU)),
    ]
    if cycle_error:
        error = display_array(cycle_error)
        columns.append(ImageColumn(f"Cycle error, 0 to {CYCLE_HU:.0f} HU", error, "inferno", (0, CYCLE_HU)))
    spacing = display_spacing(scan.grid)
    return column_figure(columns, _framed(before, after, spacing), spacing, scan.name)


def _framed(before: np.ndarray, after: np.ndarray, spacing: np.ndarray) -> Framing:
    """Return the body's bounding box with slices at the largest change."""
    body = before > BODY_HU
    box = foreground_framing(body if body.any() else np.ones(before.shape, dtype=bool), spacing)
    change = np.abs(after - before) * body
    centre = tuple(
        int(np.argmax(change.sum(axis=tuple(other for other in range(3) if other != axis)))) if change.any() else middle
        for axis, middle in enumerate(box.centre)
    )
    return Framing(centre, box.low, box.high)
