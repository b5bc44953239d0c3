"""Synthetic pairs that registration is trained on: two subjects or one label map twice, in contrasts as a loss
needs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch

from SlicerSynthReg.spatial.smoothing import gaussian
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.artefacts import ArtefactConfig
from SlicerSynthReg.synthesis.deformation import DeformationConfig, velocity_field
from SlicerSynthReg.synthesis.mr_contrast import (
    IntensityTables,
    MRContrastConfig,
    MRContrastDraw,
    rescale_to_unit_range,
)
from SlicerSynthReg.synthesis.pair import View, ViewConfig, ViewDraw, draw_view, make_view
from SlicerSynthReg.synthesis.shapes import ShapesConfig, draw_shapes, make_shapes
from SlicerSynthReg.synthesis.tissues import SEQUENCES


@dataclass(frozen=True)
class PairSpec:
    """Contrasts and warp of a pair; by default arbitrary contrasts, a different one in each image.

    sequences: contrasts of these MR sequences only (label maps; random shapes have no sequence). same_contrast: one
    contrast for both images. random_lookup: the network sees each image through a random lookup table. known_warp: both
    images from one label map, one of them deformed by a known velocity.
    """

    sequences: tuple[str, ...] = ()
    same_contrast: bool = False
    random_lookup: bool = False
    known_warp: bool = False


def _label_map_view() -> ViewConfig:
    deformation = DeformationConfig((8, 16, 32), 0.5, 5, 8.0, 6.0, 0.08, 0.04, (1.9, 2.1))
    return ViewConfig(deformation, MRContrastConfig(table_probability=0.5))


def _shape_view() -> ViewConfig:
    return ViewConfig(DeformationConfig((8, 16, 32), 1.5, 5, 8.0, 3.0, 0.08, 0.04, (0.95, 1.05)))


@dataclass(frozen=True)
class PairConfig:
    """shape: voxels of a pair, at 2 mm. one_subject: both views from one label map, as always of random shapes.

    label_map_view: of label maps of 1 mm. shape_view: of random shapes, which are made at 2 mm. velocity_sd: b_v in
    half-resolution voxels, (between subjects, between two views of one map).
    """

    shape: tuple[int, int, int] = (80, 96, 80)
    one_subject: bool = False
    label_map_view: ViewConfig = field(default_factory=_label_map_view)
    shape_view: ViewConfig = field(default_factory=_shape_view)
    velocity_sd: tuple[float, float] = (0.5, 1.5)
    shapes: ShapesConfig = field(default_factory=lambda: ShapesConfig(resolution=16, velocity_sd=50.0))

    def coarse(self) -> PairConfig:
        """Return the configuration at 4 mm: the same field of view and warps in mm, an eighth of the voxels."""
        return dataclasses.replace(
            self,
            shape=(48, 48, 48),
            label_map_view=_coarse(self.label_map_view),
            shape_view=_coarse(self.shape_view),
            velocity_sd=(self.velocity_sd[0] / 2, self.velocity_sd[1] / 2),
        )


def _coarse(view: ViewConfig) -> ViewConfig:
    deform = view.deform
    low, high = deform.zoom
    resolutions = tuple(r // 2 for r in deform.resolutions)
    return dataclasses.replace(
        view, deform=dataclasses.replace(deform, resolutions=resolutions, zoom=(2 * low, 2 * high))
    )


@dataclass(frozen=True)
class TrainingPair:
    """fixed, moving: as the network sees them. images: fixed and moving image before any lookup table, for losses that
    compare images. velocity: (1, 3, I/2, J/2, K/2) from fixed to moving if the warp is known."""

    fixed: View
    moving: View
    images: tuple[torch.Tensor, torch.Tensor]
    velocity: torch.Tensor | None = None


@dataclass(frozen=True)
class PairSource:
    """Label index maps of subjects with the intensities of their labels; without maps pairs show random shapes."""

    maps: list[torch.Tensor]
    tables: IntensityTables
    device: str = "cpu"


def make_pair(config: PairConfig, spec: PairSpec, source: PairSource, generator: torch.Generator) -> TrainingPair:
    """Return a random pair of two subjects of `source`, or of random shapes."""
    maps = source.maps
    one_map = config.one_subject or spec.known_warp or len(maps) < 2
    view = config.label_map_view if maps else config.shape_view
    deform = dataclasses.replace(view.deform, velocity_sd=config.velocity_sd[one_map])
    view, tables = _restrict_to_sequences(dataclasses.replace(view, deform=deform), spec, source.tables)
    if maps:
        first = draw.integer(generator, 0, len(maps) - 1)
        second = first if one_map else (first + draw.integer(generator, 1, len(maps) - 1)) % len(maps)
        labels = [maps[first].to(source.device), maps[second].to(source.device)]
    else:
        shape = tuple(n + n // 8 for n in config.shape)
        labels = [make_shapes(draw_shapes(config.shapes, generator), shape, source.device)] * 2
    draws = [draw_view(view, tables, generator) for _ in range(2)]
    if spec.same_contrast:
        draws[1] = dataclasses.replace(draws[1], contrast=_copy_contrast(draws[0].contrast, draws[1].contrast))
    velocity = None
    if spec.known_warp:
        draws, velocity = _with_known_warp(draws, config.shape, generator, source.device)
    fixed, moving = (make_view(label[None], [record], config.shape) for label, record in zip(labels, draws))
    images = (fixed.image, moving.image)
    if spec.random_lookup:
        fixed, moving = (
            dataclasses.replace(side, image=remap_intensities(side.image, generator)) for side in (fixed, moving)
        )
    return TrainingPair(fixed, moving, images, velocity)


def _restrict_to_sequences(
    view: ViewConfig, spec: PairSpec, tables: IntensityTables
) -> tuple[ViewConfig, IntensityTables]:
    """Return view and tables that always follow one of the specified sequences, without artefacts."""
    if not spec.sequences:
        return view, tables
    chosen = tuple(table for name, table in zip(SEQUENCES, tables.tables) if name in spec.sequences)
    contrast = dataclasses.replace(view.contrast, table_probability=1.0)
    view = dataclasses.replace(view, contrast=contrast, artefacts=ArtefactConfig(thick_slices=0.0, crop=0.0))
    return view, IntensityTables(tables.groups, chosen)


def _copy_contrast(contrast: MRContrastDraw, own: MRContrastDraw) -> MRContrastDraw:
    """Return `contrast` with the noise and bias field of `own`."""
    return dataclasses.replace(contrast, noise_seed=own.noise_seed, bias_seed=own.bias_seed)


def _with_known_warp(
    draws: list[ViewDraw], shape: tuple[int, int, int], generator: torch.Generator, device: str
) -> tuple[list[ViewDraw], torch.Tensor]:
    """Return draws with one affine map, one of them, at random, deformed by v, and the velocity from fixed to moving.

    Fixed deformed: x -> A exp(v)(x) and moving y -> A y show the same at y = exp(v)(x); moving deformed: at
    y = exp(-v)(x).
    """
    deform = draws[0].deform
    affine = dataclasses.replace(deform, velocity=())
    velocity = velocity_field([deform], shape, device)
    deforms = [deform, affine]
    if draw.chance(generator, 0.5):
        deforms, velocity = deforms[::-1], -velocity
    return [dataclasses.replace(draw, deform=d) for draw, d in zip(draws, deforms)], velocity


def remap_intensities(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Map (1, 1, I, J, K) in [0, 1] through a random lookup table of 256 values, smoothed by a Gaussian of SD 64, and
    scale to [0, 1] (SynthMorph section III-B, the hybrid method)."""
    table = torch.rand((1, 1, 1, 1, 256), generator=generator)
    smooth = gaussian(table, torch.tensor([[0.0, 0.0, 64.0]])).flatten().to(image.device)
    return rescale_to_unit_range(smooth[(image * 255).round().long()])
