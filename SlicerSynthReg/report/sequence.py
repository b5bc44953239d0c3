"""The report of a registered sequence: motion of every frame, failed frames, and a line of voxels through time."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from SlicerSynthReg.report.html import badge, bullet_list, document, embedded_image, table
from SlicerSynthReg.report.page import parameter_rows, run_table
from SlicerSynthReg.report.record import RunRecord
from SlicerSynthReg.report.verdict import BAD, GOOD, REVIEW

REFERENCE, REGISTERED, FAILED = "reference", "registered", "failed"
LIMITS = (
    "Motion is the distance between a point of the reference and its position in the frame, including translation and "
    "rotation of the whole body. It does not measure strain or flow.",
    "In the picture of the line through time, edges that oscillate on the left should be straight on the right. "
    "Remaining oscillation is motion that was not corrected; a failed frame is black.",
    "A frame that failed is empty in the moved sequence and has no transform.",
)


@dataclass(frozen=True)
class FrameReport:
    """Measures of one frame.

    status: REFERENCE, REGISTERED or FAILED. message: why a frame failed. motion_*: mm, mean and 95th percentile over
    the foreground of the reference. landmarks_mm: displacement of each landmark from the reference. folding_fraction:
    share of voxels with det dT/dx <= 0. similarity_*: absolute local correlation after the affine stage and at the end.
    """

    frame: int
    name: str
    status: str
    message: str = ""
    motion_mean_mm: float | None = None
    motion_p95_mm: float | None = None
    landmarks_mm: tuple[float, ...] = ()
    folding_fraction: float | None = None
    similarity_before: float | None = None
    similarity_after: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class SequenceReport:
    """reference: in words. reference_frame: its number; None for another image and for the mean."""

    sequence_name: str
    reference: str
    reference_frame: int | None
    run: RunRecord
    frames: tuple[FrameReport, ...]
    landmark_labels: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[FrameReport, ...]:
        """The frames that could not be registered."""
        return tuple(frame for frame in self.frames if frame.status == FAILED)


def sequence_page(report: SequenceReport, picture: bytes) -> str:
    """Return a self-contained HTML page. picture: PNG bytes of `sequence_picture`."""
    done = len(report.frames) - len(report.failed)
    verdict = badge(GOOD) if not report.failed else badge(REVIEW if done > len(report.failed) else BAD)
    parts = [
        "<h1>Sequence registration report</h1>",
        f"<p>{len(report.frames)} frames of <b>{escape(report.sequence_name)}</b> were registered to "
        f"<b>{escape(report.reference)}</b> with <b>{escape(report.run.model)}</b>.</p>",
        f"<p>{verdict} {done} of {len(report.frames)} frames are in the result.</p>",
    ]
    if report.warnings:
        parts += ["<h2>Warnings</h2>", bullet_list(report.warnings)]
    parts += [
        "<h2>Motion, and a line through time</h2>",
        embedded_image(
            picture, "Motion of every frame, local correlation with the reference, and a line of voxels through time"
        ),
        "<h2>Frames</h2>",
        table(
            ("Frame", "", "Motion, mean", "Motion, 95 %", "Folding", "NCC before", "NCC after", "Time"),
            (_row(frame) for frame in report.frames),
        ),
        "<h2>Limits</h2>",
        bullet_list(LIMITS),
        "<h2>Time and machine</h2>",
        run_table(report.run),
        "<h2>Parameters</h2>",
        parameter_rows(report.run),
    ]
    return document(f"Sequence {report.sequence_name}", "\n".join(parts))


def _row(frame: FrameReport) -> tuple[str, ...]:
    state = badge(BAD, "failed") + " " + escape(frame.message) if frame.status == FAILED else escape(frame.status)
    folding = "" if frame.folding_fraction is None else f"{100 * frame.folding_fraction:.3f} %"
    return (
        str(frame.frame),
        state,
        _mm(frame.motion_mean_mm),
        _mm(frame.motion_p95_mm),
        folding,
        _number(frame.similarity_before),
        _number(frame.similarity_after),
        f"{frame.seconds:.1f} s",
    )


def _mm(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} mm"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
