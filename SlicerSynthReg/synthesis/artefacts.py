"""Acquisition artefacts of head scans: thick slices and a truncated field of view."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from SlicerSynthReg.spatial.sampling import resize
from SlicerSynthReg.synthesis import draw


@dataclass(frozen=True)
class ArtefactConfig:
    """Probabilities and bounds. thick_slices: probability that one axis is sampled up to `thickest` times coarser.
    crop: probability of a truncated field of view, each face losing up to the fraction `crop_fraction` of its axis."""

    thick_slices: float = 0.25
    thickest: int = 4
    crop: float = 0.25
    crop_fraction: float = 0.3


@dataclass(frozen=True)
class ArtefactDraw:
    """slices: (axis, thickness in voxels) or None. keep: (low, high) fraction of each axis within the field of view."""

    slices: tuple[int, int] | None
    keep: tuple[tuple[float, float], ...]


def draw_artefacts(config: ArtefactConfig, generator: torch.Generator) -> ArtefactDraw:
    """Draw the artefacts of one image."""
    slices = None
    if draw.chance(generator, config.thick_slices):
        slices = (draw.integer(generator, 0, 2), draw.integer(generator, 2, max(2, config.thickest)))
    cut = config.crop_fraction if draw.chance(generator, config.crop) else 0.0
    keep = tuple((draw.uniform(generator, 0, cut), 1 - draw.uniform(generator, 0, cut)) for _ in range(3))
    return ArtefactDraw(slices, keep)


def apply_artefacts(image: torch.Tensor, draws: list[ArtefactDraw]) -> torch.Tensor:
    """Apply one draw to each image (B, 1, I, J, K): slices averaged (partial volume) and interpolated back; zero
    outside the field of view."""
    return torch.stack([_truncate(_average_slices(element, d.slices), d.keep) for element, d in zip(image, draws)])


def _average_slices(image: torch.Tensor, slices: tuple[int, int] | None) -> torch.Tensor:
    if slices is None:
        return image
    axis, thickness = slices
    kernel = [1, 1, 1]
    kernel[axis] = thickness
    thick = F.avg_pool3d(image[None], tuple(kernel), ceil_mode=True)
    i, j, k = image.shape[1:]  # the last slice may reach beyond the image
    return resize(thick, tuple(n * step for n, step in zip(thick.shape[2:], kernel)))[0, :, :i, :j, :k]


def _truncate(image: torch.Tensor, keep: tuple[tuple[float, float], ...]) -> torch.Tensor:
    truncated = image.clone()
    for axis, (low, high) in enumerate(keep, start=1):
        size = image.shape[axis]
        start, end = round(low * size), round(high * size)
        truncated.narrow(axis, 0, start).zero_()
        truncated.narrow(axis, end, size - end).zero_()
    return truncated
