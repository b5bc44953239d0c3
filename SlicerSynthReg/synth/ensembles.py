"""Label ensembles (anatomix section 3, Algorithm 1): many templates painted over one another, and what is about them.

Departures. Overlapping templates hide one another in the order of their drawing (the paper's text; its Algorithm 1
adds). The median filter is three medians of three voxels, one an axis, which have the same effect on lone voxels and
cost a tenth. Dilation and erosion of the foreground's sphere by w voxels are where its distance is within w.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from SlicerSynthReg.space.grid import index_lattice
from SlicerSynthReg.space.sampling import resize
from SlicerSynthReg.synth import draw
from SlicerSynthReg.synth.perlin import perlin
from SlicerSynthReg.synth.templates import TemplateConfig, TemplateDraw, draw_template, paint


@dataclass(frozen=True)
class EnsembleConfig:
    """templates: how many. foreground, envelope: chances of a foreground mask, and of an envelope about it. radius,
    centre: of the mask's sphere, in shares of the volume's side. dent: largest SD of its warp, and envelope_vox: its
    half width, in voxels of a volume of 128."""

    templates: tuple[int, int] = (20, 40)
    template: TemplateConfig = field(default_factory=TemplateConfig)
    foreground: float = 2 / 3
    radius: tuple[float, float] = (0.375, 0.5625)
    centre: tuple[float, float] = (0.25, 0.75)
    dent: tuple[float, float] = (1.0, 5.0)
    envelope: float = 0.5
    envelope_vox: tuple[int, int] = (2, 4)

    @property
    def labels(self) -> int:
        """Label values are below this."""
        return self.templates[1] + 3


@dataclass(frozen=True)
class SphereDraw:
    """The deformed sphere outside which all is empty; radius and centre in shares of the side, dent and envelope (half
    width, 0 = none) in voxels of a volume of 128."""

    radius: float
    centre: tuple[float, float, float]
    dent: float
    seed: int
    envelope: int


@dataclass(frozen=True)
class EnsembleDraw:
    """Templates in the order of painting, and the foreground, if masked."""

    templates: tuple[TemplateDraw, ...]
    sphere: SphereDraw | None


def draw_ensemble(config: EnsembleConfig, generator: torch.Generator, masks: int = 0) -> EnsembleDraw:
    """masks: how many given masks serve as templates beside the generated."""
    count = draw.integer(generator, *config.templates)
    templates = tuple(draw_template(config.template, masks, generator) for _ in range(count))
    if not draw.chance(generator, config.foreground):
        return EnsembleDraw(templates, None)
    x, y, z = (draw.uniform(generator, *config.centre) for _ in range(3))
    enveloped = draw.chance(generator, config.envelope)
    sphere = SphereDraw(
        draw.uniform(generator, *config.radius),
        (x, y, z),
        draw.uniform(generator, *config.dent),
        draw.seed(generator),
        draw.integer(generator, *config.envelope_vox) if enveloped else 0,
    )
    return EnsembleDraw(templates, sphere)


def make_ensemble(
    record: EnsembleDraw,
    shape: tuple[int, int, int],
    masks: tuple[torch.Tensor, ...] = (),
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Label map (I, J, K) uint8: 0 empty, 1 within the foreground but no template, 2..N+1 templates, N+2 envelope.

    Without a foreground mask what no template covers stays 0.
    """
    labels = torch.zeros(shape, dtype=torch.uint8, device=device)
    for number, template in enumerate(record.templates):
        paint(labels, template, number + 2, masks)
    labels = median(labels)
    if record.sphere is None:
        return labels
    outside = _distance(record.sphere, shape, device)
    labels = torch.where(outside > 0, torch.zeros_like(labels), labels.clamp_min(1))
    if record.sphere.envelope:
        labels[outside.abs() < record.sphere.envelope * max(shape) / 128] = len(record.templates) + 2
    return labels


def median(labels: torch.Tensor) -> torch.Tensor:
    """(I, J, K): median of each voxel and its two neighbours, along one axis after the other."""
    for axis in range(3):
        count = labels.shape[axis]
        index = torch.arange(count, device=labels.device)
        a, c = (labels.index_select(axis, (index + step).clamp(0, count - 1)) for step in (-1, 1))
        labels = torch.maximum(torch.minimum(a, c), torch.minimum(torch.maximum(a, c), labels))
    return labels


def _distance(sphere: SphereDraw, shape: tuple[int, int, int], device: torch.device | str) -> torch.Tensor:
    """Voxels outside the deformed sphere, negative inside: (I, J, K); dents of six to a side."""
    side = max(shape)
    coarse = draw.coarse_shape(shape, 2)
    dents = resize(perlin([sphere.seed], coarse, (6, 6, 6), device)[:, None], shape)[0, 0]
    spread = dents.std().clamp_min(1e-6)
    centre = torch.tensor([c * n for c, n in zip(sphere.centre, shape)], device=device).view(3, 1, 1, 1)
    gap = (index_lattice(shape, device) - centre).square().sum(0).sqrt()
    return gap - sphere.radius * side + dents / spread * (sphere.dent * side / 128)
