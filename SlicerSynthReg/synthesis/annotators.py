"""Simulated annotators: segmentations of one structure with inter-annotator variability.

Each annotator has a systematic outward or inward bias, smooth random variation of the outline, and may miss the
structure.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.ndimage import distance_transform_edt

from SlicerSynthReg.spatial.sampling import resize
from SlicerSynthReg.synthesis import draw


@dataclass(frozen=True)
class AnnotatorConfig:
    """bias_sd: SD of the annotators' outward bias in voxels. variation_sd: SD of the variation along the outline, at
    1:resolution. miss_probability: that a structure is not annotated at all."""

    bias_sd: float = 1.0
    variation_sd: float = 0.7
    resolution: int = 8
    miss_probability: float = 0.1


@dataclass(frozen=True)
class AnnotationDraw:
    """One annotator and case. bias: outward shift in voxels. variation: (SD, resolution, seed). missed: whether the
    structure is not annotated."""

    bias: float
    variation: tuple[float, int, int]
    missed: bool


def draw_annotations(config: AnnotatorConfig, seed: int, case: int, annotators: int) -> tuple[AnnotationDraw, ...]:
    """Draw the annotations of one case. seed: of the annotators, the same for all cases; case: seed of this one."""
    annotator_generator = torch.Generator().manual_seed(seed)
    generator = torch.Generator().manual_seed(case)
    biases = [draw.normal(annotator_generator, config.bias_sd) for _ in range(annotators)]
    return tuple(
        AnnotationDraw(
            bias,
            (config.variation_sd, config.resolution, draw.seed(generator)),
            draw.chance(generator, config.miss_probability),
        )
        for bias in biases
    )


def annotate(mask: torch.Tensor, records: tuple[AnnotationDraw, ...]) -> torch.Tensor:
    """Return the annotations (A, I, J, K) bool of mask (I, J, K) bool: its outline shifted by bias and variation."""
    inside = torch.from_numpy(distance_transform_edt(mask.numpy())).float()
    outside = torch.from_numpy(distance_transform_edt(~mask.numpy())).float()
    distance = torch.where(mask, 0.5 - inside, outside - 0.5)
    annotations = []
    for record in records:
        sd, resolution, seed = record.variation
        noise = draw.noise([seed], (1, *draw.coarse_shape(tuple(mask.shape), resolution)))
        variation = sd * resize(noise, tuple(mask.shape))[0, 0]
        annotations.append((distance < record.bias + variation) & (not record.missed) & bool(mask.any()))
    return torch.stack(annotations)
