"""Registration of the frames of a sequence in memory: `register_sequence`.

Each frame is registered independently, from its header, so that no error propagates from frame to frame. A frame that
cannot be registered is reported and left empty.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import torch

from SlicerSynthReg.api.images import ImageLike, LandmarksLike, as_image, image_name
from SlicerSynthReg.api.options import resolve_parameters
from SlicerSynthReg.api.registration import register
from SlicerSynthReg.api.run_record import run_record
from SlicerSynthReg.api.sequence_reference import SequenceReference, select_reference
from SlicerSynthReg.errors import Cancelled, ImageError, RequestError, SynthRegError
from SlicerSynthReg.io.frames import Frames, frames_of, read_frames
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.raw_image import check_memory
from SlicerSynthReg.io.transforms import write_transform
from SlicerSynthReg.io.write import write_image
from SlicerSynthReg.metrics.regularity import regularity
from SlicerSynthReg.parameters.registration import (
    MethodParameters,
    RegisterParameters,
    SequenceParameters,
)
from SlicerSynthReg.progress import Progress, no_progress
from SlicerSynthReg.registration.warping import warp_images
from SlicerSynthReg.report.figure import png_bytes
from SlicerSynthReg.report.html import write_page
from SlicerSynthReg.report.sequence import FAILED, REFERENCE, REGISTERED, FrameReport, SequenceReport, sequence_page
from SlicerSynthReg.runtime import select_device
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.transform import Affine, Transform
from SlicerSynthReg.weights.selection import baseline_warnings, method_name, registration_card, registration_cards

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

SequenceLike: TypeAlias = Union[ImageLike, list[ImageLike], tuple[ImageLike, ...], Frames]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SequenceRegistration:
    """Result of `register_sequence`.

    moved: (T, I, J, K) on the reference grid, 0 in frames that failed. transforms: reference RAS mm -> frame RAS mm;
    None for frames that failed. frame_grids: of the frames as acquired. lines: (2, T, L) a line of voxels through time,
    as acquired and moved; NaN in frames that failed.
    """

    moved: Image
    transforms: tuple[Transform | None, ...]
    frame_grids: tuple[Grid | None, ...]
    lines: np.ndarray
    reference: SequenceReference
    report: SequenceReport

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know about the result."""
        return self.report.warnings

    def save(
        self, folder: str | os.PathLike[str], progress: Progress = no_progress, images: bool = True
    ) -> dict[str, str]:
        """Write moved frames, transforms, picture and page to `folder`; return output name -> file name.

        images: False writes picture and page only. Raises OSError.
        """
        folder = Path(folder)
        outputs = self._write_frames(folder, progress) if images else {}
        folder.mkdir(parents=True, exist_ok=True)
        progress(0.9, "drawing")
        picture = self.picture()
        (folder / "motion.png").write_bytes(picture)
        write_page(sequence_page(self.report, picture), folder / "report.html")
        return outputs | {"picture": "motion.png", "page": "report.html"}

    def _write_frames(self, folder: Path, progress: Progress) -> dict[str, str]:
        (folder / "transforms").mkdir(parents=True, exist_ok=True)
        progress(0.0, "writing")
        outputs = {"moved": "moved.nii.gz"}
        for n, (transform, grid) in enumerate(zip(self.transforms, self.frame_grids)):
            if transform is not None and grid is not None:
                outputs[f"frame_{n:03d}"] = f"transforms/frame_{n:03d}.h5"
                write_transform(transform, folder / outputs[f"frame_{n:03d}"], self.moved.grid, grid)
        progress(0.4, "writing")
        write_image(self.moved, folder / outputs["moved"])
        return outputs

    def picture(self) -> bytes:
        """Return PNG bytes of the motion curves and of the line through time."""
        from SlicerSynthReg.report.sequence_picture import sequence_picture  # matplotlib: half a second

        grid, axis = self.moved.grid, self.reference.line_axis
        length_mm = float(grid.spacing[axis] * grid.shape[axis])
        return png_bytes(sequence_picture(self.report, self.lines[0], self.lines[1], length_mm))


def register_sequence(
    sequence: SequenceLike,
    *,
    fixed: ImageLike | None = None,
    fixed_mask: ImageLike | None = None,
    fixed_landmarks: LandmarksLike | None = None,
    parameters: SequenceParameters | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> SequenceRegistration:
    """Register every frame of a sequence to a reference.

    sequence: path of a 4-D image or of a folder with one image per frame, a 4-D image, or a list of images. fixed:
    reference in place of a frame. fixed_mask: region of the reference where images may be compared. fixed_landmarks:
    points of the reference to follow, RAS mm. options: fields of SequenceParameters, such as reference="mean". Raises
    RequestError (code "sequence-failed" if no frame could be registered), ImageError, GeometryError.
    """
    chosen = resolve_parameters(SequenceParameters, parameters, options)
    device = select_device(chosen.device, chosen.threads).type
    progress(0.01, "reading")
    frames = _as_frames(sequence, chosen)
    reference = select_reference(frames, fixed, fixed_mask, fixed_landmarks, chosen)
    check_memory((*reference.image.grid.shape, len(frames)), 4, None)
    registered = _register_frames(frames, reference, chosen, progress, _source_folder(sequence))
    report = _sequence_report(_sequence_name(sequence), reference, chosen, device, registered)
    if len(report.failed) >= len(frames) - (reference.frame is not None):
        first = report.failed[0]
        raise RequestError(
            f"None of the frames could be registered. Frame {first.frame}: {first.message}", code="sequence-failed"
        )
    return SequenceRegistration(
        Image(registered.moved, reference.image.grid),
        tuple(registered.transforms),
        tuple(registered.grids),
        registered.lines,
        reference,
        report,
    )


@dataclass(eq=False)
class _RegisteredFrames:
    """Results of the frames so far. warnings: text -> numbers of the frames."""

    moved: torch.Tensor
    lines: np.ndarray
    transforms: list[Transform | None] = dataclasses.field(default_factory=list)
    grids: list[Grid | None] = dataclasses.field(default_factory=list)
    rows: list[FrameReport] = dataclasses.field(default_factory=list)
    warnings: dict[str, list[int]] = dataclasses.field(default_factory=lambda: defaultdict(list))


def _register_frames(
    frames: Frames, reference: SequenceReference, parameters: SequenceParameters, progress: Progress, source: str
) -> _RegisteredFrames:
    grid = reference.image.grid
    shared = {field.name: getattr(parameters, field.name) for field in dataclasses.fields(MethodParameters)}
    pair = RegisterParameters(**shared)
    moved = torch.zeros((len(frames), *grid.shape))
    done = _RegisteredFrames(moved, np.full((2, len(frames), grid.shape[reference.line_axis]), np.nan, np.float32))
    for n, name in enumerate(frames.names):

        def report(fraction: float, text: str, n: int = n) -> None:
            progress(0.02 + 0.98 * (n + fraction) / len(frames), f"frame {n + 1} of {len(frames)}: {text}")

        report(0.0, "reading")
        start = time.monotonic()
        try:
            _register_frame(n, frames, reference, pair, done, report)
        except Cancelled:
            raise
        except Exception as error:
            done.rows.append(FrameReport(n, name, FAILED, _reason(error, source)))
            done.transforms.append(None)
            done.grids.append(None)
        done.rows[n] = dataclasses.replace(done.rows[n], seconds=time.monotonic() - start)
    return done


def _register_frame(
    n: int,
    frames: Frames,
    reference: SequenceReference,
    parameters: RegisterParameters,
    done: _RegisteredFrames,
    progress: Progress,
) -> None:
    """Register frame `n` and add its results to `done`."""
    frame = frames.frame(n)
    marks_mm = np.zeros((0, 3)) if reference.landmarks is None else reference.landmarks.points_mm
    if n == reference.frame:
        transform: Transform = Affine(np.eye(4))
        warped = warp_images(transform, reference.image.grid, frame, None)
        image, jacobian, result = warped.image, warped.jacobian, None
    else:
        result = register(reference.image, frame, fixed_mask=reference.mask, parameters=parameters, progress=progress)
        transform, image, jacobian = result.transform, result.moved, result.jacobian
    motion = np.linalg.norm(transform.map_points(reference.foreground_mm) - reference.foreground_mm, axis=1)
    landmarks = np.linalg.norm(transform.map_points(marks_mm) - marks_mm, axis=1)
    row = FrameReport(
        n,
        frames.names[n],
        REFERENCE if result is None else REGISTERED,
        motion_mean_mm=float(motion.mean()) if len(motion) else None,
        motion_p95_mm=float(np.percentile(motion, 95)) if len(motion) else None,
        landmarks_mm=tuple(landmarks.tolist()),
        folding_fraction=regularity(jacobian).folding_fraction,
        similarity_before=None if result is None else result.pipeline.similarity_before,
        similarity_after=None if result is None else result.pipeline.similarity_after,
    )
    done.lines[0, n] = frame.resampled(reference.line_grid).data.reshape(-1).numpy()
    done.lines[1, n] = image.data[(0, *reference.line)].reshape(-1).numpy()
    done.moved[n] = image.data[0]
    for text in () if result is None else result.warnings:
        done.warnings[text].append(n)
    done.transforms.append(transform)
    done.grids.append(frame.grid)
    done.rows.append(row)


def _as_frames(sequence: SequenceLike, parameters: SequenceParameters) -> Frames:
    if isinstance(sequence, Frames):
        return sequence
    if isinstance(sequence, (str, os.PathLike)):
        return read_frames(Path(sequence), parameters)
    if isinstance(sequence, (list, tuple)):
        if len(sequence) < 2:
            raise ImageError(
                f"Found {'one frame' if sequence else 'no frames'}, expected a list of two or more images. Register a "
                "single image with `register`.",
                code="sequence-short",
            )
        names = tuple(image_name(item, f"frame {n}") for n, item in enumerate(sequence))
        return Frames(names, lambda n: as_image(sequence[n], **parameters.read_options()))
    return frames_of(as_image(sequence, frame="all", replace_nonfinite=parameters.replace_nonfinite))


def _source_folder(sequence: SequenceLike) -> str:
    return os.fspath(sequence) if isinstance(sequence, (str, os.PathLike)) else ""


def _sequence_name(sequence: SequenceLike) -> str:
    return "frames" if isinstance(sequence, (list, tuple, Frames)) else image_name(sequence, "sequence")


def _reason(error: Exception, source: str) -> str:
    """Return why a frame failed; files in the folder `source` are named by their base names only."""
    if isinstance(error, SynthRegError):
        return error.text.replace(f"{source}{os.sep}", "") if source else error.text
    _log.exception("frame")
    return f"Found an unexpected {type(error).__name__}, expected none: an internal error. Please report it."


def _sequence_report(
    name: str, reference: SequenceReference, parameters: SequenceParameters, device: str, done: _RegisteredFrames
) -> SequenceReport:
    values = dataclasses.asdict(parameters)
    shared_warnings = baseline_warnings(registration_cards(values))
    failed = [f"Frame {row.frame} failed: {row.message}" for row in done.rows if row.status == FAILED]
    framewise = [f"{_numbered(n)}: {text}" for text, n in done.warnings.items() if text not in shared_warnings]
    return SequenceReport(
        sequence_name=name,
        reference=reference.name,
        reference_frame=reference.frame,
        run=run_record(
            method_name(registration_card(parameters.model)),
            parameters,
            {"registration": sum(row.seconds for row in done.rows)},
            device,
        ),
        frames=tuple(done.rows),
        landmark_labels=() if reference.landmarks is None else reference.landmarks.labels,
        warnings=(*shared_warnings, *failed, *framewise),
    )


def _numbered(frames: list[int]) -> str:
    return f"Frame {frames[0]}" if len(frames) == 1 else f"Frames {', '.join(map(str, frames))}"
