"""The pairs that registration learns from: two people or one map twice, in the contrasts that a loss is meant for."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch

from SlicerSynthReg.space.smoothing import gaussian
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.artefacts import ArtefactConfig
from SlicerSynthReg.synth.contrast import ContrastConfig, ContrastDraw, Looks, unit_range
from SlicerSynthReg.synth.deform import DeformConfig, velocity_field
from SlicerSynthReg.synth.pair import View, ViewConfig, ViewDraw, draw_view, make_view
from SlicerSynthReg.synth.shapes import ShapesConfig, draw_shapes, make_shapes
from SlicerSynthReg.synth.tissues import SEQUENCES


@dataclass(frozen=True)
class Recipe:
    """What a loss wants of its pairs; by default contrasts are arbitrary, each image of its own.

    sequences: scans of these only (of people; random shapes look like no scan). alike: one contrast for both.
    remapped: the network sees each through a look-up table of its own. known: one map, of which one view has flowed.
    """

    sequences: tuple[str, ...] = ()
    alike: bool = False
    remapped: bool = False
    known: bool = False


@dataclass(frozen=True)
class PairConfig:
    """shape: voxels of a pair, at 2 mm. one_person: both views from one label map, as always of random shapes.

    person: a view of a label map of 1 mm. random: a view of random shapes, which are made at 2 mm. velocity_sd: b_v in
    half-resolution voxels, between people and between two views of one map, where nothing else tells them apart.
    """

    shape: tuple[int, int, int] = (80, 96, 80)
    one_person: bool = False
    person: ViewConfig = field(
        default_factory=lambda: ViewConfig(
            DeformConfig((8, 16, 32), 0.5, 5, 8.0, 6.0, 0.08, 0.04, (1.9, 2.1)), ContrastConfig(scan_like=0.5)
        )
    )
    random: ViewConfig = field(
        default_factory=lambda: ViewConfig(DeformConfig((8, 16, 32), 1.5, 5, 8.0, 3.0, 0.08, 0.04, (0.95, 1.05)))
    )
    velocity_sd: tuple[float, float] = (0.5, 1.5)
    shapes: ShapesConfig = field(default_factory=lambda: ShapesConfig(resolution=16, velocity_sd=50.0))

    def coarse(self) -> PairConfig:
        """The same field of view and the same warps in millimetres at 4 mm, in an eighth of the voxels."""
        return dataclasses.replace(
            self,
            shape=(48, 48, 48),
            person=_coarse(self.person),
            random=_coarse(self.random),
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
class Pair:
    """fixed, moving: as the network sees them. scans: fixed and moving image before any look-up table, which image
    losses compare. velocity: (1, 3, I/2, J/2, K/2) that leads from fixed to moving, where the recipe keeps it."""

    fixed: View
    moving: View
    scans: tuple[torch.Tensor, torch.Tensor]
    velocity: torch.Tensor | None = None


def make_pair(
    config: PairConfig,
    recipe: Recipe,
    people: list[torch.Tensor],
    looks: Looks,
    generator: torch.Generator,
    device: str = "cpu",
) -> Pair:
    """A pair of two of `people` (label index maps), or of random shapes where there are none."""
    one_map = config.one_person or recipe.known or len(people) < 2
    view = config.person if people else config.random
    deform = dataclasses.replace(view.deform, velocity_sd=config.velocity_sd[one_map])
    view, looks = _looking(dataclasses.replace(view, deform=deform), recipe, looks)
    if people:
        first = draw.integer(generator, 0, len(people) - 1)
        second = first if one_map else (first + draw.integer(generator, 1, len(people) - 1)) % len(people)
        sources = [people[first].to(device), people[second].to(device)]
    else:
        wide = tuple(n + n // 8 for n in config.shape)
        sources = [make_shapes(draw_shapes(config.shapes, generator), wide, device)] * 2
    draws = [draw_view(view, looks, generator) for _ in range(2)]
    if recipe.alike:
        draws[1] = dataclasses.replace(draws[1], contrast=_in_contrast_of(draws[0].contrast, draws[1].contrast))
    velocity = None
    if recipe.known:
        draws, velocity = _flowed(draws, config.shape, generator, device)
    fixed, moving = (make_view(source[None], [one], config.shape) for source, one in zip(sources, draws))
    scans = (fixed.image, moving.image)
    if recipe.remapped:
        fixed, moving = (dataclasses.replace(one, image=remapped(one.image, generator)) for one in (fixed, moving))
    return Pair(fixed, moving, scans, velocity)


def _looking(view: ViewConfig, recipe: Recipe, looks: Looks) -> tuple[ViewConfig, Looks]:
    """View and looks of a recipe of certain sequences: always like those, without artefacts."""
    if not recipe.sequences:
        return view, looks
    tables = tuple(table for name, table in zip(SEQUENCES, looks.tables) if name in recipe.sequences)
    view = dataclasses.replace(
        view,
        contrast=dataclasses.replace(view.contrast, scan_like=1.0),
        artefacts=ArtefactConfig(thick_slices=0.0, crop=0.0),
    )
    return view, Looks(looks.groups, tables)


def _in_contrast_of(one: ContrastDraw, other: ContrastDraw) -> ContrastDraw:
    """The contrast of `one` with the noise and bias of `other`."""
    return dataclasses.replace(one, noise_seed=other.noise_seed, bias_seed=other.bias_seed)


def _flowed(
    draws: list[ViewDraw], shape: tuple[int, int, int], generator: torch.Generator, device: str
) -> tuple[list[ViewDraw], torch.Tensor]:
    """Both placed alike, and one of them, by chance, flowed by v: fixed x -> A exp(v)(x) and moving y -> A y show the
    same at y = exp(v)(x); were it the moving one, at y = exp(-v)(x)."""
    deform = draws[0].deform
    straight = dataclasses.replace(deform, velocity=())
    velocity = velocity_field([deform], shape, device)
    deforms = [deform, straight]
    if draw.chance(generator, 0.5):
        deforms, velocity = deforms[::-1], -velocity
    return [dataclasses.replace(one, deform=d) for one, d in zip(draws, deforms)], velocity


def remapped(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(1, 1, I, J, K) in [0, 1] through a random look-up table of 256 values, smoothed by a Gaussian of SD 64, to the
    whole range again (SynthMorph section III-B, the hybrid method)."""
    table = torch.rand((1, 1, 1, 1, 256), generator=generator)
    smooth = gaussian(table, torch.tensor([[0.0, 0.0, 64.0]])).flatten().to(image.device)
    return unit_range(smooth[(image * 255).round().long()])
