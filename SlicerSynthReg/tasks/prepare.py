"""From a raw scan to what the networks and the optimiser compare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import binary_dilation, binary_fill_holes
from torch.nn import functional as F

from SlicerSynthReg.losses.mind import mind_ssc
from SlicerSynthReg.methods.instance.channels import Channels
from SlicerSynthReg.methods.synthmorph.model import Features
from SlicerSynthReg.space.grid import Grid
from SlicerSynthReg.space.harmonic import harmonic
from SlicerSynthReg.space.pieces import largest_piece
from SlicerSynthReg.space.smoothing import box_mean, gaussian
from SlicerSynthReg.space.transform import Affine, resample
from SlicerSynthReg.volume.volume import Volume, VolumeError

LEAST_VOXELS = 8
"""Fewer along an axis leave nothing to compare on the search's coarse grid."""


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

    def within(self, where: torch.Tensor) -> Scan:
        """Counting only in `where` (I, J, K), 1 inside."""
        return Scan(self.image, self.grid, where if self.mask is None else self.mask * where)

    def halved(self) -> Scan:
        """Block means at twice the voxel size."""
        mask = None if self.mask is None else F.avg_pool3d(self.mask[None, None], 2)[0, 0]
        return Scan(F.avg_pool3d(self.image[None, None], 2)[0, 0], self.grid.scaled_down(2), mask)


def standardised(volume: Volume, mask: Volume | None, spacing: float) -> Scan:
    """`volume` on a RAS-aligned grid of `spacing` mm, air at 0, the brightest half percent at 1, cropped to content.

    What the mask encloses but leaves out gives way to a smooth continuation of its surroundings: it must not count, and
    windows of its neighbours would look into it. Finer images are smoothed first to the target's resolution, so that
    nothing aliases. Errors: VolumeError for one that is too small to be compared.
    """
    extent = volume.grid.spacing * volume.grid.shape
    if float(extent.min()) < LEAST_VOXELS * spacing:
        raise VolumeError(
            f"Found an image of {' x '.join(f'{mm:.0f}' for mm in extent)} mm, expected at least "
            f"{LEAST_VOXELS * spacing:.0f} mm along every axis. Choose a scan that shows more of the body."
        )
    data = volume.data[:1].float()
    blur = torch.tensor([[max(0.0, spacing / s - 1.0) * 0.5 for s in volume.grid.spacing]])
    grid = volume.grid.aligned_to_ras(spacing)
    smooth = gaussian(data[None], blur)[0] if float(blur.max()) > 0.05 else data
    low = float(torch.quantile(_subset(data), 0.002))
    image = resample(smooth - low, volume.grid, grid)[0]  # so that beyond the image there is air, in CT too
    seen = None if mask is None else resample((mask.data[:1] > 0).float(), mask.grid, grid)[0]
    left_out = torch.zeros_like(image, dtype=torch.bool) if seen is None else _left_out(seen)
    lit = image[(image > 0) & ~left_out]
    high = float(torch.quantile(_subset(lit), 0.995)) if len(lit) else 1.0
    image = harmonic((image / max(high, 1e-6)).clamp(0.0, 1.0), left_out)
    box = Channels(image[None], image, grid).bounding_box(0.06, margin_mm=4.0)
    return Scan(image, grid, seen).on(box)


def _left_out(seen: torch.Tensor) -> torch.Tensor:
    """(I, J, K) bool: the holes of a mask (share of each voxel), and the voxel about them, into which they are
    smoothed. What lies about the whole of it, as about a brain's mask, is none."""
    inside = (seen > 0.999).numpy()
    holes = binary_fill_holes(inside) & ~inside
    return torch.from_numpy(binary_dilation(holes, np.ones((3, 3, 3), dtype=bool)) if holes.any() else holes)


def _subset(values: torch.Tensor, most: int = 1_000_000) -> torch.Tensor:
    flat = values.flatten()
    return flat[:: -(-len(flat) // most)]


@dataclass(frozen=True, eq=False)
class Side:
    """One scan on the common box: image (I, J, K) in [0, 1], weight (I, J, K) how much each voxel counts, structures
    (L, I, J, K) probabilities or None."""

    image: torch.Tensor
    weight: torch.Tensor
    structures: torch.Tensor | None

    def to(self, device: str) -> Side:
        structures = None if self.structures is None else self.structures.to(device)
        return Side(self.image.to(device), self.weight.to(device), structures)

    def through(self, matrix: np.ndarray, box: Grid) -> Side:
        """Seen on `box`, where it lies, through a world map (4x4, RAS)."""

        def seen(values: torch.Tensor) -> torch.Tensor:
            return resample(values, box, box, Affine(matrix), padding="border")

        structures = None if self.structures is None else seen(self.structures)
        return Side(seen(self.image[None])[0], seen(self.weight[None])[0], structures)


@dataclass(frozen=True, eq=False)
class Described:
    """What each stage before the deformation compares: `coarse` the search (about 10 mm), `steady` the first affine fit
    (about 4 mm; indifferent to how the head is turned), `middle` the last (about 4 mm)."""

    coarse: Channels
    steady: Channels
    middle: Channels


def describe(scan: Scan) -> Described:
    """Outline and texture, which turn with the head, for the search and the first fit; MIND-SSC, whose neighbours do
    not turn with it, once the heads are nearly upright to each other."""
    whole, left_out = extent(scan), extent(scan) - counting(scan)
    outline = Channels(whole[None], 1 - left_out, scan.grid).pooled(5)
    half = scan.halved()
    middle = middle_channels(scan)
    texture = gaussian(local_contrast(half.image, (2, 4)).abs()[None], 1.0)[0]
    shape, unseen = (F.avg_pool3d(one[None, None], 2)[0] for one in (whole, left_out))
    steady = Channels(torch.cat([shape * 2, texture]), (shape[0] * 0.8 + 0.2) * (1 - unseen[0]), half.grid)
    return Described(outline, steady, middle)


def middle_channels(scan: Scan) -> Channels:
    """`Described.middle` alone, which costs an eighth of the whole."""
    half = scan.halved()
    return Channels(mind_ssc(half.image[None, None])[0], counting(half), half.grid)


def counting(scan: Scan) -> torch.Tensor:
    """(I, J, K) how much each voxel counts: tissue, within the scan's mask if it has one."""
    return tissue(scan.image) if scan.mask is None else tissue(scan.image) * scan.mask


def extent(scan: Scan) -> torch.Tensor:
    """(I, J, K) `counting` as it would be without holes in the mask: the shape of what is looked at, of which a hole is
    no part."""
    if scan.mask is None:
        return counting(scan)
    holes = torch.from_numpy(binary_fill_holes((scan.mask > 0.5).numpy())).to(scan.mask)
    return tissue(scan.image) * torch.maximum(scan.mask, holes)


def box_of(fixed: Scan, margin_mm: float) -> Grid:
    """What counts of the fixed scan and a margin, its counts divisible by 8 so that every level pools evenly; may reach
    out of the image."""
    weight = counting(fixed)
    box = Channels(weight[None], weight, fixed.grid).bounding_box(0.3, margin_mm)
    grown = box.padded_to_multiple(8)
    half = tuple((g - b) // 2 for g, b in zip(grown.shape, box.shape))
    return box.cropped(tuple(-h for h in half), tuple(g - h for g, h in zip(grown.shape, half)))


def anatomy(features: Features, grid: Grid) -> torch.Tensor | None:
    """(I, J, K) 1 in the brain that the network sees and a voxel about it: the largest connected piece of what is more
    likely brain than not. None where no brain of 0.3 to 2.5 litres is seen, so that a scan of something else is not
    registered by a phantom."""
    if features.foreground is None:
        return None
    brain = largest_piece(features.foreground > 0.5)
    if not 0.3 <= int(brain.sum()) * float(np.prod(grid.spacing)) / 1e6 <= 2.5:
        return None
    return (box_mean(brain.float()[None, None], 1)[0, 0] > 0.05).float()


def tissue(image: torch.Tensor) -> torch.Tensor:
    """(I, J, K) share of neighbours brighter than air: the automatic foreground."""
    return box_mean((image > 0.08).float()[None, None], 2)[0, 0]


def local_contrast(image: torch.Tensor, radii: tuple[int, ...] = (3, 6)) -> torch.Tensor:
    """(len(radii), I, J, K) intensities less their local mean over their local SD, for windows of 2 r + 1 voxels:
    squared differences of such images are local normalised cross-correlation (2 - 2 NCC)."""
    stack = torch.stack([image, image * image])[None]
    scales = []
    for radius in radii:
        mean, square = box_mean(stack, radius)[0]
        scales.append((image - mean) / (square - mean * mean).clamp_min(0).sqrt().add(0.02))
    return torch.stack(scales)
