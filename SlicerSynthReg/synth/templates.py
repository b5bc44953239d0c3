"""Shapes that anatomy is made of, as templates for label ensembles (anatomix section 3, in place of its CT organs).

The paper takes its templates from 45,000 segmented organs. These are generated instead, so that they can be shipped
and never repeat: organ-like bodies, lobes, shells, layers, folded sheets, tubes, branching trees and rows of bones,
each bent and turned; label maps, where given, serve as templates beside them. A template is what lies within a level
set f(y) < 0 in its own coordinates, |y| <= 1, and `matrix` puts it into the cube [-1, 1]^3 that is the volume.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from SlicerSynthReg.space.sampling import sample
from SlicerSynthReg.synth import draw


@dataclass(frozen=True)
class TemplateConfig:
    """size: half extent of a template, log-uniform, 1 = half the volume's side. scale, shear: bounds about 1 and 0
    (Algorithm 1). bend: largest SD of the warp of its coordinates. given: share of templates taken from label maps,
    where there are any."""

    size: tuple[float, float] = (0.2, 0.9)
    scale: float = 0.5
    shear: float = 0.5
    bend: float = 0.3
    given: float = 0.5


@dataclass(frozen=True)
class TemplateDraw:
    """kind: one of KINDS, or "given". matrix: 3x4, template coordinates -> the volume's cube. bend: SD of its warp.
    seed: of all that is particular to it. mask: number of the given mask."""

    kind: str
    matrix: tuple[tuple[float, ...], ...]
    bend: float
    seed: int
    mask: int = -1


def draw_template(config: TemplateConfig, masks: int, generator: torch.Generator) -> TemplateDraw:
    """masks: how many given masks there are to choose from."""
    given = masks > 0 and draw.chance(generator, config.given)
    kind = "given" if given else list(KINDS)[draw.integer(generator, 0, len(KINDS) - 1)]
    turn, _ = np.linalg.qr(np.array([[draw.normal(generator) for _ in range(3)] for _ in range(3)]))
    shear = np.eye(3)
    for row, column in ((0, 1), (0, 2), (1, 2)):
        shear[row, column] = draw.uniform(generator, -config.shear, config.shear)
    scale = np.diag([1 + draw.uniform(generator, -config.scale, config.scale) for _ in range(3)])
    linear = turn @ shear @ scale * draw.log_uniform(generator, *config.size)
    centre = [draw.uniform(generator, -1, 1) for _ in range(3)]
    return TemplateDraw(
        kind,
        tuple((*map(float, row), c) for row, c in zip(linear, centre)),
        draw.uniform(generator, 0.0, config.bend),
        draw.seed(generator),
        draw.integer(generator, 0, masks - 1) if given else -1,
    )


def paint(labels: torch.Tensor, record: TemplateDraw, label: int, masks: tuple[torch.Tensor, ...] = ()) -> torch.Tensor:
    """Writes `label` into `labels` (I, J, K), in place, wherever the template lies; returns them.

    The level set is computed at every other voxel and interpolated. masks: (A, B, C) float in 0..1, each filling its
    box, which becomes the template's.
    """
    matrix = np.array(record.matrix)
    shape, centre = np.array(labels.shape), (np.array(labels.shape) - 1) / 2
    half = labels.shape[int(shape.argmax())] / 2
    reach = np.abs(matrix[:, :3]).sum(1) * (1 + record.bend) * half
    middle = matrix[:, 3] * half + centre
    low = np.clip(np.floor(middle - reach), 0, shape).astype(int)
    high = np.clip(np.ceil(middle + reach) + 1, 0, shape).astype(int)
    if (low >= high).any():
        return labels
    back = torch.from_numpy(np.linalg.inv(matrix[:, :3]) / half).float().to(labels.device)
    nodes = [torch.arange(a, b + 1, 2, device=labels.device) - m for a, b, m in zip(low, high, middle)]
    y = sum(
        back[:, axis].view(3, 1, 1, 1) * steps.float().view([-1 if n == axis else 1 for n in range(3)])
        for axis, steps in enumerate(nodes)
    )
    generator = torch.Generator().manual_seed(record.seed)
    y = y + record.bend * _field(generator, 3, 4, y)
    f = _given(masks[record.mask], y) if record.kind == "given" else KINDS[record.kind](y, generator)
    counts = tuple(2 * n - 1 for n in f.shape)
    inside = F.interpolate(f[None, None], counts, mode="trilinear", align_corners=True)[0, 0] < 0
    i, j, k = (int(b - a) for a, b in zip(low, high))
    labels[low[0] : high[0], low[1] : high[1], low[2] : high[2]].masked_fill_(inside[:i, :j, :k], label)
    return labels


def _field(generator: torch.Generator, channels: int, grain: int, y: torch.Tensor) -> torch.Tensor:
    """(channels, ...) smooth noise of unit SD at its nodes, `grain` nodes across the template, at y (3, ...)."""
    nodes = torch.randn((1, channels, grain, grain, grain), generator=generator).to(y.device)
    return sample(nodes, ((y + 1.2) * ((grain - 1) / 2.4))[None], padding="border")[0]


def _numbers(generator: torch.Generator, count: int, low: float, high: float) -> list[float]:
    return [draw.uniform(generator, low, high) for _ in range(count)]


def _body(y: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """From round to boxy, with a relief: kidneys, spleens, bladders."""
    power = draw.uniform(generator, 1.6, 5.0)
    radii = torch.tensor(_numbers(generator, 3, 0.5, 1.0), device=y.device).view(3, 1, 1, 1)
    relief = draw.uniform(generator, 0.0, 0.25) * _field(generator, 1, 6, y)[0]
    return (y / radii).abs().pow(power).sum(0).pow(1 / power) - 0.85 + relief


def _lobes(y: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Two to five bodies grown together."""
    joined = torch.zeros_like(y[0])
    for _ in range(draw.integer(generator, 2, 5)):
        centre = torch.tensor(_numbers(generator, 3, -0.6, 0.6), device=y.device).view(3, 1, 1, 1)
        joined += torch.exp(-(y - centre).square().sum(0) / (2 * draw.uniform(generator, 0.15, 0.35) ** 2))
    return draw.uniform(generator, 0.35, 0.6) - joined


def _shell(y: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A hollow body, in part open: skulls, rinds, walls."""
    wall = (y.square().sum(0).sqrt() - 0.75 + 0.1 * _field(generator, 1, 4, y)[0]).abs()
    opening = y[0] - draw.uniform(generator, -0.2, 1.2)
    return torch.maximum(wall - draw.uniform(generator, 0.04, 0.2), opening)


def _layer(y: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A bent plate: muscles, fasciae, diaphragms."""
    height = y[0] + 0.3 * _field(generator, 1, 4, y * y.new_tensor([0, 1, 1]).view(3, 1, 1, 1))[0]
    return torch.maximum(height.abs() - draw.uniform(generator, 0.05, 0.25), y.square().sum(0).sqrt() - 0.95)


def _folds(y: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A sheet folded within a ball: bowel, cortex, glands."""
    grain = draw.integer(generator, 6, 10)
    sheet = _field(generator, 1, grain, y)[0].abs() - draw.uniform(generator, 0.1, 0.35)
    return torch.maximum(sheet, y.square().sum(0).sqrt() - 0.9)


def _tube(y: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A winding tube of changing calibre: vessels, ducts, gut, cord."""
    radius, winding = draw.log_uniform(generator, 0.08, 0.25), draw.uniform(generator, 0.1, 0.6)
    nodes = winding * torch.randn((1, 3, 5), generator=generator)
    nodes[:, 0] += torch.linspace(-0.9, 0.9, 5)
    path = F.interpolate(nodes, 20, mode="linear", align_corners=True)[0]
    calibre = radius * (1 + 0.25 * torch.randn((1, 1, 4), generator=generator).clamp(-2, 2))
    return _around(y, path.T, F.interpolate(calibre, 20, mode="linear")[0, 0])


def _tree(y: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A stem that forks twice, each branch thinner (r^3 is kept, Murray's law): vessels, airways."""
    start, way = torch.tensor([-0.95, 0.0, 0.0]), torch.tensor([0.6, 0.0, 0.0])
    ends, radius, places, calibres = [(start, way)], draw.uniform(generator, 0.1, 0.2), [], []
    for _ in range(3):
        grown = []
        for root, along in ends:
            steps = torch.linspace(0, 1, 7)[:, None]
            places.append(root + steps * along)
            calibres.append(torch.full((7,), radius))
            for _ in range(2):
                aside = 0.55 * along.norm() * torch.randn(3, generator=generator)
                grown.append((root + along, 0.8 * along + aside))
        ends, radius = grown, radius / 2 ** (1 / 3)
    return _around(y, torch.cat(places), torch.cat(calibres))


def _row(y: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Like parts along a curve, as one label: vertebrae, ribs, teeth, nodes."""
    count, bow = draw.integer(generator, 3, 7), draw.uniform(generator, -0.5, 0.5)
    along = torch.linspace(-0.85, 0.85, count)
    places = torch.stack([along, bow * (along.square() - 0.36), torch.zeros(count)], 1)
    stretch = torch.tensor([draw.uniform(generator, 0.8, 2.0), 1.0, draw.uniform(generator, 0.3, 1.0)])
    radii = torch.full((count,), draw.uniform(generator, 0.6, 1.0) * 0.85 / count)
    return _around(y * stretch.to(y.device).view(3, 1, 1, 1), places * stretch, radii)


KINDS: dict[str, Callable[[torch.Tensor, torch.Generator], torch.Tensor]] = {
    "body": _body,
    "lobes": _lobes,
    "shell": _shell,
    "layer": _layer,
    "folds": _folds,
    "tube": _tube,
    "tree": _tree,
    "row": _row,
}
"""Level set of each kind: template coordinates (3, ...) and the template's own random numbers -> f (...)."""


def _around(y: torch.Tensor, places: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
    """Distance from the union of balls about `places` (N, 3) of `radii` (N,)."""
    nearest = torch.full_like(y[0], torch.inf)
    for place, radius in zip(places.to(y.device), radii.tolist()):
        gap = y - place.view(3, 1, 1, 1)
        nearest = torch.minimum(nearest, gap.square().sum(0).sqrt() - radius)
    return nearest


def _given(mask: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    sizes = torch.tensor(mask.shape, device=y.device).view(3, 1, 1, 1)
    return 0.5 - sample(mask[None, None].to(y) / 255, ((y + 1) / 2 * (sizes - 1))[None])[0, 0]
