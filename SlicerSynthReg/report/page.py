"""One registration on one page, for a radiologist."""

from __future__ import annotations

from html import escape
from pathlib import PurePath

from SlicerSynthReg.report.html import badge, bullets, document, embedded_image, folded, table, verdict_table
from SlicerSynthReg.report.record import RegistrationReport
from SlicerSynthReg.report.verdict import BAD, GOOD, LOOK, Verdict, verdicts
from SlicerSynthReg.weights.registry import Card

SHOWN = 10
LIMITS = (
    "Numbers cannot see everything. Look at the picture: edges should run on across the tiles of the checkerboard, and "
    "the lines of the fixed image should lie on the same edges of the moving image.",
    "Overlap and landmarks tell about the structures and points that were marked, not about what lies between them.",
    "Where one image shows what the other lacks (a lesion, a resection, another field of view), no true correspondence "
    "exists, and the transform there is a guess.",
    "The verdicts use fixed thresholds chosen for a second look; they are not a test of fitness for any use.",
)


def registration_page(report: RegistrationReport, picture: bytes | None = None, card: Card | None = None) -> str:
    """Self-contained HTML. picture: PNG bytes of `registration_picture`; card: of the model used.

    Folders are cut off file names, in settings too, since they often carry a person's name; `warnings` are shown
    as they are.
    """
    fixed, moving = base_name(report.fixed_name), base_name(report.moving_name)
    rows = verdicts(report)
    parts = [
        "<h1>Registration report</h1>",
        f"<p><b>{escape(moving)}</b> (moving) was brought onto <b>{escape(fixed)}</b> (fixed) "
        f"with <b>{escape(report.model)}</b>.</p>",
        f"<p>{overall(rows)}</p>",
    ]
    if report.warnings:
        parts += ["<h2>Warnings</h2>", bullets(report.warnings)]
    if picture:
        parts += [
            "<h2>Before and after</h2>",
            embedded_image(picture, "Axial, sagittal and coronal views before and after registration"),
            '<p class="quiet">Radiological convention: the patient’s right is on the left of the axial and coronal '
            "views.</p>",
        ]
    parts += ["<h2>Numbers</h2>", verdict_table(rows)]
    if report.per_label:
        parts += ["<h2>Overlap of each structure</h2>", _structures(report.per_label)]
    parts += ["<h2>Limits</h2>", bullets(LIMITS), "<h2>Time and machine</h2>", _machine(report)]
    if report.config:
        settings = [(escape(name), escape(_setting(value))) for name, value in report.config.items()]
        parts += ["<h2>Settings</h2>", table(("Setting", "Value"), settings, "pairs")]
    if card is not None:
        parts += ["<h2>The model</h2>", _model(card)]
    return document(f"Registration of {moving} onto {fixed}", "\n".join(parts))


def base_name(name: str) -> str:
    """Last part of a path of either kind of slash."""
    return PurePath(name.replace("\\", "/")).name


def _setting(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return base_name(value) if isinstance(value, str) else str(value)


def overall(rows: tuple[Verdict, ...]) -> str:
    """One badge and one sentence over all verdicts, as HTML."""
    bad = [row.measure.lower() for row in rows if row.level == BAD]
    look = [row.measure.lower() for row in rows if row.level == LOOK]
    if bad:
        return f"{badge(BAD)} Do not use before looking at: {escape(', '.join(bad + look))}."
    if look:
        return f"{badge(LOOK)} Worth a second look: {escape(', '.join(look))}."
    return f"{badge(GOOD)} No number speaks against this registration; the picture has the last word."


def _structures(per_label: dict[str, tuple[float, float]]) -> str:
    """Those that lost most overlap, or gained least, first; what follows the first SHOWN is folded away."""
    by_gain = sorted(per_label.items(), key=lambda item: item[1][1] - item[1][0])
    rows = [(escape(name), f"{a:.3f}", f"{b:.3f}", f"{b - a:+.3f}".replace("-", "−")) for name, (a, b) in by_gain]
    header = ("Structure", "Dice before", "Dice after", "Change")
    rest = folded(f"The other {len(rows) - SHOWN} structures", table(header, rows[SHOWN:])) if rows[SHOWN:] else ""
    return '<p class="quiet">Those that gained least come first.</p>' + table(header, rows[:SHOWN]) + rest


def _machine(report: RegistrationReport) -> str:
    rows = [(escape(stage), f"{seconds:.1f} s") for stage, seconds in report.stages.items()]
    rows.append(("<b>Total</b>", f"<b>{sum(report.stages.values()):.1f} s</b>"))
    if report.peak_memory_mb is not None:
        rows.append(("Peak memory", f"{report.peak_memory_mb:,.0f} MB"))
    rows += [(name, escape(text)) for name, text in (("Device", report.device), ("Version", report.version)) if text]
    return table(("Stage", ""), rows, "pairs")


def _model(card: Card) -> str:
    rows = [
        ("Name", card.name),
        ("Intended use", card.intended_use),
        ("Limits", card.limits),
        ("Images it was made for", f"{card.modalities}, {card.spacing_mm:g} mm"),
        ("Training data", card.training_data),
        ("Licence", card.licence),
        ("Weights (SHA-256)", card.sha256),
    ]
    if card.synthetic_training_only:
        rows.insert(3, ("Note", "Trained on synthetic images only."))
    return table(("The card says", ""), ((name, escape(text)) for name, text in rows), "pairs")
