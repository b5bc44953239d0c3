"""The register task: files in; moved image, moved labels, both transforms, Jacobian, picture and report out."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch

from SlicerSynthReg.evaluate.landmarks import target_error
from SlicerSynthReg.evaluate.overlap import overlap
from SlicerSynthReg.evaluate.regularity import inverse_consistency, jacobian_map, regularity
from SlicerSynthReg.methods.synthmorph.model import SynthMorph
from SlicerSynthReg.report.html import write_page
from SlicerSynthReg.report.page import registration_page
from SlicerSynthReg.report.picture import png_bytes, registration_picture
from SlicerSynthReg.report.record import RegistrationReport
from SlicerSynthReg.request import Progress, Request, TaskOutcome
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.transform import Displacement, Transform
from SlicerSynthReg.space.voting import resample_labels
from SlicerSynthReg.tasks.alignment import Alignment, AlignmentConfig, Stopwatch, align
from SlicerSynthReg.tasks.parameters import RegisterParameters
from SlicerSynthReg.volume.landmarks import Landmarks, read_landmarks, write_landmarks
from SlicerSynthReg.volume.read import read_volume
from SlicerSynthReg.volume.transforms import read_transform, write_transform
from SlicerSynthReg.volume.volume import Volume, VolumeError
from SlicerSynthReg.volume.write import write_volume
from SlicerSynthReg.weights.registry import Card, available, read_card

DEFAULT_MODEL = "synthmorph-brains"
NO_MODEL = "none"
"""Asks for MIND descriptors instead of a network."""
SPACING_MM = 2.0
SCORED_VOXELS = 60
"""Structures smaller than this in the fixed labels are not scored."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything the request named, read and checked."""

    fixed: Volume
    moving: Volume
    fixed_labels: Volume | None
    moving_labels: Volume | None
    fixed_mask: Volume | None
    moving_mask: Volume | None
    fixed_landmarks: Landmarks | None
    moving_landmarks: Landmarks | None
    initial: Transform | None


def register_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Run one registration; every file lies in `workspace`."""
    parameters = RegisterParameters(**request.parameters)
    if parameters.threads:
        torch.set_num_threads(parameters.threads)
    watch = Stopwatch(lambda share, text: progress(share, text))
    watch.stage("reading", 0.01)
    inputs = _read(request, parameters)
    card = chosen_card(parameters.model)
    model = _model(card.name) if card else None
    watch.end()
    config = AlignmentConfig(
        regularization=1.0 if parameters.regularization is None else parameters.regularization,
        refine=parameters.refine and parameters.preset == "accurate",
        affine_only=parameters.affine_only,
    )
    alignment = align(
        model,
        card.spacing_mm if card else SPACING_MM,
        inputs.fixed,
        inputs.moving,
        config,
        inputs.fixed_mask,
        inputs.moving_mask,
        inputs.initial,
        lambda share, text: progress(0.02 + 0.83 * share, text),
    )
    watch.seconds.update(alignment.seconds)
    watch.stage("writing", 0.86)
    forward = alignment.transform
    inverse = forward.inverse()
    outputs = _write(inputs, forward, inverse, workspace)
    watch.stage("measuring", 0.93)
    dense = forward.on(inputs.fixed.grid)
    jacobian = jacobian_map(dense, inputs.fixed.grid)
    write_volume(jacobian, workspace / "jacobian.nii.gz")
    outputs["jacobian"] = "jacobian.nii.gz"
    record = _measured(inputs, alignment, jacobian, card, request, watch)
    watch.end()
    _show(inputs, dense, record, card, workspace)
    outputs |= {"picture": "picture.png", "page": "report.html"}
    (workspace / "registration.json").write_text(record.to_json(), encoding="utf-8")
    outputs["record"] = "registration.json"
    return TaskOutcome(outputs, dataclasses.asdict(record), list(alignment.warnings))


def chosen_card(name: str | None) -> Card | None:
    """The model asked for, else the brain model where it is installed, else none."""
    if name == NO_MODEL or (name is None and DEFAULT_MODEL not in available()):
        return None
    return read_card(name or DEFAULT_MODEL)


@lru_cache(maxsize=2)
def _model(name: str) -> SynthMorph:
    """Kept between the requests of one worker."""
    return SynthMorph.load(read_card(name))


def _read(request: Request, parameters: RegisterParameters) -> Inputs:
    paths = request.inputs

    def image(which: str) -> Volume:
        return read_volume(
            paths[which],
            frame=getattr(parameters, f"{which}_frame"),
            series_uid=getattr(parameters, f"{which}_series"),
            assume_geometry=parameters.assume_geometry,
            replace_nonfinite=parameters.replace_nonfinite,
            interpolate_gaps=parameters.interpolate_gaps,
        )

    def labels(name: str, grid: Grid | None) -> Volume | None:
        if name not in paths:
            return None
        volume = read_volume(paths[name], "labels", assume_geometry=parameters.assume_geometry, allow_degenerate=True)
        if grid is not None:
            grid.require_same(volume.grid, name.replace("_", " "))
        return volume

    def points(name: str) -> Landmarks | None:
        return read_landmarks(paths[name]) if name in paths else None

    def mask(name: str) -> Volume | None:
        volume = labels(name, None)
        if volume is not None and not bool((volume.data != 0).any()):
            raise VolumeError(f"Found an empty {name.replace('_', ' ')}, expected non-zero voxels. Draw what counts.")
        return volume

    fixed = image("fixed")
    return Inputs(
        fixed=fixed,
        moving=image("moving"),
        fixed_labels=labels("fixed_labels", fixed.grid),
        moving_labels=labels("moving_labels", None),
        fixed_mask=mask("fixed_mask"),
        moving_mask=mask("moving_mask"),
        fixed_landmarks=points("fixed_landmarks"),
        moving_landmarks=points("moving_landmarks"),
        initial=read_transform(paths["initial_transform"], fixed.grid) if "initial_transform" in paths else None,
    )


def _write(inputs: Inputs, forward: Transform, inverse: Transform, folder: Path) -> dict[str, str]:
    """Moved image and labels on the fixed grid; transforms for ITK and Slicer, both directions."""
    fixed, moving = inputs.fixed.grid, inputs.moving.grid
    write_volume(inputs.moving.resampled(fixed, forward), folder / "moved.nii.gz")
    outputs = {"moved": "moved.nii.gz"}
    if inputs.moving_labels is not None:
        write_volume(moved_labels(inputs.moving_labels, fixed, forward), folder / "moved_labels.nii.gz")
        outputs["moved_labels"] = "moved_labels.nii.gz"
    if inputs.moving_landmarks is not None:
        there = Landmarks(inverse.map_points(inputs.moving_landmarks.points_mm), inputs.moving_landmarks.labels)
        write_landmarks(there, folder / "moved_landmarks.csv")
        outputs["moved_landmarks"] = "moved_landmarks.csv"
    for name, transform, here, there_grid in (("forward", forward, fixed, moving), ("inverse", inverse, moving, fixed)):
        file = f"{name}.h5"
        write_transform(transform, folder / file, here, there_grid)
        outputs[name] = file
    return outputs


def moved_labels(labels: Volume, grid: Grid, transform: Transform | None) -> Volume:
    """Labels on `grid` by the vote of their neighbours."""
    moved = resample_labels(labels.data[0], labels.grid, grid, transform)
    return Volume(moved[None], grid, "labels", labels.name)


def _measured(
    inputs: Inputs, alignment: Alignment, jacobian: Volume, card: Card | None, request: Request, watch: Stopwatch
) -> RegistrationReport:
    forward = alignment.transform
    regular = regularity(jacobian)
    consistent = inverse_consistency(forward, forward.inverse(), inputs.fixed.grid)
    dice_before = dice_after = per_label = tre_before = tre_after = None
    if inputs.fixed_labels is not None and inputs.moving_labels is not None:
        grid = inputs.fixed.grid
        scores = [
            overlap(inputs.fixed_labels, moved_labels(inputs.moving_labels, grid, t), minimum_voxels=SCORED_VOXELS)
            for t in (None, forward)
        ]
        dice_before, dice_after = scores[0].mean, scores[1].mean
        per_label = {
            str(label): (scores[0].per_label[label], scores[1].per_label[label]) for label in scores[1].per_label
        }
    if inputs.fixed_landmarks is not None and inputs.moving_landmarks is not None:
        points = inputs.fixed_landmarks.points_mm, inputs.moving_landmarks.points_mm
        tre_before, tre_after = target_error(*points).mean_mm, target_error(*points, forward).mean_mm
    watch.end()
    return RegistrationReport(
        fixed_name=Path(request.inputs["fixed"]).name,
        moving_name=Path(request.inputs["moving"]).name,
        model=card.name if card else "MIND descriptors, no network",
        config={k: v for k, v in request.parameters.items() if v is not None},
        stages={name: round(seconds, 3) for name, seconds in watch.seconds.items()},
        folding_share=regular.folding_share,
        jacobian_min=regular.jacobian_min,
        jacobian_max=regular.jacobian_max,
        inverse_consistency_mm_mean=consistent.mean_mm,
        inverse_consistency_vox_mean=consistent.mean_vox,
        dice_before=dice_before,
        dice_after=dice_after,
        per_label=per_label,
        tre_before=tre_before,
        tre_after=tre_after,
        similarity_before=alignment.similarity_before,
        similarity_after=alignment.similarity_after,
        warnings=alignment.warnings,
        peak_memory_mb=_peak_memory_mb(),
        device="cpu",
        version=_version(),
    )


def _show(inputs: Inputs, dense: Displacement, record: RegistrationReport, card: Card | None, folder: Path) -> None:
    grid = inputs.fixed.grid
    before, after = inputs.moving.resampled(grid), inputs.moving.resampled(grid, dense)
    picture = png_bytes(registration_picture(inputs.fixed, before, after, inputs.fixed_labels))
    (folder / "picture.png").write_bytes(picture)
    write_page(registration_page(record, picture, card), folder / "report.html")


def _peak_memory_mb() -> float:
    """Largest resident memory of this process so far; on Windows, where Python cannot ask for it, the present one."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().rss / 1e6
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 1e6 if sys.platform == "darwin" else used / 1e3


def _version() -> str:
    try:
        return version("slicersynthreg")
    except PackageNotFoundError:
        return "from source"
