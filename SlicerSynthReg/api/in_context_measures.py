"""Measures and warnings of an in-context prediction."""

from __future__ import annotations

import math

import torch

from SlicerSynthReg.api.images import ImageLike, as_image
from SlicerSynthReg.in_context.alignment import mean_local_ncc
from SlicerSynthReg.in_context.inference import through_plane_roughness
from SlicerSynthReg.in_context.predictor import LeaveOneOut
from SlicerSynthReg.in_context.reference_frame import ReferenceFrame
from SlicerSynthReg.io.image import Image
from SlicerSynthReg.metrics.intensity import psnr
from SlicerSynthReg.metrics.overlap import overlap
from SlicerSynthReg.report.in_context import PredictionAccuracy, SupportSimilarity

MIN_RELATIVE_SIMILARITY, MIN_SIMILARITY = 0.6, 0.2
"""Similarity of the target below which a warning is given: relative to the examples' similarity, and absolute."""
MIN_AGREEMENT = 0.3
"""Leave-one-out Dice below which an example contradicts the others."""


def support_similarity(x: torch.Tensor, frame: ReferenceFrame, checks: LeaveOneOut | None) -> SupportSimilarity:
    """Return how well a target x (C, I, J, K) and the examples fit. checks: None to leave the agreement out."""
    target = sum(mean_local_ncc(x[0], e.x[0]) for e in frame.examples) / len(frame.examples)
    agreement = dict(zip(frame.names, checks.agreement)) if checks and len(frame.examples) > 2 else {}
    return SupportSimilarity(target, frame.similarity, agreement)


def volumes_ml(output: Image, frame: ReferenceFrame) -> dict[str, float]:
    """Return the volume of each label in ml; {} for images."""
    voxel = abs(float(torch.linalg.det(torch.tensor(output.grid.affine[:3, :3])))) / 1000
    return {str(value): round(int((output.data == value).sum()) * voxel, 3) for value in frame.labels}


def relative_roughness(prediction: torch.Tensor, frame: ReferenceFrame, axis: int) -> float | None:
    """Return the through-plane roughness of the predicted masks over the mean of the examples'; None for images. axis:
    across the slices."""
    if not frame.labels:
        return None
    examples = [through_plane_roughness(e.y.amax(0) > 0.5, axis) for e in frame.examples]
    known = [value for value in examples if math.isfinite(value) and value > 0]
    value = through_plane_roughness(prediction.amax(0) > 0.5, axis)
    return value / (sum(known) / len(known)) if known and math.isfinite(value) else None


def prediction_accuracy(truth: ImageLike, output: Image, frame: ReferenceFrame) -> PredictionAccuracy:
    """Return Dice of each label, or PSNR over the range of the truth. Raises GeometryError for another grid."""
    if frame.labels:
        labels = as_image(truth, "labels", allow_degenerate=True)
        output.grid.require_same(labels.grid, "the truth")
        dice = overlap(labels, output, labels=frame.labels).per_label
        return PredictionAccuracy(dice={str(k): v for k, v in dice.items()})
    image = as_image(truth)
    output.grid.require_same(image.grid, "the truth")
    values = image.data[:1]
    error = float(((values - output.data) ** 2).mean())
    peak = float(values.max() - values.min())
    return PredictionAccuracy(psnr_db=psnr(error, peak, 1e-12 * peak**2))


def prediction_warnings(similarity: SupportSimilarity, frame: ReferenceFrame, prediction: torch.Tensor) -> list[str]:
    """Return what the user should check."""
    warnings = []
    usual = similarity.examples
    if similarity.target < MIN_SIMILARITY or (
        usual is not None and similarity.target < MIN_RELATIVE_SIMILARITY * usual
    ):
        among = "" if usual is None else f"; examples with each other: {usual:.2f}"
        warnings.append(
            f"The target differs from the examples (local correlation {similarity.target:.2f}{among}). Add examples of "
            "its kind, or check the alignment in the picture."
        )
    if len(frame.examples) == 1:
        warnings.append("One example only: results depend strongly on its choice. Add examples.")
    agreement = similarity.agreement
    for name, dice in agreement.items():
        if dice < MIN_AGREEMENT and max(agreement.values()) > 2 * MIN_AGREEMENT:
            warnings.append(
                f"Example {name!r} contradicts the others (Dice {dice:.2f}). Check its annotation protocol."
            )
    for n, value in enumerate(frame.labels):
        shown = sum(bool((e.y[n] != 0).any()) for e in frame.examples)
        if shown < len(frame.examples):
            text = f"Label {value} is in {shown} of {len(frame.examples)} examples only."
            if any(n in e.unannotated for e in frame.examples):
                text += " The others count as unannotated; if it is absent there, set missing_is_background."
            warnings.append(text)
    if frame.labels and not bool((prediction > 0.5).any()):
        warnings.append("No label was found in the target.")
    return warnings
