"""A translation between native and contrast CT: its record and its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from SlicerSynthReg.report.html import badge, bullets, document, embedded_image, table, verdict_table
from SlicerSynthReg.report.verdict import GOOD, LOOK, Verdict
from SlicerSynthReg.weights.registry import Card

CYCLE_GOOD_HU, KEPT_GOOD_HU = 15.0, 5.0
SHIFT_GOOD_MM, SHARP_GOOD = 0.1, 0.95
KINDS = {"native": "native (without contrast)", "contrast": "arterial contrast"}
LIMITS = (
    "The result is a guess of how this patient would look in the other phase. It can miss lesions, and it can show "
    "what is not there: a lesion that only contrast would show cannot be in a scan without contrast.",
    "The cycle error shows where there and back do not agree. A small one does not prove that the result is right.",
    "Do not draw conclusions on a patient from a synthetic series alone.",
)


@dataclass(frozen=True)
class OrganValues:
    """Median HU of one organ before and after, and its voxels. truth: in the true image, where there is one."""

    name: str
    before: float
    after: float
    voxels: int
    truth: float | None = None


@dataclass(frozen=True)
class ContrastReport:
    """One translation. image: the input's base name. phase, phase_made: what input and result look like. evaluations:
    calls of the network for a slice. pixels: of the slices it saw. kept_hu: median |change| in tissues that iodine does
    not reach, by name. cycle_hu: mean error in soft tissue after there and back. shift_mm: how far the borders of body,
    lung and gas have moved; sharpness: their steepness over the scan's. truth: measures of MFM against the true image.
    """

    image: str
    to: str
    model: str
    config: dict[str, Any]
    stages: dict[str, float]
    evaluations: int
    pixels: tuple[int, int]
    slices: int
    change_hu: float
    kept_hu: dict[str, float]
    phase: str = "unknown"
    phase_made: str = "unknown"
    cycle_hu: float | None = None
    shift_mm: float | None = None
    sharpness: float | None = None
    organs: tuple[OrganValues, ...] = ()
    truth: dict[str, float] | None = None
    warnings: tuple[str, ...] = ()
    peak_memory_mb: float | None = None
    device: str = ""
    version: str = ""


def contrast_page(report: ContrastReport, picture: bytes, card: Card) -> str:
    """Self-contained HTML."""
    parts = [
        f"<h1>Synthetic {escape(report.to)} CT</h1>",
        f"<p>From <b>{escape(report.image)}</b> a synthetic {KINDS[report.to]} CT was made with "
        f"<b>{escape(report.model)}</b>. {badge(LOOK, 'synthetic')} Not a scan of the patient.</p>",
    ]
    if card.synthetic_training_only:
        parts.append(f"<p>{badge(LOOK, 'phantoms only')} This model was trained on phantoms and not validated on "
                     "patients.</p>")  # fmt: skip
    if report.warnings:
        parts += ["<h2>Warnings</h2>", bullets(report.warnings)]
    parts += [
        "<h2>Before, after and difference</h2>",
        embedded_image(picture, "Three planes of the scan, the synthetic CT, their difference and the cycle error"),
        '<p class="quiet">Radiological convention: the patient’s right is on the left of the axial and coronal '
        "views. Abdomen window: level 40, width 400 HU.</p>",
        "<h2>Numbers</h2>",
        verdict_table(verdicts(report)),
    ]
    if report.organs:
        parts += ["<h2>Organs, median HU</h2>", _organs(report.organs)]
    if report.truth:
        rows = [(escape(name), escape(f"{value:.4g}")) for name, value in report.truth.items()]
        parts += ["<h2>Against the true image</h2>", table(("Measure", "Value"), rows, "pairs")]
    parts += ["<h2>Limits</h2>", bullets((*LIMITS, card.limits)), "<h2>Time and machine</h2>", _machine(report)]
    settings = [(escape(name), escape(str(value))) for name, value in report.config.items()]
    parts += ["<h2>Settings</h2>", table(("Setting", "Value"), settings, "pairs")]
    return document(f"Synthetic {report.to} CT of {report.image}", "\n".join(parts))


def verdicts(report: ContrastReport) -> tuple[Verdict, ...]:
    """A verdict on each number; the thresholds are conventions for a second look."""
    rows = [
        Verdict("Mean change in the body", f"{report.change_hu:.1f} HU", GOOD, "How much differs from the scan."),
        *(_kept(name, value) for name, value in report.kept_hu.items()),
    ]
    if report.phase_made != "unknown":
        right = report.phase_made == report.to
        text = "As asked." if right else f"Expected {KINDS[report.to]}: look at the aorta."
        rows.append(Verdict("The result looks", KINDS[report.phase_made], GOOD if right else LOOK, text))
    if report.shift_mm is not None and report.sharpness is not None:
        moved, blurred = report.shift_mm > SHIFT_GOOD_MM, report.sharpness < SHARP_GOOD
        text = "Moved: the anatomy must not." if moved else "Anatomy lies where it lay."
        rows.append(Verdict("Shift of borders", f"{report.shift_mm:.2f} mm", LOOK if moved else GOOD, text))
        text = "Blurred." if blurred else "As sharp as in the scan."
        rows.append(Verdict("Sharpness of borders", f"{report.sharpness:.2f}", LOOK if blurred else GOOD, text))
    if report.cycle_hu is not None:
        good = report.cycle_hu < CYCLE_GOOD_HU
        text = "Translated back, soft tissue returns." if good else "Translated back, soft tissue does not return."
        rows.append(Verdict("Cycle error", f"{report.cycle_hu:.1f} HU", GOOD if good else LOOK, text))
    return tuple(rows)


def _kept(name: str, value: float) -> Verdict:
    good = value <= KEPT_GOOD_HU
    text = "Left as it was." if good else "Changed, where iodine does not reach: look at the difference."
    return Verdict(f"Median change in {name}", f"{value:.1f} HU", GOOD if good else LOOK, text)


def _organs(organs: Sequence[OrganValues]) -> str:
    truth = any(one.truth is not None for one in organs)
    header = ("Organ", "Voxels", "Scan", "Synthetic", "Change") + (("True image",) if truth else ())
    rows = []
    for one in organs:
        change = f"{one.after - one.before:+.0f}".replace("-", "−")
        cells = [escape(one.name), f"{one.voxels}", f"{one.before:.0f}", f"{one.after:.0f}", change]
        rows.append([*cells, "" if one.truth is None else f"{one.truth:.0f}"] if truth else cells)
    return table(header, rows)


def _machine(report: ContrastReport) -> str:
    rows = [(escape(stage), f"{seconds:.1f} s") for stage, seconds in report.stages.items()]
    rows.append(("<b>Total</b>", f"<b>{sum(report.stages.values()):.1f} s</b>"))
    pixels = " x ".join(map(str, report.pixels))
    rows.append(("Network", f"{report.slices} slices, {pixels} pixels, {report.evaluations} calls a slice, one way"))
    if report.peak_memory_mb is not None:
        rows.append(("Peak memory", f"{report.peak_memory_mb:,.0f} MB"))
    rows += [(name, escape(text)) for name, text in (("Device", report.device), ("Version", report.version)) if text]
    return table(("Stage", ""), rows, "pairs")
