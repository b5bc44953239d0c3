"""In-context prediction in memory: `segment_by_examples`."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from SlicerSynthReg.api.examples import ExampleSet, ExamplesLike, ImagesLike, as_examples, as_images, first_image
from SlicerSynthReg.api.images import ImageLike, image_name
from SlicerSynthReg.api.in_context_measures import (
    prediction_accuracy,
    prediction_warnings,
    relative_roughness,
    support_similarity,
    volumes_ml,
)
from SlicerSynthReg.api.options import resolve_parameters
from SlicerSynthReg.api.run_record import run_record
from SlicerSynthReg.errors import RequestError
from SlicerSynthReg.in_context.alignment import Alignment
from SlicerSynthReg.in_context.bootstrap import bootstrap_uncertainty
from SlicerSynthReg.in_context.neuralizer import Neuralizer
from SlicerSynthReg.in_context.predictor import LeaveOneOut, Predictor, leave_one_out
from SlicerSynthReg.in_context.reference_frame import FrameConfig, ReferenceFrame, build_reference_frame
from SlicerSynthReg.in_context.ridge_head import RidgeHeadConfig
from SlicerSynthReg.in_context.slices import InferenceConfig
from SlicerSynthReg.io.example_images import ExamplePair, select_labels
from SlicerSynthReg.io.example_pairs import ExamplePaths
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.write import write_images
from SlicerSynthReg.metrics.case_ranking import CaseUncertainty
from SlicerSynthReg.metrics.uncertainty import binary_entropy
from SlicerSynthReg.parameters.examples import PLANES, InContextParameters
from SlicerSynthReg.progress import Progress, Stopwatch, no_progress, sub_progress
from SlicerSynthReg.report.figure import png_bytes
from SlicerSynthReg.report.html import write_page
from SlicerSynthReg.report.in_context import (
    InContextReport,
    PictureData,
    PredictionMeasures,
    in_context_page,
    in_context_picture,
)
from SlicerSynthReg.runtime import select_device
from SlicerSynthReg.spatial.transform import Transform
from SlicerSynthReg.weights.loading import load_network
from SlicerSynthReg.weights.registry import Card
from SlicerSynthReg.weights.selection import context_card

MAX_CHECKED = 4
"""Examples predicted to choose the mixture, without `check_examples`."""
THIN_MM = 1.25
"""Slice spacing up to which neighbouring example slices are nearly equal: every other one suffices."""


@dataclass(frozen=True, eq=False)
class InContextPrediction:
    """Result of `segment_by_examples`, on the target's grid.

    output: label map, or image in the intensities of the examples' outputs. uncertainty: binary entropy of the most
    probable label in bits, 0 to 1; None for images.
    """

    output: Image
    uncertainty: Image | None
    report: InContextReport
    card: Card
    picture_data: PictureData

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.report.warnings

    @property
    def images(self) -> dict[str, Image]:
        """Every image of the result by its output name."""
        name = "labels" if self.output.kind == "labels" else "image"
        images = {name: self.output, "uncertainty": self.uncertainty}
        return {name: image for name, image in images.items() if image is not None}

    def save(self, folder: str | os.PathLike[str], images: bool = True) -> dict[str, str]:
        """Write the images, if wanted, picture, page and record into `folder`; return output name -> file name. Raises
        OSError."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        files = write_images(self.images, folder) if images else {}
        picture = png_bytes(in_context_picture(self.picture_data))
        (folder / "picture.png").write_bytes(picture)
        write_page(in_context_page(self.report, picture, self.card), folder / "report.html")
        record = json.dumps(dataclasses.asdict(self.report), indent=2) + "\n"
        (folder / "in_context.json").write_text(record, encoding="utf-8")
        return {**files, "picture": "picture.png", "page": "report.html", "record": "in_context.json"}


def segment_by_examples(
    target: ImagesLike,
    examples: ExamplesLike,
    *,
    truth: ImageLike | None = None,
    parameters: InContextParameters | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> InContextPrediction:
    """Predict for a target what a few examples show: a segmentation, or another image (Neuralizer).

    target: one image, or as many as each example has, of one subject; anything `as_image` takes. examples: folder, CSV
    table, or sequence of (image or images, output). truth: ground truth on the target's grid, to measure Dice or PSNR.
    options: fields of InContextParameters. The aligned examples of a folder or table are cached for the next target.
    Raises ImageError, GeometryError, RequestError, WeightsError.
    """
    parameters = resolve_parameters(InContextParameters, parameters, options)
    device = select_device(parameters.device, parameters.threads)
    card = context_card(parameters.model)
    support = as_examples(examples)
    images = _check_inputs(as_images(target), support)
    model = load_network(Neuralizer, card).to(device)
    watch = Stopwatch(progress)
    result = _predict(model, images, support, parameters, watch)
    frame, prediction = result.frame, result.prediction
    watch.stage("resampling", 0.92)
    output, entropy = _resample_to_target(prediction, frame, images[0], result.alignment.transform)
    similarity = support_similarity(result.x, frame, result.checks if parameters.check_examples else None)
    roughness = relative_roughness(prediction, frame, result.config.planes[0])
    accuracy = None if truth is None else prediction_accuracy(truth, output, frame)
    watch.end()
    warnings = (
        *frame.notes,
        *(f"Target: {text}" for text in result.alignment.notes),
        *prediction_warnings(similarity, frame, prediction),
    )
    report = InContextReport(
        target=image_name(first_image(target), "target"),
        examples=frame.names,
        labels=frame.labels,
        similarity=similarity,
        prediction=PredictionMeasures(result.checks.patch_share, volumes_ml(output, frame), roughness),
        run=run_record(card.name, parameters, watch.seconds, device.type),
        accuracy=accuracy,
        uncertainty=result.uncertainty,
        label_names={str(k): name.name for k, name in support.label_names.items() if k in frame.labels},
        warnings=warnings,
    )
    picture = PictureData(result.x[0], prediction, frame.examples, frame.names, bool(frame.labels))
    return InContextPrediction(output, entropy, report, card, picture)


@dataclass(frozen=True, eq=False)
class _Prediction:
    """Prediction (L, I, J, K) for a target x (C, I, J, K) on the reference grid, and what it is based on."""

    frame: ReferenceFrame
    config: InferenceConfig
    alignment: Alignment
    x: torch.Tensor
    checks: LeaveOneOut
    prediction: torch.Tensor
    uncertainty: CaseUncertainty | None


@torch.inference_mode()
def _predict(
    model: Neuralizer,
    images: tuple[Image, ...],
    support: ExampleSet,
    parameters: InContextParameters,
    watch: Stopwatch,
) -> _Prediction:
    """Align examples and target, choose the mixture by leave-one-out prediction, and predict."""
    device = next(model.parameters()).device
    watch.stage("aligning the examples", 0.02)
    frame = _reference_frame(support, parameters, device.type)
    config = _inference_config(parameters, frame)
    watch.stage("aligning the target", 0.35)
    alignment = frame.align(images[0])
    x = frame.resample(images, alignment.transform)
    watch.stage("leave-one-out prediction", 0.4)
    checked = len(frame.examples) if parameters.check_examples else MAX_CHECKED
    checks = _leave_one_out(model, frame, config, parameters.predictor, checked)
    watch.stage("predicting", 0.5)
    predictor = Predictor(model, config, checks.patch_share, bool(frame.labels))
    prediction = predictor.predict(x, frame.examples, sub_progress(watch.progress, 0.5, 0.7))
    uncertainty = None
    if parameters.bootstrap >= 2 and frame.labels and len(frame.examples) > 1:
        watch.stage("bootstrap", 0.7)
        part = sub_progress(watch.progress, 0.7, 0.9)
        uncertainty = bootstrap_uncertainty(predictor, x, frame.examples, parameters.bootstrap, part)
    return _Prediction(frame, config, alignment, x, checks, prediction, uncertainty)


def _check_inputs(images: tuple[Image, ...], support: ExampleSet) -> tuple[Image, ...]:
    if len(images) != support.inputs:
        raise RequestError(
            f"Found {len(images)} images of the target and {support.inputs} in each example, expected the same number, "
            "in the same order. Add target2 and target3, or leave columns of the table out.",
            code="target-images",
        )
    return images


def _reference_frame(support: ExampleSet, parameters: InContextParameters, device: str) -> ReferenceFrame:
    """Return the aligned examples; those of the last folder or table are kept for its next target."""
    config = FrameConfig((), parameters.alignment, parameters.spacing_mm, parameters.missing_is_background, device)
    if support.paths:
        return _cached_frame(support.paths, support.file_state(), parameters.output_kind, parameters.labels, config)
    return _build_frame(support.read(parameters.output_kind), parameters.labels, config)


@lru_cache(maxsize=1)
def _cached_frame(
    paths: tuple[ExamplePaths, ...], state: tuple[Any, ...], kind: str, labels: str, config: FrameConfig
) -> ReferenceFrame:
    return _build_frame(ExampleSet(paths).read(kind), labels, config)


def _build_frame(pairs: list[ExamplePair], labels: str, config: FrameConfig) -> ReferenceFrame:
    masks = all(pair.output.kind == "labels" for pair in pairs)
    return build_reference_frame(
        pairs, dataclasses.replace(config, labels=select_labels(pairs, labels) if masks else ())
    )


def _inference_config(parameters: InContextParameters, frame: ReferenceFrame) -> InferenceConfig:
    thin = parameters.support_slices > 0 and float(frame.grid.spacing.max()) <= THIN_MM
    return InferenceConfig(
        PLANES[parameters.plane],
        parameters.support_size,
        parameters.support_slices,
        slice_step=2 if thin and len(frame.examples) >= parameters.support_size else 1,
        adjacent_slices=parameters.adjacent_slices,
        ridge_head=RidgeHeadConfig() if parameters.ridge_head else None,
    )


@lru_cache(maxsize=1)
def _leave_one_out(
    model: Neuralizer, frame: ReferenceFrame, config: InferenceConfig, predictor: str, max_examples: int
) -> LeaveOneOut:
    """Return the result for this frame, kept with it for its next target."""
    return leave_one_out(model, frame.examples, config, predictor, bool(frame.labels), max_examples)


def _resample_to_target(
    prediction: torch.Tensor, frame: ReferenceFrame, target: Image, transform: Transform | None
) -> tuple[Image, Image | None]:
    """Return output and binary entropy on the target's grid; transform: reference RAS mm -> target RAS mm."""
    inverse = None if transform is None else transform.inverse()
    p = Image(prediction, frame.grid).resampled(target.grid, inverse).data
    if not frame.labels:
        low, high = frame.output_range
        inside = Image(torch.ones(1, *frame.grid.shape), frame.grid).resampled(target.grid, inverse).data
        return Image((low + (high - low) * p) * (inside > 0.5), target.grid, name=target.name), None
    best, which = p.max(0)
    values = torch.tensor(frame.labels, dtype=torch.int32)[which]
    labels = torch.where(best > 0.5, values, torch.zeros_like(values))[None]
    return (
        Image(labels, target.grid, "labels", target.name),
        Image(binary_entropy(best)[None], target.grid, name=target.name),
    )
