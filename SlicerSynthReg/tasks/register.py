"""The register task: files in; moved image, moved labels, both transforms, Jacobian, picture and report out."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from SlicerSynthReg.evaluate.landmarks import target_error
from SlicerSynthReg.evaluate.overlap import overlap
from SlicerSynthReg.evaluate.regularity import inverse_consistency, regularity
from SlicerSynthReg.methods.una.model import UNA
from SlicerSynthReg.report.html import write_page
from SlicerSynthReg.report.page import registration_page
from SlicerSynthReg.report.record import RegistrationReport
from SlicerSynthReg.request import Progress, Request, TaskOutcome, shown_name
from SlicerSynthReg.space.transform import Transform
from SlicerSynthReg.tasks.alignment import Alignment
from SlicerSynthReg.tasks.choosing import align_chosen, config_of
from SlicerSynthReg.tasks.device import set_up
from SlicerSynthReg.tasks.loaded import loaded, registration_network
from SlicerSynthReg.tasks.machine import peak_memory_mb, version_of_synthreg
from SlicerSynthReg.tasks.model import chosen_card, doubts_of, healthy_card, method_of, registration_cards
from SlicerSynthReg.tasks.moving import Moved, moved_by, moved_labels
from SlicerSynthReg.tasks.parameters import RegisterParameters, recorded
from SlicerSynthReg.tasks.register_inputs import Inputs, read_inputs
from SlicerSynthReg.tasks.stopwatch import Stopwatch
from SlicerSynthReg.tasks.through_healthy import InHealth, in_health
from SlicerSynthReg.volume.landmarks import Landmarks, write_landmarks
from SlicerSynthReg.volume.transforms import write_transform
from SlicerSynthReg.volume.write import write_volume
from SlicerSynthReg.weights.registry import Card

SPACING_MM = 2.0
MEASURED_MM = 4.0
"""Inverse consistency is measured at points this far apart."""
SCORED_VOXELS = 60
"""Structures smaller than this in the fixed labels are not scored."""


def register_task(request: Request, workspace: Path, progress: Progress) -> TaskOutcome:
    """Run one registration; every file lies in `workspace`."""
    parameters = RegisterParameters(**request.parameters)
    device = set_up(parameters).type
    watch = Stopwatch(lambda share, text: progress(share, text))
    watch.stage("reading", 0.01)
    inputs = read_inputs(request, parameters)
    card = chosen_card(parameters.model)
    model = registration_network(card)
    watch.end()
    compared, health = inputs, None
    if parameters.through_healthy != "none":
        health = _in_health(inputs, parameters, device, lambda share, text: progress(0.02 + 0.3 * share, text))
        compared = health.inputs
        watch.seconds.update(health.seconds)
    begun = 0.02 if health is None else 0.32
    config = config_of(parameters, device)
    alignment = align_chosen(
        parameters,
        model,
        card.spacing_mm if card else SPACING_MM,
        compared,
        config,
        lambda share, text: progress(begun + (0.85 - begun) * share, text),
    )
    before = doubts_of(registration_cards(dataclasses.asdict(parameters))) + (() if health is None else health.warnings)
    alignment = dataclasses.replace(alignment, warnings=before + alignment.warnings)
    watch.seconds.update(alignment.seconds)
    watch.stage("writing", 0.86)
    moved = moved_by(alignment.transform, inputs.fixed.grid, inputs.moving, inputs.moving_labels)
    with ThreadPoolExecutor(2) as beside:  # drawing and compressing leave the processor to what is computed meanwhile
        drawn = beside.submit(_picture, inputs, moved)
        written = beside.submit(_write_images, moved, workspace)
        outputs = _write_transforms(inputs, alignment.transform, workspace)
        watch.stage("measuring", 0.93)
        record = _measured(inputs, moved, alignment, card, request, config.device)
        watch.stage("drawing", 0.97)
        outputs |= written.result()
        picture = drawn.result()
    watch.end()
    record = dataclasses.replace(record, stages={name: round(s, 3) for name, s in watch.seconds.items()})
    (workspace / "picture.png").write_bytes(picture)
    write_page(registration_page(record, picture, card), workspace / "report.html")
    (workspace / "registration.json").write_text(record.to_json(), encoding="utf-8")
    outputs |= {"picture": "picture.png", "page": "report.html", "record": "registration.json"}
    return TaskOutcome(outputs, dataclasses.asdict(record), list(alignment.warnings))


def _in_health(inputs: Inputs, parameters: RegisterParameters, device: str, progress: Progress) -> InHealth:
    una = healthy_card(parameters.healthy_model)
    brains = registration_network(chosen_card(None))
    return in_health(inputs, parameters.through_healthy, loaded(UNA, una), una.spacing_mm, brains, device, progress)


def _picture(inputs: Inputs, moved: Moved) -> bytes:
    from SlicerSynthReg.report.figure import png_bytes
    from SlicerSynthReg.report.picture import registration_picture  # half a second, beside the computing

    return png_bytes(registration_picture(inputs.fixed, moved.before, moved.image, inputs.fixed_labels))


def _write_images(moved: Moved, folder: Path) -> dict[str, str]:
    """Moved image and labels, Jacobian."""
    images = {"moved": moved.image, "jacobian": moved.jacobian, "moved_labels": moved.labels}
    files = {name: f"{name}.nii.gz" for name, image in images.items() if image is not None}
    for name, image in images.items():
        if image is not None:
            write_volume(image, folder / files[name])
    return files


def _write_transforms(inputs: Inputs, forward: Transform, folder: Path) -> dict[str, str]:
    """The transform both ways, as ITK and Slicer read them; landmarks."""
    fixed, moving, inverse = inputs.fixed.grid, inputs.moving.grid, forward.inverse()
    outputs = {"forward": "forward.h5", "inverse": "inverse.h5"}
    write_transform(forward, folder / outputs["forward"], fixed, moving)
    write_transform(inverse, folder / outputs["inverse"], moving, fixed)
    if inputs.moving_landmarks is not None:
        there = Landmarks(inverse.map_points(inputs.moving_landmarks.points_mm), inputs.moving_landmarks.labels)
        outputs["moved_landmarks"] = "moved_landmarks.csv"
        write_landmarks(there, folder / outputs["moved_landmarks"])
    return outputs


def _measured(
    inputs: Inputs, moved: Moved, alignment: Alignment, card: Card | None, request: Request, device: str
) -> RegistrationReport:
    forward, grid = alignment.transform, inputs.fixed.grid
    regular = regularity(moved.jacobian)
    thinned = grid.resampled(max(MEASURED_MM, float(grid.spacing.max())))
    consistent = inverse_consistency(forward, forward.inverse(), thinned)
    dice_before = dice_after = per_label = tre_before = tre_after = None
    if inputs.fixed_labels is not None and inputs.moving_labels is not None and moved.labels is not None:
        header_only = moved_labels(inputs.moving_labels, grid, None)
        before, after = (
            overlap(inputs.fixed_labels, labels, minimum_voxels=SCORED_VOXELS) for labels in (header_only, moved.labels)
        )
        dice_before, dice_after = before.mean, after.mean
        per_label = {str(n): (before.per_label[n], after.per_label[n]) for n in after.per_label}
    if inputs.fixed_landmarks is not None and inputs.moving_landmarks is not None:
        points = inputs.fixed_landmarks.points_mm, inputs.moving_landmarks.points_mm
        tre_before, tre_after = target_error(*points).mean_mm, target_error(*points, forward).mean_mm
    return RegistrationReport(
        fixed_name=shown_name(request.inputs["fixed"]),
        moving_name=shown_name(request.inputs["moving"]),
        model=method_of(card),
        config={k: v for k, v in recorded(RegisterParameters, request.parameters).items() if v is not None},
        stages={},
        folding_share=regular.folding_share,
        jacobian_min=regular.jacobian_min,
        jacobian_max=regular.jacobian_max,
        inverse_consistency_mm_mean=consistent.mean_mm,
        inverse_consistency_vox_mean=consistent.mean_mm / float(grid.spacing.min()),
        dice_before=dice_before,
        dice_after=dice_after,
        per_label=per_label,
        tre_before=tre_before,
        tre_after=tre_after,
        similarity_before=alignment.similarity_before,
        similarity_after=alignment.similarity_after,
        warnings=alignment.warnings,
        peak_memory_mb=peak_memory_mb(),
        device=device,
        version=version_of_synthreg(),
    )
