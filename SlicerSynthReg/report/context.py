"""A task given by examples: its record, its page and its picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Protocol

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from SlicerSynthReg.methods.uncertainty.ranking import FINDING
from SlicerSynthReg.report.html import bullets, document, embedded_image, table
from SlicerSynthReg.report.record import DISCLAIMER
from SlicerSynthReg.weights.registry import Card

SHOWN = 6
"""Examples in the picture."""
LIMITS = (
    "The answer is no better than the examples: it repeats their conventions, and their mistakes.",
    "What the examples do not show (another disease, another part of the body, another field of view) is a guess.",
    "Doubt is the answer's own; it can be sure and wrong. Look at the picture.",
)


class _Example(Protocol):
    @property
    def x(self) -> torch.Tensor: ...

    @property
    def y(self) -> torch.Tensor: ...


@dataclass(frozen=True)
class ContextReport:
    """likeness: of the target to the examples, at most 1; likeness_of_examples: to each other. agreement: Dice of each
    example with what the others say of it. patches: share of the patches in the answer, beside the network.
    volumes_ml, dice: by label; called: its name, where the examples tell it. roughness: of the answer across slices, 1
    as the examples. psnr: in dB. doubts: entropies summed over voxels in bits, and diversity, by rule of ranking.
    Names are files' base names."""

    target: str
    model: str
    examples: tuple[str, ...]
    labels: tuple[int, ...]
    likeness: float
    likeness_of_examples: float | None
    agreement: dict[str, float]
    patches: float
    volumes_ml: dict[str, float]
    roughness: float | None
    dice: dict[str, float] | None
    psnr: float | None
    settings: dict[str, Any]
    stages: dict[str, float]
    warnings: tuple[str, ...] = field(default=())
    called: dict[str, str] = field(default_factory=dict)
    doubts: dict[str, float] | None = None


def context_page(report: ContextReport, picture: bytes, card: Card) -> str:
    """Self-contained HTML."""
    parts = [
        "<h1>Task from examples</h1>",
        f"<p>What {len(report.examples)} example{'s' * (len(report.examples) != 1)} show was done to "
        f"<b>{escape(report.target)}</b> with <b>{escape(report.model)}</b>.</p>",
    ]
    if report.warnings:
        parts += ["<h2>Warnings</h2>", bullets(report.warnings)]
    parts += [
        "<h2>Target and examples</h2>",
        embedded_image(picture, "The target with its answer in three planes, and the examples"),
        '<p class="quiet">Radiological convention: the patient’s right is on the left of the axial and coronal '
        "views.</p>",
        "<h2>Numbers</h2>",
        table(("Measure", "Value"), _numbers(report), "pairs"),
    ]
    if report.volumes_ml:
        dice = report.dice or {}
        rows = [
            (
                escape(f"{label} {report.called.get(label, '')}".strip()),
                f"{volume:.2f} ml",
                f"{dice[label]:.3f}" if label in dice else "",
            )
            for label, volume in report.volumes_ml.items()
        ]
        parts += ["<h2>What was found</h2>", table(("Label", "Volume", "Dice with the truth" if dice else ""), rows)]
    if report.doubts:
        measured = [
            ("Entropy of the mean answer", f"{report.doubts['total'] / 1000:.1f} kbit"),
            ("What the halves disagree about (epistemic)", f"{report.doubts['epistemic'] / 1000:.1f} kbit"),
            ("Mean distance of two halves' masks (diversity)", f"{report.doubts['diversity']:.3f}"),
        ]
        parts += ["<h2>Asked again with half of the examples</h2>", table(("Measure", "Value"), measured, "pairs")]
        parts.append(f'<p class="quiet">For choosing what to annotate next. {escape(FINDING)}</p>')
    agreed = [(escape(n), f"{report.agreement[n]:.2f}" if n in report.agreement else "") for n in report.examples]
    parts += ["<h2>The examples</h2>", table(("Example", "Dice with what the others say of it"), agreed)]
    parts += ["<h2>Limits</h2>", bullets((*LIMITS, card.limits)), "<h2>Time</h2>"]
    parts.append(table(("Stage", ""), [(escape(n), f"{s:.1f} s") for n, s in report.stages.items()], "pairs"))
    settings = [(escape(name), escape(str(value))) for name, value in report.settings.items()]
    parts += ["<h2>Settings</h2>", table(("Setting", "Value"), settings, "pairs")]
    return document(f"Task from examples: {report.target}", "\n".join(parts))


def _numbers(report: ContextReport) -> list[tuple[str, str]]:
    rows = [("Likeness of the target to the examples", f"{report.likeness:.2f}")]
    if report.likeness_of_examples is not None:
        rows.append(("Likeness of the examples to the first", f"{report.likeness_of_examples:.2f}"))
    rows.append(("Share of look-alike patches in the answer (the rest: the network)", f"{report.patches:.2f}"))
    if report.roughness is not None:
        rows.append(("Flicker from slice to slice (1: as the examples)", f"{report.roughness:.2f}"))
    if report.dice:
        rows.append(("Mean Dice with the truth", f"{sum(report.dice.values()) / len(report.dice):.3f}"))
    if report.psnr is not None:
        rows.append(("PSNR with the truth", f"{report.psnr:.1f} dB"))
    return rows


def context_picture(
    x: torch.Tensor, answer: torch.Tensor, examples: Sequence[_Example], names: Sequence[str], masks: bool
) -> Figure:
    """Target and answer in three planes above, the first examples below, all on the upright grid of the run.

    x (I, J, K) in [0, 1]; answer (L, I, J, K). Slices go through the middle of what was found, or of the image.
    """
    found = answer.amax(0) > 0.5
    where = found if masks and bool(found.any()) else torch.stack([e.y.amax(0) for e in examples]).amax(0) > 0.5
    at = where.nonzero().float().mean(0).round().int().tolist() if bool(where.any()) else [n // 2 for n in x.shape]
    below = min(SHOWN, len(examples))
    figure = Figure(figsize=(12, 8.2), facecolor="black")
    FigureCanvasAgg(figure)
    for place, (plane, axis) in enumerate((("axial", 2), ("coronal", 1), ("sagittal", 0))):
        for half, kind in enumerate((f"{plane} target", "answer")):
            axes = figure.add_axes((place / 3 + half / 6, 0.36, 1 / 6, 0.58))
            _show(axes, x, answer if half else None, axis, at[axis], masks)
            axes.set_title(kind, color="white", fontsize=9)
    for n in range(below):
        for half, kind in enumerate(("", " → output")):
            axes = figure.add_axes(((2 * n + half) / (2 * SHOWN), 0.06, 1 / (2 * SHOWN), 0.24))
            example = examples[n]
            _show(axes, example.x[0], example.y if half else None, 2, at[2], masks)
            axes.set_title((names[n][-14:] if not half else kind), color="#d8d8d8", fontsize=7)
    figure.text(0.99, 0.012, DISCLAIMER, color="#ffb347", ha="right", fontsize=9)
    figure.text(0.01, 0.012, f"{len(examples)} examples, {below} shown", color="#d8d8d8", fontsize=9)
    return figure


def _show(axes: Any, image: torch.Tensor, answer: torch.Tensor | None, axis: int, at: int, masks: bool) -> None:
    """One slice, the patient's right on the left; masks are drawn over the image, image answers in its place."""

    def upright(volume: torch.Tensor) -> np.ndarray:
        plane = volume.select(axis, min(at, volume.shape[axis] - 1)).cpu().numpy()
        return plane.T[::-1, ::-1] if axis else plane.T[::-1]

    axes.axis("off")
    axes.imshow(upright(answer[0] if answer is not None and not masks else image), cmap="gray", vmin=0, vmax=1)
    if answer is not None and masks:
        best, which = answer.max(0)
        shown = np.ma.masked_where(upright(best) <= 0.5, upright(which))
        axes.imshow(shown, cmap="tab10", vmin=0, vmax=9, alpha=0.55, interpolation="nearest")
