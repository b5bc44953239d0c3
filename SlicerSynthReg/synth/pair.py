"""A SynthMorph training pair: two warped label maps, each rendered in a contrast of its own (section II-D)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.artefacts import ArtefactConfig, ArtefactDraw, apply_artefacts, draw_artefacts
from SlicerSynthReg.synth.contrast import ContrastConfig, ContrastDraw, Looks, draw_contrast, render
from SlicerSynthReg.synth.deform import DeformConfig, DeformDraw, draw_deform, warp_index, warp_labels


@dataclass(frozen=True)
class ViewConfig:
    """How one image of a pair is made."""

    deform: DeformConfig = field(default_factory=DeformConfig)
    contrast: ContrastConfig = field(default_factory=ContrastConfig)
    artefacts: ArtefactConfig = field(default_factory=ArtefactConfig)


@dataclass(frozen=True)
class ViewDraw:
    """One image: its warp, its contrast, its artefacts."""

    deform: DeformDraw
    contrast: ContrastDraw
    artefacts: ArtefactDraw


@dataclass(frozen=True)
class View:
    """labels (B, I, J, K) uint8 indices, image (B, 1, I, J, K) in [0, 1], index (B, 3, I, J, K) where each voxel was
    read in its source label map."""

    labels: torch.Tensor
    image: torch.Tensor
    index: torch.Tensor


def draw_view(config: ViewConfig, looks: Looks, generator: torch.Generator) -> ViewDraw:
    """`looks`: of the source map's label indices."""
    return ViewDraw(
        draw_deform(config.deform, generator),
        draw_contrast(config.contrast, looks, generator),
        draw_artefacts(config.artefacts, generator),
    )


def draw_pair(config: ViewConfig, looks: Looks, seed: int) -> tuple[ViewDraw, ViewDraw]:
    """Moving and fixed view of the pair number `seed`."""
    generator = torch.Generator().manual_seed(seed)
    return draw_view(config, looks, generator), draw_view(config, looks, generator)


def make_view(sources: torch.Tensor, draws: list[ViewDraw], shape: tuple[int, ...] | None = None) -> View:
    """Views of the label maps `sources` (B, I, J, K) uint8 on grids of `shape` sharing the sources' centre."""
    return view_at(
        sources, warp_index([d.deform for d in draws], tuple(sources.shape[1:]), shape, sources.device), draws
    )


def view_at(sources: torch.Tensor, index: torch.Tensor, draws: list[ViewDraw]) -> View:
    """Views of `sources` read at voxel indices (B, 3, I, J, K), rendered by each draw's contrast and artefacts."""
    labels = warp_labels(sources, index)
    image = apply_artefacts(render(labels, [d.contrast for d in draws]), [d.artefacts for d in draws])
    return View(labels, image, index)


def view_from_json(values: dict) -> ViewDraw:
    """The draw that `draw.to_json` wrote."""
    return draw.from_json(ViewDraw, values)
