"""Synthetic views of label maps: deformed, rendered in a random contrast, with artefacts (Hoffmann et al. 2022,
SynthMorph, section II-D)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from SlicerSynthReg.synthesis.artefacts import ArtefactConfig, ArtefactDraw, apply_artefacts, draw_artefacts
from SlicerSynthReg.synthesis.deformation import (
    DeformationConfig,
    DeformationDraw,
    draw_deformation,
    warp_index,
    warp_labels,
)
from SlicerSynthReg.synthesis.mr_contrast import (
    IntensityTables,
    MRContrastConfig,
    MRContrastDraw,
    draw_mr_contrast,
    render,
)


@dataclass(frozen=True)
class ViewConfig:
    """Distributions from which one view is drawn."""

    deform: DeformationConfig = field(default_factory=DeformationConfig)
    contrast: MRContrastConfig = field(default_factory=MRContrastConfig)
    artefacts: ArtefactConfig = field(default_factory=ArtefactConfig)


@dataclass(frozen=True)
class ViewDraw:
    """One view: its deformation, its contrast, its artefacts."""

    deform: DeformationDraw
    contrast: MRContrastDraw
    artefacts: ArtefactDraw


@dataclass(frozen=True)
class View:
    """labels (B, I, J, K) uint8 indices; image (B, 1, I, J, K) in [0, 1]; index (B, 3, I, J, K): source voxel index at
    which each voxel was sampled."""

    labels: torch.Tensor
    image: torch.Tensor
    index: torch.Tensor


def draw_view(config: ViewConfig, tables: IntensityTables, generator: torch.Generator) -> ViewDraw:
    """Draw one view. tables: intensities of the source map's label indices."""
    return ViewDraw(
        draw_deformation(config.deform, generator),
        draw_mr_contrast(config.contrast, tables, generator),
        draw_artefacts(config.artefacts, generator),
    )


def make_view(sources: torch.Tensor, draws: list[ViewDraw], shape: tuple[int, ...] | None = None) -> View:
    """Return views of the label maps `sources` (B, I, J, K) uint8 on grids of `shape` that share the sources'
    centre."""
    index = warp_index([d.deform for d in draws], tuple(sources.shape[1:]), shape, sources.device)
    labels = warp_labels(sources, index)
    image = apply_artefacts(render(labels, [d.contrast for d in draws]), [d.artefacts for d in draws])
    return View(labels, image, index)
