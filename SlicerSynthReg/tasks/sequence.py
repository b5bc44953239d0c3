"""The sequence task: frames in; every frame brought onto one reference, a transform a frame, a report out.

Each frame is registered by itself, from its header: no error is carried from one frame to the next. One that cannot be
registered is told of and left empty; the others are not lost.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from SlicerSynthReg.evaluate.regularity import jacobian_map, regularity
from SlicerSynthReg.report.figure import png_bytes
from SlicerSynthReg.report.html import write_page
from SlicerSynthReg.report.sequence import FAILED, REFERENCE, REGISTERED, FrameReport, SequenceReport, sequence_page
from SlicerSynthReg.request import Cancelled, Progress, Request, RequestError, TaskOutcome, shown_name
from SlicerSynthReg.space.grid import GeometryError, Grid
from SlicerSynthReg.space.transform import Affine, Transform
from SlicerSynthReg.tasks.alignment import Alignment
from SlicerSynthReg.tasks.choosing import align_chosen, config_of
from SlicerSynthReg.tasks.device import set_up
from SlicerSynthReg.tasks.frames import Frames, read_frames
from SlicerSynthReg.tasks.loaded import registration_network
from SlicerSynthReg.tasks.machine import peak_memory_mb, version_of_synthreg
from SlicerSynthReg.tasks.model import chosen_card, doubts_of, method_of, registration_cards
from SlicerSynthReg.tasks.parameters import MethodParameters, RegisterParameters
from SlicerSynthReg.tasks.prepare import counting, standardised
from SlicerSynthReg.tasks.reading import read_image
from SlicerSynthReg.tasks.register import SPACING_MM
from SlicerSynthReg.tasks.register_inputs import Inputs, read_mask
from SlicerSynthReg.tasks.sequence_parameters import MIDDLE, SequenceParameters, reference_frame
from SlicerSynthReg.volume.landmarks import Landmarks, read_landmarks
from SlicerSynthReg.volume.raster import require_memory
from SlicerSynthReg.volume.transforms import write_transform
from SlicerSynthReg.volume.volume import Volume, VolumeError
from SlicerSynthReg.volume.write import write_volume

TISSUE_MM, MOST_POINTS = 4.0, 20_000
"""Motion is measured at points of tissue this far apart, so many at most."""
_SHARE = 0.93
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Reference:
    """What the frames are registered to. frame: its number, None for another image and for the mean of all. told: in
    words. tissue_mm: (N, 3) RAS, what counts of it. line: the voxels (1, 1, L) whose course through time is shown."""

    volume: Volume
    frame: int | None
    told: str
    mask: Volume | None
    landmarks: Landmarks | None
    tissue_mm: np.ndarray
    line: tuple[slice, slice, slice]


def sequence_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Register every frame; every file lies in `workspace`. Errors: RequestError where no frame can be registered."""
    parameters = SequenceParameters(**request.parameters)
    device = set_up(parameters).type
    progress(0.01, "reading")
    source = Path(request.inputs["sequence"])
    frames = read_frames(source, parameters)
    reference = _reference(request, parameters, frames)
    grid = reference.volume.grid
    require_memory((*grid.shape, len(frames)), 4, None)
    pair = RegisterParameters(
        **{one.name: getattr(parameters, one.name) for one in dataclasses.fields(MethodParameters)}
    )
    moved = torch.zeros((len(frames), *grid.shape))
    lines = np.full((2, len(frames), grid.shape[_along(reference.line)]), np.nan, dtype=np.float32)
    rows: list[FrameReport] = []
    warnings: dict[str, list[int]] = defaultdict(list)
    outputs: dict[str, str] = {}
    (workspace / "transforms").mkdir()
    for n, name in enumerate(frames.names):

        def tell(share: float, text: str, n: int = n) -> None:
            progress(0.02 + (_SHARE - 0.02) * (n + share) / len(frames), f"frame {n + 1} of {len(frames)}: {text}")

        tell(0.0, "reading")
        begun = time.monotonic()
        try:
            frame = frames.frame(n)
            found = None if n == reference.frame else _aligned(pair, reference, frame, device, tell)
            forward: Transform = Affine(np.eye(4)) if found is None else found.transform
            row, image = _measured(n, name, reference, frame, forward, found)
            file = f"transforms/frame_{n:03d}.h5"
            write_transform(forward, workspace / file, grid, frame.grid)
        except Cancelled:
            raise
        except Exception as error:
            rows.append(FrameReport(n, name, FAILED, _reason(error, source), seconds=time.monotonic() - begun))
            continue
        moved[n] = image.data[0]
        outputs[f"frame_{n:03d}"] = file
        lines[0, n] = frame.resampled(_cut(grid, reference.line)).data.reshape(-1).numpy()
        lines[1, n] = image.data[(0, *reference.line)].reshape(-1).numpy()
        for text in () if found is None else found.warnings:
            warnings[text].append(n)
        rows.append(dataclasses.replace(row, seconds=time.monotonic() - begun))
    progress(_SHARE, "writing")
    report = _report(request, parameters, reference, device, rows, warnings)
    if len(report.failed) >= len(rows) - (reference.frame is not None):
        raise RequestError(f"None of the frames could be registered. Frame {report.failed[0].frame}: "
                           f"{report.failed[0].message}")  # fmt: skip
    write_volume(Volume(moved, grid), workspace / "moved.nii.gz")
    outputs = {"moved": "moved.nii.gz", **outputs, **_write_report(report, reference, lines, workspace)}
    return TaskOutcome(outputs, dataclasses.asdict(report), list(report.warnings))


def _reference(request: Request, parameters: SequenceParameters, frames: Frames) -> Reference:
    """Errors: RequestError, and those of reading."""
    paths, number = request.inputs, None
    if "fixed" in paths and parameters.reference is not None:
        raise RequestError(
            f"Found the reference {parameters.reference} beside a fixed image, expected one of them. Leave one out."
        )
    if "fixed" in paths:
        volume, told = read_image(paths["fixed"], parameters), shown_name(paths["fixed"])
    else:
        number = reference_frame(parameters.reference, len(frames))
        volume = _mean(frames) if number is None else frames.frame(number)
        told = "the mean of all frames" if number is None else f"frame {number}"
        if (parameters.reference or MIDDLE) == MIDDLE:
            told += ", the middle one"
    mask = read_mask(paths["fixed_mask"], "fixed_mask", parameters) if "fixed_mask" in paths else None
    landmarks = read_landmarks(paths["fixed_landmarks"]) if "fixed_landmarks" in paths else None
    scan = standardised(volume, mask, max(TISSUE_MM, float(volume.grid.spacing.max())))
    where = (counting(scan) > 0.5).nonzero().numpy()
    tissue = scan.grid.index_to_world(where[:: max(1, -(-len(where) // MOST_POINTS))])
    return Reference(volume, number, told, mask, landmarks, tissue, _line(volume.grid, tissue))


def _mean(frames: Frames) -> Volume:
    """Of all frames that can be read, on the first one's grid."""
    total: Volume | None = None
    count = 0
    for n in range(len(frames)):
        try:
            frame = frames.frame(n)
        except (VolumeError, GeometryError, OSError):
            continue
        here = frame if total is None else frame.resampled(total.grid)
        total = here if total is None else Volume(total.data + here.data, total.grid, name="mean")
        count += 1
    if total is None:
        raise RequestError("Found no frame that can be read, expected images to average. Check the sequence.")
    return Volume(total.data / count, total.grid, name="mean")


def _line(grid: Grid, tissue_mm: np.ndarray) -> tuple[slice, slice, slice]:
    """Through the middle of the tissue, along the axis nearest to head-foot, where breathing moves most."""
    axis = int(np.abs(grid.directions[2]).argmax())
    middle = grid.world_to_index(tissue_mm.mean(0)[None])[0] if len(tissue_mm) else (np.array(grid.shape) - 1) / 2
    at = np.clip(np.round(middle), 0, np.array(grid.shape) - 1).astype(int)
    first, second, third = (slice(0, n) if a == axis else slice(at[a], at[a] + 1) for a, n in enumerate(grid.shape))
    return first, second, third


def _along(line: tuple[slice, slice, slice]) -> int:
    return int(np.argmax([one.stop - one.start for one in line]))


def _cut(grid: Grid, line: tuple[slice, slice, slice]) -> Grid:
    first, second, third = line
    return grid.cropped((first.start, second.start, third.start), (first.stop, second.stop, third.stop))


def _aligned(
    parameters: RegisterParameters, reference: Reference, frame: Volume, device: str, tell: Progress
) -> Alignment:
    card = chosen_card(parameters.model)
    inputs = Inputs(reference.volume, frame, None, None, reference.mask, None, None, None, None)
    config = config_of(parameters, device)
    spacing = card.spacing_mm if card else SPACING_MM
    return align_chosen(parameters, registration_network(card), spacing, inputs, config, tell)


def _measured(
    n: int, name: str, reference: Reference, frame: Volume, forward: Transform, found: Alignment | None
) -> tuple[FrameReport, Volume]:
    """What is said of the frame, and the frame moved."""
    grid = reference.volume.grid
    dense = forward.on(grid)
    motion = np.linalg.norm(forward.map_points(reference.tissue_mm) - reference.tissue_mm, axis=1)
    marks = np.zeros((0, 3)) if reference.landmarks is None else reference.landmarks.points_mm
    tracks = np.linalg.norm(forward.map_points(marks) - marks, axis=1)
    row = FrameReport(
        n,
        name,
        REFERENCE if found is None else REGISTERED,
        motion_mean_mm=float(motion.mean()) if len(motion) else None,
        motion_p95_mm=float(np.percentile(motion, 95)) if len(motion) else None,
        landmarks_mm=tuple(tracks.tolist()),
        folding_share=regularity(jacobian_map(dense, grid)).folding_share,
        similarity_before=None if found is None else found.similarity_before,
        similarity_after=None if found is None else found.similarity_after,
    )
    return row, frame.resampled(grid, dense)


def _reason(error: Exception, source: Path) -> str:
    """Why a frame failed, in plain words; of the files in the folder `source`, their names alone."""
    if isinstance(error, (RequestError, VolumeError, GeometryError)):
        text = error.text if isinstance(error, (RequestError, VolumeError)) else str(error)
        return text.replace(f"{source}{os.sep}", "")
    _log.exception("frame")
    return f"Found an unexpected {type(error).__name__}, expected none: a fault of the program. Please report it."


def _report(
    request: Request,
    parameters: SequenceParameters,
    reference: Reference,
    device: str,
    rows: list[FrameReport],
    warnings: dict[str, list[int]],
) -> SequenceReport:
    card = chosen_card(parameters.model)
    told = [f"{_frames(numbers)}: {text}" for text, numbers in warnings.items()]
    failed = [f"Frame {one.frame} failed: {one.message}" for one in rows if one.status == FAILED]
    return SequenceReport(
        sequence_name=shown_name(request.inputs["sequence"]),
        reference=reference.told,
        reference_frame=reference.frame,
        model=method_of(card),
        config={name: value for name, value in dataclasses.asdict(parameters).items() if value is not None},
        frames=tuple(rows),
        landmark_labels=() if reference.landmarks is None else reference.landmarks.labels,
        warnings=(*doubts_of(registration_cards(dataclasses.asdict(parameters))), *failed, *told),
        peak_memory_mb=peak_memory_mb(),
        device=device,
        version=version_of_synthreg(),
    )


def _frames(numbers: list[int]) -> str:
    return f"Frame {numbers[0]}" if len(numbers) == 1 else f"Frames {', '.join(map(str, numbers))}"


def _write_report(report: SequenceReport, reference: Reference, lines: np.ndarray, folder: Path) -> dict[str, str]:
    from SlicerSynthReg.report.sequence_picture import sequence_picture  # matplotlib, half a second

    axis = _along(reference.line)
    length = float(reference.volume.grid.spacing[axis] * reference.volume.grid.shape[axis])
    picture = png_bytes(sequence_picture(report, lines[0], lines[1], length))
    (folder / "motion.png").write_bytes(picture)
    write_page(sequence_page(report, picture), folder / "report.html")
    return {"picture": "motion.png", "page": "report.html"}
