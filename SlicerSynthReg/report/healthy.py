"""The healthy brain behind a scan: its record and its page."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from SlicerSynthReg.report.html import badge, bullets, document, embedded_image, table, verdict_table
from SlicerSynthReg.report.verdict import GOOD, LOOK, Verdict
from SlicerSynthReg.weights.registry import Card

ERROR_GOOD = 0.08
LIKE_GOOD = 0.5
LIMITS = (
    "The healthy brain is made up: it shows what this brain may have looked like, not what was there. Inside an "
    "anomaly nothing of the patient is left to go by but the surroundings and the other side.",
    "The anomaly map is the difference between the scan and the healthy brain in the scan's own contrast. It misses "
    "what is small or faint, and it marks what is merely unusual, or what the model draws badly: vessels, wide "
    "ventricles and sulci, artefacts, post-operative change. At its threshold of 0.5 half of all healthy people have "
    "59 ml (T1) to 117 ml (T2) marked or more.",
    "A map without anomalies is no proof of health.",
    "Do not draw conclusions on a patient from it alone.",
)


@dataclass(frozen=True)
class HealthyReport:
    """One reconstruction. image: the input's base name. brain_ml: of the reconstructed brain. anomaly_ml: marked, and
    largest_ml in one piece, of `pieces`; largest_at_mm: its voxel nearest to its centre, in RAS. error_well,
    error_sick: expected absolute error of the T1 (white matter 0.8) outside and inside what was marked. likeness:
    correlation of the scan with its other side in the brain, None without it. stages: seconds."""

    image: str
    model: str
    modality: str
    config: dict[str, Any]
    stages: dict[str, float]
    brain_ml: float
    anomaly_ml: float
    largest_ml: float
    pieces: int
    error_well: float | None
    error_sick: float | None
    likeness: float | None
    warnings: tuple[str, ...] = ()
    largest_at_mm: tuple[float, ...] | None = None
    peak_memory_mb: float | None = None
    device: str = ""
    version: str = ""


def healthy_page(report: HealthyReport, picture: bytes, card: Card) -> str:
    """Self-contained HTML."""
    parts = [
        "<h1>The healthy brain behind a scan</h1>",
        f"<p>From <b>{escape(report.image)}</b> the T1 of the anatomy in health was made with "
        f"<b>{escape(report.model)}</b>. {badge(LOOK, 'synthetic')} Not a scan of the patient.</p>",
    ]
    if report.warnings:
        parts += ["<h2>Warnings</h2>", bullets(report.warnings)]
    parts += [
        "<h2>Scan, healthy brain and anomaly</h2>",
        embedded_image(picture, "Three planes of the scan, the healthy T1, the anomaly map and the expected error"),
        '<p class="quiet">Radiological convention: the patient’s right is on the left of the axial and coronal '
        "views.</p>",
        "<h2>Numbers</h2>",
        verdict_table(verdicts(report)),
        "<h2>Limits</h2>",
        bullets((*LIMITS, card.limits)),
        "<h2>The model</h2>",
        table(("", ""), [("Trained on", escape(card.training_data)), ("For", escape(card.intended_use))], "pairs"),
        "<h2>Time and machine</h2>",
        _machine(report),
    ]
    settings = [(escape(name), escape(str(value))) for name, value in report.config.items()]
    parts += ["<h2>Settings</h2>", table(("Setting", "Value"), settings, "pairs")]
    return document(f"The healthy brain behind {report.image}", "\n".join(parts))


def verdicts(report: HealthyReport) -> tuple[Verdict, ...]:
    """A verdict on each number; the thresholds are conventions for a second look."""
    where = "one piece" if report.pieces == 1 else f"{report.pieces} pieces, the largest {report.largest_ml:.1f} ml"
    found = f"{report.anomaly_ml:.1f} ml" + (f" in {where}" if report.pieces else "")
    rows = [
        Verdict("Brain that was scanned", f"{report.brain_ml:.0f} ml", GOOD, "The part that was reconstructed."),
        Verdict(
            "Marked as anomaly",
            found,
            LOOK if report.pieces else GOOD,
            "Look at each piece in the scan."
            if report.pieces
            else "Nothing reaches the threshold; no proof of health.",
        ),
    ]
    for name, value in (("Expected error, healthy part", report.error_well), ("under the anomaly", report.error_sick)):
        if value is not None:
            good = value < ERROR_GOOD
            text = "Of a scale on which white matter is 0.8." if good else "Large: take the T1 there for a sketch."
            rows.append(Verdict(name, f"{value:.3f}", GOOD if good else LOOK, text))
    if report.likeness is not None:
        good = report.likeness > LIKE_GOOD
        text = "The other side lies where it should." if good else "The sides differ much: look at the other side."
        rows.append(Verdict("Likeness of both sides", f"{report.likeness:.2f}", GOOD if good else LOOK, text))
    return tuple(rows)


def _machine(report: HealthyReport) -> str:
    rows = [(escape(stage), f"{seconds:.1f} s") for stage, seconds in report.stages.items()]
    rows.append(("<b>Total</b>", f"<b>{sum(report.stages.values()):.1f} s</b>"))
    if report.peak_memory_mb is not None:
        rows.append(("Peak memory", f"{report.peak_memory_mb:,.0f} MB"))
    rows += [(name, escape(text)) for name, text in (("Device", report.device), ("Version", report.version)) if text]
    return table(("Stage", ""), rows, "pairs")
