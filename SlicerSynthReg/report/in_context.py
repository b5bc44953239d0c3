"""Report of an in-context prediction: record, picture and page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Protocol

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from SlicerSynthReg.metrics.case_ranking import FINDING, CaseUncertainty
from SlicerSynthReg.report.html import bullet_list, document, embedded_image, table
from SlicerSynthReg.report.page import parameter_rows, run_table
from SlicerSynthReg.report.record import DISCLAIMER, RunRecord
from SlicerSynthReg.weights.registry import Card

SHOWN = 6
"""Examples in the picture."""
LIMITS = (
    "The prediction is no better than the examples: it repeats their conventions and their errors.",
    "Anything that the examples do not show (another disease, body part or field of view) is extrapolation.",
    "The uncertainty is the model's own estimate: predictions can be confident and wrong. Check the picture.",
)


@dataclass(frozen=True)
class SupportSimilarity:
    """How well target and examples fit together.

    target: mean local correlation of the target with the examples, -1 to 1. examples: of the other examples with the
    first, None for a single one. agreement: example -> Dice of its leave-one-out prediction.
    """

    target: float
    examples: float | None
    agreement: dict[str, float]


@dataclass(frozen=True)
class PredictionMeasures:
    """patch_share: weight of patch propagation, 0 to 1; the rest is the network's. volumes_ml: label -> volume.
    roughness: through-plane roughness relative to that of the examples, 1 if equal; None without labels."""

    patch_share: float
    volumes_ml: dict[str, float]
    roughness: float | None


@dataclass(frozen=True)
class PredictionAccuracy:
    """Agreement with the ground truth. dice: label -> Dice, None for images. psnr_db: None for labels."""

    dice: dict[str, float] | None = None
    psnr_db: float | None = None


@dataclass(frozen=True)
class InContextReport:
    """One in-context prediction. target, examples: base names. label_names: label -> name, if the examples define it.
    accuracy: None without ground truth; uncertainty: None without bootstrap samples."""

    target: str
    examples: tuple[str, ...]
    labels: tuple[int, ...]
    similarity: SupportSimilarity
    prediction: PredictionMeasures
    run: RunRecord
    accuracy: PredictionAccuracy | None = None
    uncertainty: CaseUncertainty | None = None
    label_names: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class ExampleVolumes(Protocol):
    """Images x (C, I, J, K) and output y (L, I, J, K) of one example."""

    @property
    def x(self) -> torch.Tensor: ...

    @property
    def y(self) -> torch.Tensor: ...


@dataclass(frozen=True, eq=False)
class PictureData:
    """Arrays of the picture, all on the reference grid. x: target (I, J, K) in [0, 1]; prediction (L, I, J, K); names:
    of the examples; masks: whether outputs are masks."""

    x: torch.Tensor
    prediction: torch.Tensor
    examples: Sequence[ExampleVolumes]
    names: Sequence[str]
    masks: bool


def in_context_page(report: InContextReport, picture: bytes, card: Card) -> str:
    """Return the page as self-contained HTML. picture: PNG."""
    count = len(report.examples)
    parts = [
        "<h1>In-context prediction</h1>",
        f"<p>Prediction for <b>{escape(report.target)}</b> from {count} example{'s' * (count != 1)} with "
        f"<b>{escape(report.run.model)}</b>.</p>",
    ]
    if report.warnings:
        parts += ["<h2>Warnings</h2>", bullet_list(report.warnings)]
    parts += [
        "<h2>Target and examples</h2>",
        embedded_image(picture, "The target and its prediction in three planes, and the examples"),
        '<p class="quiet">Radiological convention: the patient’s right is on the left of the axial and coronal '
        "views.</p>",
        "<h2>Measures</h2>",
        table(("Measure", "Value"), _measures(report), "pairs"),
    ]
    if report.prediction.volumes_ml:
        parts += ["<h2>Labels</h2>", _label_table(report)]
    if report.uncertainty:
        rows = [
            ("Entropy of the mean prediction", f"{report.uncertainty.total / 1000:.1f} kbit"),
            ("Epistemic part (disagreement of the samples)", f"{report.uncertainty.epistemic / 1000:.1f} kbit"),
            ("Diversity (mean distance of two samples)", f"{report.uncertainty.diversity:.3f}"),
        ]
        parts += ["<h2>Uncertainty from bootstrap samples</h2>", table(("Measure", "Value"), rows, "pairs")]
        parts.append(f'<p class="quiet">For choosing the next case to annotate. {escape(FINDING)}</p>')
    agreement = report.similarity.agreement
    rows = [(escape(name), f"{agreement[name]:.2f}" if name in agreement else "") for name in report.examples]
    parts += ["<h2>Examples</h2>", table(("Example", "Leave-one-out Dice"), rows)]
    parts += ["<h2>Limits</h2>", bullet_list((*LIMITS, card.limits))]
    parts += ["<h2>Time and device</h2>", run_table(report.run), "<h2>Parameters</h2>", parameter_rows(report.run)]
    return document(f"In-context prediction for {report.target}", "\n".join(parts))


def _label_table(report: InContextReport) -> str:
    dice = (report.accuracy.dice if report.accuracy else None) or {}
    rows = [
        (
            escape(f"{label} {report.label_names.get(label, '')}".strip()),
            f"{volume:.2f} ml",
            f"{dice[label]:.3f}" if label in dice else "",
        )
        for label, volume in report.prediction.volumes_ml.items()
    ]
    return table(("Label", "Volume", "Dice" if dice else ""), rows)


def _measures(report: InContextReport) -> list[tuple[str, str]]:
    rows = [("Local correlation of the target with the examples", f"{report.similarity.target:.2f}")]
    if report.similarity.examples is not None:
        rows.append(("Local correlation among the examples", f"{report.similarity.examples:.2f}"))
    rows.append(("Weight of patch propagation (the rest: the network)", f"{report.prediction.patch_share:.2f}"))
    if report.prediction.roughness is not None:
        rows.append(("Through-plane roughness (1: as the examples)", f"{report.prediction.roughness:.2f}"))
    if report.accuracy and report.accuracy.dice:
        rows.append(("Mean Dice", f"{sum(report.accuracy.dice.values()) / len(report.accuracy.dice):.3f}"))
    if report.accuracy and report.accuracy.psnr_db is not None:
        rows.append(("PSNR", f"{report.accuracy.psnr_db:.1f} dB"))
    return rows


def in_context_picture(data: PictureData) -> Figure:
    """Return a figure of target and prediction in three planes above, and the first examples below.

    Slices go through the centroid of the prediction, else of the examples' outputs, else the middle of the grid.
    """
    x, examples = data.x, data.examples
    region = data.prediction.amax(0) > 0.5
    if not data.masks or not bool(region.any()):
        region = torch.stack([e.y.amax(0) for e in examples]).amax(0) > 0.5
    centre = (
        region.nonzero().float().mean(0).round().int().tolist() if bool(region.any()) else [n // 2 for n in x.shape]
    )
    shown = min(SHOWN, len(examples))
    figure = Figure(figsize=(12, 8.2), facecolor="black")
    FigureCanvasAgg(figure)
    for column, (plane, axis) in enumerate((("axial", 2), ("coronal", 1), ("sagittal", 0))):
        for half, title in enumerate((f"{plane} target", "prediction")):
            axes = figure.add_axes((column / 3 + half / 6, 0.36, 1 / 6, 0.58))
            _draw(axes, x, data.prediction if half else None, (axis, centre[axis]), data.masks)
            axes.set_title(title, color="white", fontsize=9)
    for n in range(shown):
        for half, title in enumerate((data.names[n][-14:], " → output")):
            axes = figure.add_axes(((2 * n + half) / (2 * SHOWN), 0.06, 1 / (2 * SHOWN), 0.24))
            _draw(axes, examples[n].x[0], examples[n].y if half else None, (2, centre[2]), data.masks)
            axes.set_title(title, color="#d8d8d8", fontsize=7)
    figure.text(0.99, 0.012, DISCLAIMER, color="#ffb347", ha="right", fontsize=9)
    figure.text(0.01, 0.012, f"{len(examples)} examples, {shown} shown", color="#d8d8d8", fontsize=9)
    return figure


def _draw(axes: Any, image: torch.Tensor, output: torch.Tensor | None, at: tuple[int, int], masks: bool) -> None:
    """Draw the slice `at` (axis, index), the patient's right on the left; masks over the image, images in its place."""
    axis, index = at

    def upright(volume: torch.Tensor) -> np.ndarray:
        plane = volume.select(axis, min(index, volume.shape[axis] - 1)).cpu().numpy()
        return plane.T[::-1, ::-1] if axis else plane.T[::-1]

    axes.axis("off")
    axes.imshow(upright(output[0] if output is not None and not masks else image), cmap="gray", vmin=0, vmax=1)
    if output is not None and masks:
        best, which = output.max(0)
        overlay = np.ma.masked_where(upright(best) <= 0.5, upright(which))
        axes.imshow(overlay, cmap="tab10", vmin=0, vmax=9, alpha=0.55, interpolation="nearest")
