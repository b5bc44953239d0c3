"""From a raw scan to what the networks and the optimiser compare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

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
    """A scan, the network's view of it, and the channels made of both."""

    scan: Scan
    features: Features
    channels: Channels


def see(model: SynthMorph, scan: Scan) -> SeenScan:
    """Run the network on one scan; what counts is the anatomy it knows, or all tissue, within the user's mask."""
    with torch.inference_mode():
        features = model.features(scan.image[None, None])
    weight = features.foreground if features.foreground is not None else tissue(scan.image)
    if scan.mask is not None:
        weight = weight * scan.mask
    return SeenScan(scan, features, Channels(features.finest, weight, scan.grid))


def tissue(image: torch.Tensor) -> torch.Tensor:
    """(I, J, K) share of neighbours brighter than air: the automatic foreground."""
    return box_mean((image > 0.08).float()[None, None], 2)[0, 0]


def local_contrast(image: torch.Tensor, radius: int = 3) -> torch.Tensor:
    """(I, J, K) intensities less their local mean over their local SD: squared differences of such images are local
    normalised cross-correlation (2 - 2 NCC)."""
    stack = torch.stack([image, image * image])[None]
    mean, square = box_mean(stack, radius)[0]
    return (image - mean) / (square - mean * mean).clamp_min(0).sqrt().add(0.02)
