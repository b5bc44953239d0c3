"""Pairwise registration in memory: `register`."""

from __future__ import annotations

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from SlicerSynthReg.api.images import (
    ImageLike,
    LandmarksLike,
    TransformLike,
    image_name,
)
from SlicerSynthReg.api.options import resolve_parameters
from SlicerSynthReg.api.registration_inputs import read_inputs
from SlicerSynthReg.api.run_record import run_record
from SlicerSynthReg.healthy.lesion_filled_inputs import lesion_filled_inputs
from SlicerSynthReg.healthy.pipeline import HealthyModel
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.landmarks import Landmarks, write_landmarks
from SlicerSynthReg.io.transforms import write_transform
from SlicerSynthReg.io.write import write_images
from SlicerSynthReg.metrics.landmarks import target_registration_error
from SlicerSynthReg.metrics.overlap import overlap
from SlicerSynthReg.metrics.regularity import inverse_consistency, regularity
from SlicerSynthReg.parameters.registration import RegisterParameters
from SlicerSynthReg.progress import Progress, Stopwatch, no_progress, sub_progress
from SlicerSynthReg.registration.brain_pipeline import PipelineResult
from SlicerSynthReg.registration.dispatch import run_pipeline
from SlicerSynthReg.registration.inputs import RegistrationInputs
from SlicerSynthReg.registration.warping import WarpedImages, warp_by_header, warp_images, warp_labels
from SlicerSynthReg.report.html import write_page
from SlicerSynthReg.report.page import registration_page
from SlicerSynthReg.report.record import (
    LabelOverlap,
    LandmarkError,
    RegistrationReport,
    SimilarityChange,
    TransformQuality,
)
from SlicerSynthReg.runtime import select_device
from SlicerSynthReg.spatial.transform import Transform
from SlicerSynthReg.weights.registry import Card
from SlicerSynthReg.weights.selection import (
    baseline_warnings,
    healthy_card,
    method_name,
    registration_card,
    registration_cards,
)

CONSISTENCY_SPACING_MM = 4.0
"""Spacing of the points at which inverse consistency is measured."""
MIN_STRUCTURE_VOXELS = 60
"""Smallest structure of the fixed labels whose overlap is measured."""


@dataclass(frozen=True, eq=False)
class RegistrationRun:
    """How a registration was computed. names: of the fixed and the moving image. card: of the network, None without.
    seconds: stage -> seconds, to which later stages add theirs."""

    names: tuple[str, str]
    parameters: RegisterParameters
    card: Card | None
    device: str
    seconds: dict[str, float]


@dataclass(frozen=True, eq=False)
class Registration:
    """Result of `register`. Images and report are computed when they are first used, and once.

    inputs: as read. pipeline: result of the pipeline. run: how it was computed.
    """

    inputs: RegistrationInputs
    pipeline: PipelineResult
    run: RegistrationRun

    @property
    def fixed(self) -> Image:
        """The fixed image."""
        return self.inputs.fixed

    @property
    def transform(self) -> Transform:
        """The transform, fixed RAS mm -> moving RAS mm: moved(x) = moving(T(x))."""
        return self.pipeline.transform

    @cached_property
    def inverse(self) -> Transform:
        """The inverse transform, moving RAS mm -> fixed RAS mm."""
        return self.transform.inverse()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know about the result."""
        return self.pipeline.warnings

    @property
    def moved(self) -> Image:
        """The moving image on the fixed grid."""
        return self._warped.image

    @property
    def moved_labels(self) -> Image | None:
        """The moving labels on the fixed grid; None without moving labels."""
        return self._warped.labels

    @property
    def jacobian(self) -> Image:
        """det dT/dx at each voxel of the fixed grid: 1 keeps the volume, 2 doubles it from fixed to moving."""
        return self._warped.jacobian

    @cached_property
    def moved_landmarks(self) -> Landmarks | None:
        """The moving landmarks in the fixed space, RAS mm; None without moving landmarks."""
        landmarks = self.inputs.moving_landmarks
        return None if landmarks is None else Landmarks(self.inverse.map_points(landmarks.points_mm), landmarks.labels)

    @cached_property
    def report(self) -> RegistrationReport:
        """The measured quality, with the seconds of all stages so far."""
        warped = self._warped
        watch = Stopwatch()
        watch.stage("quality measures", 0.0)
        quality, overlaps, errors = self._transform_quality(warped.jacobian), self._overlap(), self._landmark_error()
        watch.end()
        self.run.seconds.update(watch.seconds)
        return RegistrationReport(
            *self.run.names,
            quality,
            run_record(method_name(self.run.card), self.run.parameters, self.run.seconds, self.run.device),
            overlaps,
            errors,
            SimilarityChange(self.pipeline.similarity_before, self.pipeline.similarity_after),
            self.warnings,
        )

    @property
    def images(self) -> dict[str, Image]:
        """Every image of the result by its output name."""
        images = {"moved": self.moved, "jacobian": self.jacobian, "moved_labels": self.moved_labels}
        return {name: image for name, image in images.items() if image is not None}

    def save(
        self, folder: str | os.PathLike[str], progress: Progress = no_progress, images: bool = True
    ) -> dict[str, str]:
        """Write images, transforms, landmarks, picture, page and record to `folder`; return output name -> file name.

        images: False writes picture, page and record only. Raises OSError.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        progress(0.0, "resampling")
        outputs: dict[str, str] = {}
        made = self.images
        with ThreadPoolExecutor(2) as pool:  # drawing and compression release the interpreter
            picture = pool.submit(self.picture)
            written = pool.submit(write_images, made, folder) if images else None
            progress(0.3, "writing")
            if written is not None:
                outputs |= self._write_transforms(folder)
            progress(0.5, "quality measures")
            report = self.report
            progress(0.8, "drawing")
            outputs |= {} if written is None else written.result()
            (folder / "picture.png").write_bytes(picture.result())
        write_page(registration_page(report, picture.result(), self.run.card), folder / "report.html")
        (folder / "registration.json").write_text(report.to_json(), encoding="utf-8")
        return outputs | {"picture": "picture.png", "page": "report.html", "record": "registration.json"}

    def picture(self) -> bytes:
        """Return PNG bytes of the images before and after registration."""
        from SlicerSynthReg.report.figure import png_bytes
        from SlicerSynthReg.report.picture import registration_picture  # matplotlib: half a second

        before = warp_by_header(self.inputs.moving, self.fixed.grid)
        return png_bytes(registration_picture(self.fixed, before, self.moved, self.inputs.fixed_labels))

    @cached_property
    def _warped(self) -> WarpedImages:
        watch = Stopwatch()
        watch.stage("resampling", 0.0)
        warped = warp_images(self.transform, self.fixed.grid, self.inputs.moving, self.inputs.moving_labels)
        watch.end()
        self.run.seconds.update(watch.seconds)
        return warped

    def _write_transforms(self, folder: Path) -> dict[str, str]:
        fixed, moving = self.fixed.grid, self.inputs.moving.grid
        outputs = {"forward": "forward.h5", "inverse": "inverse.h5"}
        write_transform(self.transform, folder / outputs["forward"], fixed, moving)
        write_transform(self.inverse, folder / outputs["inverse"], moving, fixed)
        if self.moved_landmarks is not None:
            outputs["moved_landmarks"] = "moved_landmarks.csv"
            write_landmarks(self.moved_landmarks, folder / outputs["moved_landmarks"])
        return outputs

    def _transform_quality(self, jacobian: Image) -> TransformQuality:
        regular, grid = regularity(jacobian), self.fixed.grid
        coarse = grid.resampled(max(CONSISTENCY_SPACING_MM, float(grid.spacing.max())))
        error_mm = inverse_consistency(self.transform, self.inverse, coarse).mean_mm
        return TransformQuality(
            regular.folding_fraction,
            regular.jacobian_min,
            regular.jacobian_max,
            error_mm,
            error_mm / float(grid.spacing.min()),
        )

    def _overlap(self) -> LabelOverlap | None:
        fixed, moving, moved = self.inputs.fixed_labels, self.inputs.moving_labels, self.moved_labels
        if fixed is None or moving is None or moved is None:
            return None
        unregistered = warp_labels(moving, self.fixed.grid, None)
        before, after = (overlap(fixed, item, minimum_voxels=MIN_STRUCTURE_VOXELS) for item in (unregistered, moved))
        per_label = {str(n): (before.per_label[n], after.per_label[n]) for n in after.per_label}
        return LabelOverlap(before.mean, after.mean, per_label)

    def _landmark_error(self) -> LandmarkError | None:
        fixed, moving = self.inputs.fixed_landmarks, self.inputs.moving_landmarks
        if fixed is None or moving is None:
            return None
        points = fixed.points_mm, moving.points_mm
        before, after = target_registration_error(*points), target_registration_error(*points, self.transform)
        return LandmarkError(before.mean_mm, after.mean_mm)


def register(
    fixed: ImageLike,
    moving: ImageLike,
    *,
    fixed_labels: ImageLike | None = None,
    moving_labels: ImageLike | None = None,
    fixed_mask: ImageLike | None = None,
    moving_mask: ImageLike | None = None,
    fixed_landmarks: LandmarksLike | None = None,
    moving_landmarks: LandmarksLike | None = None,
    initial_transform: TransformLike | None = None,
    parameters: RegisterParameters | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> Registration:
    """Register the moving to the fixed image, across contrasts.

    fixed_labels: on the fixed grid; with moving_labels, Dice is measured. moving_labels: in the moving image's space.
    masks: non-zero where the images may be compared. landmarks: corresponding points in the same order, RAS mm; their
    error is measured. initial_transform: fixed RAS mm -> moving RAS mm. options: fields of RegisterParameters, such as
    anatomy="ct", similarity="ncc", affine_only=True, device="cpu". Raises ImageError, GeometryError and RequestError.
    """
    chosen = resolve_parameters(RegisterParameters, parameters, options)
    device = select_device(chosen.device, chosen.threads).type
    watch = Stopwatch(progress)
    watch.stage("reading", 0.01)
    given: dict[str, Any] = {
        "fixed": fixed,
        "moving": moving,
        "fixed_labels": fixed_labels,
        "moving_labels": moving_labels,
        "fixed_mask": fixed_mask,
        "moving_mask": moving_mask,
        "fixed_landmarks": fixed_landmarks,
        "moving_landmarks": moving_landmarks,
        "initial_transform": initial_transform,
    }
    inputs = read_inputs(given, chosen)
    run = RegistrationRun(
        (image_name(fixed, "fixed"), image_name(moving, "moving")), chosen, registration_card(chosen.model), device, {}
    )
    watch.end()
    run.seconds.update(watch.seconds)
    warnings = baseline_warnings(registration_cards(dataclasses.asdict(chosen)))
    compared, start = inputs, 0.02
    if chosen.fill_lesions != "none":
        model = HealthyModel.load(healthy_card(chosen.healthy_model))
        filled = lesion_filled_inputs(
            inputs.fixed, inputs.moving, chosen.fill_lesions, model, device, sub_progress(progress, start, 0.35)
        )
        compared, start = dataclasses.replace(inputs, fixed=filled.fixed, moving=filled.moving), 0.35
        run.seconds.update(filled.seconds)
        warnings += filled.warnings
    result = run_pipeline(compared, chosen, device, sub_progress(progress, start, 1.0))
    run.seconds.update(result.seconds)
    return Registration(inputs, dataclasses.replace(result, warnings=(*warnings, *result.warnings)), run)
