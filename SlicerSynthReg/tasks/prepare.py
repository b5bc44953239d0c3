"""From a raw scan to what the networks and the optimiser compare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from SlicerSynthReg.losses.mind import mind_ssc
from SlicerSynthReg.methods.instance.channels import Channels
from SlicerSynthReg.methods.synthmorph.model import Features, SynthMorph
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.smoothing import box_mean, gaussian
from SlicerSynthReg.space.transform import Affine, resample
from SlicerSynthReg.volume.volume import Volume


@dataclass(frozen=True, eq=False)
class Scan:
    """image (I, J, K) in [0, 1] on a RAS-aligned isotropic grid; mask (I, J, K) what may count, None = everything."""

    image: torch.Tensor
    grid: Grid
    mask: torch.Tensor | None = None

    def on(self, grid: Grid, matrix: np.ndarray | None = None) -> Scan:
        """Seen on `grid` through the world map `matrix` (4x4, grid's RAS -> this scan's RAS)."""
        through = None if matrix is None else Affine(matrix)
        image = resample(self.image[None], self.grid, grid, through)[0]
        mask = None if self.mask is None else resample(self.mask[None], self.grid, grid, through)[0]
        return Scan(image, grid, mask)

    def halved(self) -> Scan:
        """Block means at twice the voxel size."""
        mask = None if self.mask is None else F.avg_pool3d(self.mask[None, None], 2)[0, 0]
        return Scan(F.avg_pool3d(self.image[None, None], 2)[0, 0], self.grid.scaled_down(2), mask)


def standardised(volume: Volume, mask: Volume | None, spacing: float) -> Scan:
    """`volume` on a RAS-aligned grid of `spacing` mm, air at 0, the brightest half percent at 1, cropped to content.

    Finer images are smoothed first to the target's resolution, so that nothing aliases.
    """
    data = volume.data[:1].float()
    blur = torch.tensor([[max(0.0, spacing / s - 1.0) * 0.5 for s in volume.grid.spacing]])
    grid = volume.grid.aligned_to_ras(spacing)
    smooth = gaussian(data[None], blur)[0] if float(blur.max()) > 0.05 else data
    image = resample(smooth, volume.grid, grid)[0]
    low = float(torch.quantile(_subset(data), 0.002))
    lit = image[image > low]
    high = float(torch.quantile(_subset(lit), 0.995)) if len(lit) else low + 1.0
    image = ((image - low) / max(high - low, 1e-6)).clamp(0.0, 1.0)
    seen = None if mask is None else resample((mask.data[:1] > 0).float(), mask.grid, grid)[0]
    box = Channels(image[None], image, grid).bounding_box(0.06, margin_mm=4.0)
    return Scan(image, grid, seen).on(box)


def _subset(values: torch.Tensor, most: int = 1_000_000) -> torch.Tensor:
    flat = values.flatten()
    return flat[:: -(-len(flat) // most)]


@dataclass(frozen=True, eq=False)
class SeenScan:
    """What each stage compares: `coarse` the search (about 10 mm), `steady` the first fit (about 4 mm; indifferent to
    how the head is turned), `middle` the last fit (about 4 mm), `fine` the deformation. features: the network's own."""

    coarse: Channels
    steady: Channels
    middle: Channels
    fine: Channels
    features: Features | None = None


def see(model: SynthMorph | None, scan: Scan) -> SeenScan:
    """The network's features, counting where its anatomy is; without a network MIND descriptors, counting all tissue.

    The user's mask limits what counts either way.
    """
    allowed = torch.ones_like(scan.image) if scan.mask is None else scan.mask
    if model is None:
        return _described(scan, allowed)
    with torch.inference_mode():
        features = model.features(scan.image[None, None])
    weight = (features.foreground if features.foreground is not None else tissue(scan.image)) * allowed
    fine = Channels(features.finest, weight, scan.grid)
    middle = fine.pooled(2)
    return SeenScan(fine.pooled(5), middle, middle, fine, features)


def _described(scan: Scan, allowed: torch.Tensor) -> SeenScan:
    """Outline and texture, which turn with the head, for the search and the first fit; MIND-SSC, whose neighbours do
    not turn with it, once the heads are nearly upright to each other."""
    weight = tissue(scan.image) * allowed
    outline = Channels(weight[None], torch.ones_like(weight), scan.grid).pooled(5)
    half = scan.halved()
    middle = middle_channels(None, scan)
    texture = gaussian(local_contrast(half.image).abs()[None], 1.0)[0]
    steady = Channels(torch.cat([middle.weight[None] * 2, texture]), middle.weight * 0.8 + 0.2, half.grid)
    fine = Channels(mind_ssc(scan.image[None, None])[0] * 0.5, weight, scan.grid)
    return SeenScan(outline, steady, middle, fine)


def middle_channels(model: SynthMorph | None, scan: Scan) -> Channels:
    """`SeenScan.middle` alone, which without a network costs an eighth of the whole."""
    if model is not None:
        return see(model, scan).middle
    half = scan.halved()
    weight = tissue(half.image) if half.mask is None else tissue(half.image) * half.mask
    return Channels(mind_ssc(half.image[None, None])[0], weight, half.grid)


def tissue(image: torch.Tensor) -> torch.Tensor:
    """(I, J, K) share of neighbours brighter than air: the automatic foreground."""
    return box_mean((image > 0.08).float()[None, None], 2)[0, 0]


def local_contrast(image: torch.Tensor, radii: tuple[int, ...] = (2, 4)) -> torch.Tensor:
    """(len(radii), I, J, K) intensities less their local mean over their local SD, for windows of 2 r + 1 voxels:
    squared differences of such images are local normalised cross-correlation (2 - 2 NCC)."""
    stack = torch.stack([image, image * image])[None]
    scales = []
    for radius in radii:
        mean, square = box_mean(stack, radius)[0]
        scales.append((image - mean) / (square - mean * mean).clamp_min(0).sqrt().add(0.02))
    return torch.stack(scales)
