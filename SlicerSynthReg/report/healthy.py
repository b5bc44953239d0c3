"""Report of a healthy reconstruction: record, picture and page."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
from matplotlib.figure import Figure

from SlicerSynthReg.io.image import Image
from SlicerSynthReg.report.figure import ImageColumn, column_figure
from SlicerSynthReg.report.html import badge, bullet_list, document, embedded_image, table, verdict_table
from SlicerSynthReg.report.page import parameter_rows, run_table
from SlicerSynthReg.report.record import RunRecord
from SlicerSynthReg.report.verdict import GOOD, REVIEW, Verdict
from SlicerSynthReg.report.views import (
    Framing,
    display_array,
    display_spacing,
    foreground_framing,
    intensity_window,
    require_one_grid,
)
from SlicerSynthReg.weights.registry import Card

MAX_GOOD_ERROR = 0.08
MIN_GOOD_CORRELATION = 0.5
T1_RANGE, ERROR_RANGE = (0.0, 0.95), (0.0, 0.2)
LIMITS = (
    "The healthy T1 is synthetic: it shows what this brain may have looked like, not what was there. Inside an anomaly "
    "it rests on the surroundings and on the contralateral side only.",
    "The anomaly map is the difference between the scan and the healthy T1 in the scan's own contrast. It misses small "
    "or faint lesions, and it marks unusual normal anatomy and errors of the model: vessels, wide ventricles and "
    "sulci, artefacts, post-operative change. At its threshold of 0.5, 59 ml (T1) to 117 ml (T2) or more are marked "
    "in half of all healthy subjects.",
    "A map without anomalies is no proof of health.",
    "Do not draw conclusions on a patient from it alone.",
)


@dataclass(frozen=True)
class AnomalyMeasures:
    """Voxels at or above the threshold. anomaly_ml: in all; largest_ml: in the largest of `components`;
    largest_centre_mm: the voxel of that one which is nearest to its centroid, RAS mm, None without components."""

    anomaly_ml: float
    components: int
    largest_ml: float
    largest_centre_mm: tuple[float, ...] | None = None


@dataclass(frozen=True)
class ExpectedError:
    """Mean expected absolute error of the T1 (white matter 0.8) in normal tissue and in anomalies; None without."""

    normal: float | None
    lesion: float | None


@dataclass(frozen=True)
class HealthyReport:
    """One healthy reconstruction. image: the input's base name. brain_ml: volume of the reconstructed brain.
    mirror_correlation: of the scan with its contralateral side within the brain, None without mirroring."""

    image: str
    modality: str
    brain_ml: float
    anomaly: AnomalyMeasures
    expected_error: ExpectedError
    mirror_correlation: float | None
    run: RunRecord
    warnings: tuple[str, ...] = ()


def healthy_picture(scan: Image, t1: Image, anomaly: Image, error: Image, brain: Image) -> Figure:
    """Return a figure with rows axial, coronal, sagittal; columns scan, healthy T1, anomaly map, expected error.

    All images on one grid (GeometryError otherwise). Slices at the largest cross-sections of the anomaly, or at the
    centre of the brain where there is none.
    """
    require_one_grid(scan, [t1, anomaly, error, brain])
    values, inside = display_array(scan).astype(np.float32), display_array(brain) > 0.5
    anomaly_values = display_array(anomaly).astype(np.float32)
    spacing = display_spacing(scan.grid)
    box = foreground_framing(inside if inside.any() else np.ones(inside.shape, dtype=bool), spacing)
    marked = anomaly_values > 0.5
    centre = tuple(
        int(np.argmax(marked.sum(axis=tuple(other for other in range(3) if other != axis)))) if marked.any() else middle
        for axis, middle in enumerate(box.centre)
    )
    columns = [
        ImageColumn("Scan", values, "gray", intensity_window(values, inside) if inside.any() else (0.0, 1.0)),
        ImageColumn("Healthy T1", display_array(t1), "gray", T1_RANGE),
        ImageColumn("Anomaly map, 0 to 1", anomaly_values, "inferno", (0.0, 1.0)),
        ImageColumn("Expected error, 0 to 0.2", display_array(error), "viridis", ERROR_RANGE),
    ]
    return column_figure(columns, Framing(centre, box.low, box.high), spacing, scan.name)


def healthy_page(report: HealthyReport, picture: bytes, card: Card) -> str:
    """Return the page as self-contained HTML. picture: PNG."""
    parts = [
        "<h1>Healthy reconstruction</h1>",
        f"<p>The healthy T1 of <b>{escape(report.image)}</b> was computed with <b>{escape(report.run.model)}</b>. "
        f"{badge(REVIEW, 'synthetic')} Not a scan of the patient.</p>",
    ]
    if report.warnings:
        parts += ["<h2>Warnings</h2>", bullet_list(report.warnings)]
    parts += [
        "<h2>Scan, healthy T1 and anomaly map</h2>",
        embedded_image(picture, "Three planes of the scan, the healthy T1, the anomaly map and the expected error"),
        '<p class="quiet">Radiological convention: the patient’s right is on the left of the axial and coronal '
        "views.</p>",
        "<h2>Measures</h2>",
        verdict_table(verdicts(report)),
        "<h2>Limits</h2>",
        bullet_list((*LIMITS, card.limits)),
        "<h2>Model</h2>",
        table(
            ("", ""),
            [("Training data", escape(card.training_data)), ("Intended use", escape(card.intended_use))],
            "pairs",
        ),
        "<h2>Time and device</h2>",
        run_table(report.run),
        "<h2>Parameters</h2>",
        parameter_rows(report.run),
    ]
    return document(f"Healthy reconstruction of {report.image}", "\n".join(parts))


def verdicts(report: HealthyReport) -> tuple[Verdict, ...]:
    """Return a verdict on each measure; the thresholds are conventions that select results for review."""
    rows = [
        Verdict("Brain volume", f"{report.brain_ml:.0f} ml", GOOD, "The part of the brain that was reconstructed."),
        _anomaly_verdict(report.anomaly),
    ]
    error = report.expected_error
    for name, value in (("Expected error, normal tissue", error.normal), ("Expected error, anomaly", error.lesion)):
        if value is not None:
            good = value < MAX_GOOD_ERROR
            text = "White matter is 0.8 on this scale." if good else "Large: the T1 is only a rough sketch there."
            rows.append(Verdict(name, f"{value:.3f}", GOOD if good else REVIEW, text))
    if report.mirror_correlation is not None:
        good = report.mirror_correlation > MIN_GOOD_CORRELATION
        text = "The contralateral side is aligned." if good else "Low: check the image of the contralateral side."
        value_text = f"{report.mirror_correlation:.2f}"
        rows.append(Verdict("Correlation of both sides", value_text, GOOD if good else REVIEW, text))
    return tuple(rows)


def _anomaly_verdict(anomaly: AnomalyMeasures) -> Verdict:
    if not anomaly.components:
        text = "No voxel reaches the threshold; this is no proof of health."
        return Verdict("Anomaly", f"{anomaly.anomaly_ml:.1f} ml", GOOD, text)
    where = "1 component"
    if anomaly.components > 1:
        where = f"{anomaly.components} components, the largest {anomaly.largest_ml:.1f} ml"
    return Verdict("Anomaly", f"{anomaly.anomaly_ml:.1f} ml in {where}", REVIEW, "Inspect each component in the scan.")
