"""Label ensembles (Dey et al. 2025, anatomix, section 3 and Algorithm 1): overlapping templates, a foreground mask and
an envelope around it.

Departures. A later template hides an earlier one (as the paper's text says; its Algorithm 1 adds labels). The median
filter is three medians of three voxels, one an axis, which removes isolated voxels at a tenth of the cost. Dilation and
erosion of the foreground sphere by w voxels are computed as its distance being within w.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from SlicerSynthReg.spatial.grid import index_lattice
from SlicerSynthReg.spatial.sampling import resize
from SlicerSynthReg.synthesis import draw
from SlicerSynthReg.synthesis.perlin import perlin
from SlicerSynthReg.synthesis.templates import TemplateConfig, TemplateDraw, draw_template, paint_template


@dataclass(frozen=True)
class EnsembleConfig:
    """templates: bounds of their number. foreground, envelope: probabilities of a foreground mask and of an envelope
    around it. radius, centre: of the mask's sphere, in fractions of the volume's side. deformation_sd: bounds of the SD
    of its radial deformation, and envelope_vox: half width of the envelope, in voxels of a volume of 128^3."""

    templates: tuple[int, int] = (20, 40)
    template: TemplateConfig = field(default_factory=TemplateConfig)
    foreground: float = 2 / 3
    radius: tuple[float, float] = (0.375, 0.5625)
    centre: tuple[float, float] = (0.25, 0.75)
    deformation_sd: tuple[float, float] = (1.0, 5.0)
    envelope: float = 0.5
    envelope_vox: tuple[int, int] = (2, 4)

    @property
    def labels(self) -> int:
        """Return the number of label values, 0 included."""
        return self.templates[1] + 3


@dataclass(frozen=True)
class SphereDraw:
    """The deformed sphere outside which the map is 0: radius and centre in fractions of the side; deformation SD and
    envelope (half width, 0 = none) in voxels of a volume of 128^3."""

    radius: float
    centre: tuple[float, float, float]
    deformation_sd: float
    seed: int
    envelope: int


@dataclass(frozen=True)
class EnsembleDraw:
    """Templates in the order of painting; sphere: of the foreground mask, None without one."""

    templates: tuple[TemplateDraw, ...]
    sphere: SphereDraw | None


def draw_ensemble(config: EnsembleConfig, generator: torch.Generator, masks: int = 0) -> EnsembleDraw:
    """Draw one ensemble. masks: number of given masks that serve as templates beside the generated ones."""
    count = draw.integer(generator, *config.templates)
    templates = tuple(draw_template(config.template, masks, generator) for _ in range(count))
    if not draw.chance(generator, config.foreground):
        return EnsembleDraw(templates, None)
    x, y, z = (draw.uniform(generator, *config.centre) for _ in range(3))
    enveloped = draw.chance(generator, config.envelope)
    sphere = SphereDraw(
        draw.uniform(generator, *config.radius),
        (x, y, z),
        draw.uniform(generator, *config.deformation_sd),
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
    """Return the label map (I, J, K) uint8: 0 background, 1 foreground outside templates, 2..N+1 templates, N+2
    envelope.

    Without a foreground mask, voxels that no template covers are 0.
    """
    labels = torch.zeros(shape, dtype=torch.uint8, device=device)
    for number, template in enumerate(record.templates):
        paint_template(labels, template, number + 2, masks)
    labels = median_filter(labels)
    if record.sphere is None:
        return labels
    outside = _signed_distance(record.sphere, shape, device)
    labels = torch.where(outside > 0, torch.zeros_like(labels), labels.clamp_min(1))
    if record.sphere.envelope:
        labels[outside.abs() < record.sphere.envelope * max(shape) / 128] = len(record.templates) + 2
    return labels


def median_filter(labels: torch.Tensor) -> torch.Tensor:
    """Replace each voxel of (I, J, K) by the median of it and its two neighbours, along one axis after the other."""
    for axis in range(3):
        count = labels.shape[axis]
        index = torch.arange(count, device=labels.device)
        a, c = (labels.index_select(axis, (index + step).clamp(0, count - 1)) for step in (-1, 1))
        labels = torch.maximum(torch.minimum(a, c), torch.minimum(torch.maximum(a, c), labels))
    return labels


def _signed_distance(sphere: SphereDraw, shape: tuple[int, int, int], device: torch.device | str) -> torch.Tensor:
    """Return the signed distance (I, J, K) to the deformed sphere in voxels, negative inside; its deformation is
    gradient noise of six cells a side."""
    side = max(shape)
    coarse = draw.coarse_shape(shape, 2)
    noise = resize(perlin([sphere.seed], coarse, (6, 6, 6), device)[:, None], shape)[0, 0]
    sd = noise.std().clamp_min(1e-6)
    centre = torch.tensor([c * n for c, n in zip(sphere.centre, shape)], device=device).view(3, 1, 1, 1)
    distance = (index_lattice(shape, device) - centre).square().sum(0).sqrt()
    return distance - sphere.radius * side + noise / sd * (sphere.deformation_sd * side / 128)
