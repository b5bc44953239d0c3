"""An anomaly pasted into a healthy synthetic image, so that where it lies is known to the voxel."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from SlicerSynthReg.synth.pathology.anomaly import AnomalyConfig, AnomalyDraw, draw_anomaly, make_anomalies
from SlicerSynthReg.synth.pathology.appearance import AppearanceConfig, AppearanceDraw, draw_appearance, encode


@dataclass(frozen=True)
class PastedConfig:
    """What is pasted; shapes are Perlin's alone, of up to a few percent of the domain."""

    anomaly: AnomalyConfig = field(default_factory=lambda: AnomalyConfig(percentile=(96.0, 99.6), masks=0.0))
    appearance: AppearanceConfig = field(default_factory=lambda: AppearanceConfig(least=0.5))


@dataclass(frozen=True)
class PastedDraw:
    """Shape and look of one anomaly."""

    anomaly: AnomalyDraw
    appearance: AppearanceDraw


def draw_pasted(config: PastedConfig, generator: torch.Generator) -> PastedDraw:
    return PastedDraw(draw_anomaly(config.anomaly, generator), draw_appearance(config.appearance, generator))


def paste(
    image: torch.Tensor,
    domain: torch.Tensor,
    white: torch.Tensor,
    grey: torch.Tensor,
    record: PastedDraw,
    spacing: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The image (1, 1, I, J, K) with the anomaly, in [0, 1], and where that is: (1, I, J, K) bool.

    domain, white, grey: (1, I, J, K) bool, where an anomaly may lie, and what is white and what grey matter, whose
    means decide whether it is dark or bright. spacing: mm.
    """
    profile = make_anomalies([record.anomaly], domain, spacing)
    means = [image[:, 0][where].mean().nan_to_num(0.5)[None] for where in (white, grey)]
    sick = encode(image, profile[:, None], means[0], means[1], [record.appearance])
    return sick.clamp(0.0, 1.0), profile > 0.5
