"""Preparation of annotated images for fine-tuning: common voxel size, intensity mapping, class indices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from SlicerSynthReg.errors import RequestError, WeightsError
from SlicerSynthReg.finetuning.segmenter import FineTunedSegmenter, SegmenterConfig
from SlicerSynthReg.io.example_images import ExamplePair, select_labels, unannotated_labels
from SlicerSynthReg.io.intensity_matching import IntensityMapping, fit_intensity_mapping, resample_unscaled
from SlicerSynthReg.spatial.grid import Grid
from SlicerSynthReg.spatial.label_resampling import resample_labels
from SlicerSynthReg.weights.registry import read_card

NO_PRETRAINED_MODEL = "none"


@dataclass(frozen=True, eq=False)
class AnnotatedVolume:
    """One example. image (I, J, K) in [0, 1]; labels (I, J, K) class indices, 0 the background. unannotated: classes
    that were not annotated, which may lie anywhere in the background."""

    image: torch.Tensor
    labels: torch.Tensor
    unannotated: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class PreparedExamples:
    """volumes: on RAS-oriented grids of `spacing_mm`. labels: label value of each class from 1 on."""

    volumes: tuple[AnnotatedVolume, ...]
    labels: tuple[int, ...]
    spacing_mm: float
    mapping: IntensityMapping


def prepare_examples(
    pairs: Sequence[ExamplePair], labels: str, spacing_mm: float | None, missing_is_background: bool
) -> PreparedExamples:
    """Resample the examples to one voxel size and intensity scale.

    labels: as for `select_labels`. spacing_mm: None for `isotropic_spacing` of the first. Raises RequestError (code
    "examples-inputs" for several images per example, and those of `select_labels`).
    """
    if any(len(pair.inputs) > 1 for pair in pairs):
        raise RequestError(
            "Found examples with several images, expected one image each. Remove input2 and input3.",
            code="examples-inputs",
        )
    values = select_labels(pairs, labels)
    spacing = spacing_mm or isotropic_spacing(pairs[0].inputs[0].grid.spacing)
    grids = [pair.inputs[0].grid.aligned_to_ras(spacing) for pair in pairs]
    images = [resample_unscaled(pair.inputs[0], grid)[0] for pair, grid in zip(pairs, grids)]
    mapping = fit_intensity_mapping(images)
    volumes = tuple(
        _annotated_volume(mapping.of(image), grid, pair, values, missing_is_background)
        for image, grid, pair in zip(images, grids, pairs)
    )
    return PreparedExamples(volumes, values, spacing, mapping)


def _annotated_volume(
    image: torch.Tensor, grid: Grid, pair: ExamplePair, labels: tuple[int, ...], missing_is_background: bool
) -> AnnotatedVolume:
    """Return an example whose image already lies on `grid`."""
    resampled = resample_labels(pair.output.data[0], pair.output.grid, grid)
    classes = torch.zeros_like(resampled, dtype=torch.uint8)
    for index, value in enumerate(labels, start=1):
        classes[resampled == value] = index
    missing = unannotated_labels(pair, labels, missing_is_background)
    return AnnotatedVolume(image, classes, frozenset(1 + labels.index(value) for value in missing))


def isotropic_spacing(voxel_mm: np.ndarray) -> float:
    """Return an isotropic spacing, 1 to 4 mm, of equal voxel volume; for thick slices the in-plane spacing (median)."""
    return float(np.clip(min(np.median(voxel_mm), np.prod(voxel_mm) ** (1 / 3)), 1.0, 4.0))


def fit_crop_size(largest: int, volumes: Sequence[AnnotatedVolume]) -> int:
    """Return the edge length of the crops in voxels: `largest`, or the multiple of 16 that covers the volumes along two
    of their axes, since larger crops would lie mostly outside."""
    return min(largest, 16 * math.ceil(max(sorted(volume.image.shape)[1] for volume in volumes) / 16))


def initial_segmenter(pretrained_model: str, labels: tuple[int, ...], mapping: IntensityMapping) -> FineTunedSegmenter:
    """Return the network before training: features of a pretrained model, or random weights for "none".

    Raises RequestError (code "no-features", or that of the missing model).
    """
    if pretrained_model == NO_PRETRAINED_MODEL:
        return FineTunedSegmenter(SegmenterConfig(labels=labels, knots=mapping.knots))
    try:
        return FineTunedSegmenter.from_features(read_card(pretrained_model), labels, mapping.knots)
    except WeightsError as error:
        raise RequestError(
            f"{error} Or pass pretrained_model none, to train from random weights.", code=error.code
        ) from error
