"""Segmentation in memory by a fine-tuned model: `segment`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from SlicerSynthReg.api.images import ImageLike, as_image, image_name
from SlicerSynthReg.api.options import resolve_parameters
from SlicerSynthReg.api.run_record import run_record
from SlicerSynthReg.finetuning.segmenter import FineTunedSegmenter
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.io.intensity_matching import IntensityMapping, resample_unscaled
from SlicerSynthReg.io.write import write_images
from SlicerSynthReg.metrics.overlap import overlap
from SlicerSynthReg.metrics.uncertainty import entropy
from SlicerSynthReg.parameters.examples import SegmentParameters
from SlicerSynthReg.progress import Progress, Stopwatch, no_progress
from SlicerSynthReg.report.in_context import PredictionAccuracy
from SlicerSynthReg.report.record import RunRecord
from SlicerSynthReg.runtime import select_device
from SlicerSynthReg.weights.loading import load_network
from SlicerSynthReg.weights.selection import segmenter_card


@dataclass(frozen=True)
class SegmentationReport:
    """One segmentation by a fine-tuned model. image: base name. volumes_ml: label -> volume. accuracy: None without
    ground truth."""

    image: str
    labels: tuple[int, ...]
    volumes_ml: dict[str, float]
    run: RunRecord
    accuracy: PredictionAccuracy | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Result of `segment`, on the image's grid. uncertainty: entropy over all classes in bits."""

    labels: Image
    uncertainty: Image
    report: SegmentationReport

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.report.warnings

    @property
    def images(self) -> dict[str, Image]:
        """Every image of the result by its output name."""
        return {"labels": self.labels, "uncertainty": self.uncertainty}

    def save(self, folder: str | os.PathLike[str], images: bool = True) -> dict[str, str]:
        """Write the images, if wanted, into `folder`; return output name -> file name. Raises OSError."""
        return write_images(self.images, folder) if images else {}


def segment(
    image: ImageLike,
    *,
    truth: ImageLike | None = None,
    parameters: SegmentParameters | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> Segmentation:
    """Segment an image with a fine-tuned model.

    image: anything `as_image` takes. truth: ground truth on its grid, to measure Dice. options: fields of
    SegmentParameters, such as model. Raises ImageError, GeometryError, RequestError, WeightsError.
    """
    parameters = resolve_parameters(SegmentParameters, parameters, options)
    device = select_device(parameters.device, parameters.threads)
    card = segmenter_card(parameters.model)
    watch = Stopwatch(progress)
    watch.stage("reading", 0.02)
    scan = as_image(image, frame=parameters.frame, series=parameters.series, **parameters.read_options())
    watch.stage("segmenting", 0.1)
    model = load_network(FineTunedSegmenter, card).to(device)
    grid = scan.grid.aligned_to_ras(card.spacing_mm)
    with torch.inference_mode():
        p = model.probabilities(IntensityMapping(model.config.knots).of(resample_unscaled(scan, grid)[0]))
    watch.stage("resampling", 0.8)
    p = Image(p, grid).resampled(scan.grid).data
    p[0] += (1 - p.sum(0)).clamp_min(0)  # background beyond the grid
    values = torch.tensor((0, *model.config.labels), dtype=torch.int32)
    labels = Image(values[p.argmax(0)][None], scan.grid, "labels", scan.name)
    watch.end()
    report = SegmentationReport(
        image=image_name(image, "image"),
        labels=model.config.labels,
        volumes_ml=_volumes_ml(labels, model.config.labels),
        run=run_record(card.name, parameters, watch.seconds, device.type),
        accuracy=None if truth is None else _accuracy(truth, labels, model.config.labels),
        warnings=() if bool((labels.data != 0).any()) else ("No label was found in the image.",),
    )
    return Segmentation(labels, Image(entropy(p)[None].clamp_min(0), scan.grid, name=scan.name), report)


def _volumes_ml(labels: Image, values: tuple[int, ...]) -> dict[str, float]:
    voxel_ml = abs(float(np.linalg.det(labels.grid.affine[:3, :3]))) / 1000
    return {str(value): round(int((labels.data == value).sum()) * voxel_ml, 3) for value in values}


def _accuracy(truth: ImageLike, labels: Image, values: tuple[int, ...]) -> PredictionAccuracy:
    reference = as_image(truth, "labels", allow_degenerate=True)
    labels.grid.require_same(reference.grid, "the truth")
    return PredictionAccuracy(dice={str(k): v for k, v in overlap(reference, labels, values).per_label.items()})
