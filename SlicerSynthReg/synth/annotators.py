"""Simulated annotators: the same structure drawn by people of different habits.

One draws generously, another tightly, each with a hand that wavers smoothly; some overlook a structure at times.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.ndimage import distance_transform_edt

from SlicerSynthReg.space.sampling import resize
from SlicerSynthReg.synth import draw


@dataclass(frozen=True)
class AnnotatorConfig:
    """generous: SD in voxels of how far out an annotator draws. wavering: SD of what varies along the outline, at
    1:resolution. overlooks: chance that a case's structure is not drawn at all."""

    generous: float = 1.0
    wavering: float = 0.7
    resolution: int = 8
    overlooks: float = 0.1


@dataclass(frozen=True)
class AnnotationDraw:
    """One annotator and one case: outward shift in voxels, wavering (SD, resolution, seed), whether it is missed."""

    outward: float
    wavering: tuple[float, int, int]
    overlooked: bool


def draw_annotations(config: AnnotatorConfig, habits: int, case: int, annotators: int) -> tuple[AnnotationDraw, ...]:
    """habits: seed of who the annotators are, the same for all cases; case: seed of this one."""
    people = torch.Generator().manual_seed(habits)
    generator = torch.Generator().manual_seed(case)
    outward = [draw.normal(people, config.generous) for _ in range(annotators)]
    return tuple(
        AnnotationDraw(
            shift, (config.wavering, config.resolution, draw.seed(generator)), draw.chance(generator, config.overlooks)
        )
        for shift in outward
    )


def annotate(mask: torch.Tensor, records: tuple[AnnotationDraw, ...]) -> torch.Tensor:
    """mask (I, J, K) bool -> (A, I, J, K) bool: its outline shifted by each annotator's habit and wavering hand."""
    inside = torch.from_numpy(distance_transform_edt(mask.numpy())).float()
    outside = torch.from_numpy(distance_transform_edt(~mask.numpy())).float()
    away = torch.where(mask, 0.5 - inside, outside - 0.5)
    drawn = []
    for record in records:
        sd, resolution, seed = record.wavering
        noise = draw.noise([seed], (1, *draw.coarse_shape(tuple(mask.shape), resolution)))
        wavering = sd * resize(noise, tuple(mask.shape))[0, 0]
        drawn.append((away < record.outward + wavering) & (not record.overlooked) & bool(mask.any()))
    return torch.stack(drawn)
