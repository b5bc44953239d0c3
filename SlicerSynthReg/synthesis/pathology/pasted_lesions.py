"""Synthetic lesions in healthy synthetic images, with a voxel-wise reference mask."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from SlicerSynthReg.synthesis.pathology.anomaly import AnomalyConfig, AnomalyDraw, draw_anomaly, make_anomalies
from SlicerSynthReg.synthesis.pathology.appearance import (
    LesionAppearanceConfig,
    LesionAppearanceDraw,
    draw_lesion_appearance,
    encode_anomaly,
)


@dataclass(frozen=True)
class PastedLesionConfig:
    """Shapes from Perlin noise only, of up to a few percent of the domain."""

    anomaly: AnomalyConfig = field(default_factory=lambda: AnomalyConfig(percentile=(96.0, 99.6), mask_probability=0.0))
    appearance: LesionAppearanceConfig = field(default_factory=lambda: LesionAppearanceConfig(min_level=0.5))


@dataclass(frozen=True)
class PastedLesionDraw:
    """Shape and appearance of one lesion."""

    anomaly: AnomalyDraw
    appearance: LesionAppearanceDraw


def draw_pasted_lesion(config: PastedLesionConfig, generator: torch.Generator) -> PastedLesionDraw:
    """Draw one lesion."""
    return PastedLesionDraw(
        draw_anomaly(config.anomaly, generator), draw_lesion_appearance(config.appearance, generator)
    )


def paste_lesion(
    image: torch.Tensor,
    domain: torch.Tensor,
    white: torch.Tensor,
    grey: torch.Tensor,
    record: PastedLesionDraw,
    spacing: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the image (1, 1, I, J, K) with the lesion, in [0, 1], and the lesion's mask (1, I, J, K) bool.

    domain: (1, I, J, K) bool, where a lesion may lie. white, grey: masks of white and grey matter, whose mean
    intensities determine the sign of the lesion's contrast. spacing: mm.
    """
    profile = make_anomalies([record.anomaly], domain, spacing)
    means = [image[:, 0][where].mean().nan_to_num(0.5)[None] for where in (white, grey)]
    with_lesion = encode_anomaly(image, profile[:, None], means[0], means[1], [record.appearance])
    return with_lesion.clamp(0.0, 1.0), profile > 0.5
