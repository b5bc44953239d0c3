"""A registered sequence on one page: how every frame moved, which ones failed, and the line through time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from SlicerSynthReg.report.html import badge, bullets, document, embedded_image, table
from SlicerSynthReg.report.verdict import BAD, GOOD, LOOK

REFERENCE, REGISTERED, FAILED = "reference", "registered", "failed"
LIMITS = (
    "Motion is how far the transform says that tissue lies from its place in the reference, with shifts and turns of "
    "the whole: it is no measurement of strain or flow.",
    "In the picture of the line through time, edges that wave on the left should run straight on the right. What still "
    "waves was not followed; a failed frame is black.",
    "A frame that failed is empty in the moved sequence and has no transform.",
)


@dataclass(frozen=True)
class FrameReport:
    """motion_*: mm, mean and 95th percentile over what counts of the reference. landmarks_mm: how far each followed
    point lies from its place in the reference. message: why a frame failed."""

    frame: int
    name: str
    status: str
    message: str = ""
    motion_mean_mm: float | None = None
    motion_p95_mm: float | None = None
    landmarks_mm: tuple[float, ...] = ()
    folding_share: float | None = None
    similarity_before: float | None = None
    similarity_after: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class SequenceReport:
    """reference: what the frames were registered to, in words. reference_frame: its number, None for another image and
    for the mean."""

    sequence_name: str
    reference: str
    reference_frame: int | None
    model: str
    config: Mapping[str, Any]
    frames: tuple[FrameReport, ...]
    landmark_labels: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    peak_memory_mb: float | None = None
    device: str = ""
    version: str = ""

    @property
    def failed(self) -> tuple[FrameReport, ...]:
        return tuple(one for one in self.frames if one.status == FAILED)


def sequence_page(report: SequenceReport, picture: bytes) -> str:
    """Self-contained HTML. picture: PNG bytes of `sequence_picture`."""
    done = len(report.frames) - len(report.failed)
    verdict = badge(GOOD) if not report.failed else badge(LOOK if done > len(report.failed) else BAD)
    parts = [
        "<h1>Sequence report</h1>",
        f"<p>{len(report.frames)} frames of <b>{escape(report.sequence_name)}</b> were brought onto "
        f"<b>{escape(report.reference)}</b> with <b>{escape(report.model)}</b>.</p>",
        f"<p>{verdict} {done} of {len(report.frames)} frames are in the result.</p>",
    ]
    if report.warnings:
        parts += ["<h2>Warnings</h2>", bullets(report.warnings)]
    parts += [
        "<h2>Motion, and a line through time</h2>",
        embedded_image(picture, "Motion of every frame, likeness to the reference, and a line of voxels through time"),
        "<h2>Frames</h2>",
        table(
            ("Frame", "", "Motion, mean", "Motion, 95 %", "Folding", "Likeness before", "Likeness after", "Time"),
            (_row(one) for one in report.frames),
        ),
        "<h2>Limits</h2>",
        bullets(LIMITS),
        "<h2>Settings and machine</h2>",
        table(("Setting", "Value"), [*_settings(report)], "pairs"),
    ]
    return document(f"Sequence {report.sequence_name}", "\n".join(parts))


def _row(one: FrameReport) -> tuple[str, ...]:
    state = badge(BAD, "failed") + " " + escape(one.message) if one.status == FAILED else escape(one.status)
    folding = "" if one.folding_share is None else f"{100 * one.folding_share:.3f} %"
    return (
        str(one.frame),
        state,
        _mm(one.motion_mean_mm),
        _mm(one.motion_p95_mm),
        folding,
        _number(one.similarity_before),
        _number(one.similarity_after),
        f"{one.seconds:.1f} s",
    )


def _settings(report: SequenceReport) -> list[tuple[str, str]]:
    rows = [(escape(str(name)), escape(str(value))) for name, value in report.config.items()]
    rows.append(("<b>Total time</b>", f"<b>{sum(one.seconds for one in report.frames):.1f} s</b>"))
    if report.peak_memory_mb is not None:
        rows.append(("Peak memory", f"{report.peak_memory_mb:,.0f} MB"))
    return rows + [("Device", escape(report.device)), ("Version", escape(report.version))]


def _mm(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} mm"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
