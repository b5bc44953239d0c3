"""The HTML page of one registration."""

from __future__ import annotations

from html import escape
from pathlib import PurePath

from SlicerSynthReg.report.html import badge, bullet_list, collapsible, document, embedded_image, table, verdict_table
from SlicerSynthReg.report.record import RegistrationReport, RunRecord
from SlicerSynthReg.report.verdict import BAD, GOOD, REVIEW, Verdict, verdicts
from SlicerSynthReg.weights.registry import Card

MAX_STRUCTURES = 10
LIMITS = (
    "Numbers do not replace visual inspection. In the picture, edges should continue across the tiles of the "
    "checkerboard, and the contours of the fixed image should lie on the same edges of the moving image.",
    "Overlap and landmark error describe the structures and points that were marked, not the tissue between them.",
    "Where one image shows what the other lacks (a lesion, a resection, another field of view), no true correspondence "
    "exists, and the transform is an extrapolation.",
    "The verdicts use fixed thresholds that select results for review. They are not a test of fitness for any use.",
)


def registration_page(report: RegistrationReport, picture: bytes | None = None, card: Card | None = None) -> str:
    """Return a self-contained HTML page.

    picture: PNG bytes of `registration_picture`. card: card of the model. Folders are removed from file names and
    parameters, since they often carry a person's name; `warnings` are shown unchanged.
    """
    fixed, moving = base_name(report.fixed_name), base_name(report.moving_name)
    rows = verdicts(report)
    parts = [
        "<h1>Registration report</h1>",
        f"<p><b>{escape(moving)}</b> (moving) was registered to <b>{escape(fixed)}</b> (fixed) "
        f"with <b>{escape(report.run.model)}</b>.</p>",
        f"<p>{overall(rows)}</p>",
    ]
    if report.warnings:
        parts += ["<h2>Warnings</h2>", bullet_list(report.warnings)]
    if picture:
        parts += [
            "<h2>Before and after</h2>",
            embedded_image(picture, "Axial, sagittal and coronal views before and after registration"),
            '<p class="quiet">Radiological convention: the patient’s right is on the left of the axial and coronal '
            "views.</p>",
        ]
    parts += ["<h2>Measures</h2>", verdict_table(rows)]
    if report.overlap is not None:
        parts += ["<h2>Overlap of each structure</h2>", _structures(report.overlap.per_label)]
    parts += ["<h2>Limits</h2>", bullet_list(LIMITS), "<h2>Time and machine</h2>", run_table(report.run)]
    if report.run.parameters:
        parts += ["<h2>Parameters</h2>", parameter_rows(report.run)]
    if card is not None:
        parts += ["<h2>Model</h2>", _model_table(card)]
    return document(f"Registration of {moving} to {fixed}", "\n".join(parts))


def base_name(name: str) -> str:
    """Return the last part of a path with either kind of slash."""
    return PurePath(name.replace("\\", "/")).name


def overall(rows: tuple[Verdict, ...]) -> str:
    """Return one badge and one sentence over all verdicts, as HTML."""
    bad = [row.measure.lower() for row in rows if row.level == BAD]
    review = [row.measure.lower() for row in rows if row.level == REVIEW]
    if bad:
        return f"{badge(BAD)} Review before use: {escape(', '.join(bad + review))}."
    if review:
        return f"{badge(REVIEW)} Review: {escape(', '.join(review))}."
    return f"{badge(GOOD)} All measures are within their limits. Inspect the picture."


def run_table(run: RunRecord) -> str:
    """Return the stages with their seconds, memory, device and version as an HTML table."""
    rows = [(escape(stage), f"{seconds:.1f} s") for stage, seconds in run.stages.items()]
    rows.append(("<b>Total</b>", f"<b>{sum(run.stages.values()):.1f} s</b>"))
    if run.peak_memory_mb is not None:
        rows.append(("Peak memory", f"{run.peak_memory_mb:,.0f} MB"))
    rows += [(name, escape(text)) for name, text in (("Device", run.device), ("Version", run.version)) if text]
    return table(("Stage", ""), rows, "pairs")


def parameter_rows(run: RunRecord) -> str:
    """Return the parameters as an HTML table, folders removed from paths."""
    rows = [(escape(name), escape(_parameter_text(value))) for name, value in run.parameters.items()]
    return table(("Parameter", "Value"), rows, "pairs")


def _parameter_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return base_name(value) if isinstance(value, str) else str(value)


def _structures(per_label: dict[str, tuple[float, float]]) -> str:
    """Return the table of structures, smallest gain first; those after MAX_STRUCTURES are folded."""
    by_gain = sorted(per_label.items(), key=lambda item: item[1][1] - item[1][0])
    rows = [(escape(name), f"{a:.3f}", f"{b:.3f}", f"{b - a:+.3f}".replace("-", "−")) for name, (a, b) in by_gain]
    header, rest = ("Structure", "Dice before", "Dice after", "Change"), rows[MAX_STRUCTURES:]
    more = collapsible(f"The other {len(rest)} structures", table(header, rest)) if rest else ""
    return '<p class="quiet">Smallest gain first.</p>' + table(header, rows[:MAX_STRUCTURES]) + more


def _model_table(card: Card) -> str:
    rows = [
        ("Name", card.name),
        ("Intended use", card.intended_use),
        ("Limits", card.limits),
        ("Images", f"{card.modalities}, {card.spacing_mm:g} mm"),
        ("Training data", card.training_data),
        ("Licence", card.licence),
        ("Weights (SHA-256)", card.sha256),
    ]
    if card.synthetic_training_only:
        rows.insert(3, ("Note", "Trained on synthetic images only."))
    return table(("Model card", ""), ((name, escape(text)) for name, text in rows), "pairs")
